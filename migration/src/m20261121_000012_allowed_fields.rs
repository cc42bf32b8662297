//! The arguments that a server may take although their names are those of secrets.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text_null;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = text_null("allowed_secret_fields");
        manager.alter_table(Table::alter().table("servers").add_column(column).to_owned()).await
    }
}
