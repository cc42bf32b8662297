//! A server's own times, in milliseconds; null for the installation's.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::integer_null;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One column per statement: SQLite takes no more.
        for column in ["connect_timeout_ms", "idle_timeout_ms"] {
            manager.alter_table(Table::alter().table("servers").add_column(integer_null(column)).to_owned()).await?;
        }
        Ok(())
    }
}
