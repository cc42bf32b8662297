//! What is true of the installation as a whole, by name: for now the fingerprint of its root secret.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create().table("installation").col(string("name").primary_key()).col(string("value")).to_owned(),
            )
            .await
    }
}
