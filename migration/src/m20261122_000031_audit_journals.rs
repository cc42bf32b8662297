//! How far each process's decisions are in the log. What it decided and did not write is in its journal, a file.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, uuid};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let journals = Table::create()
            .table("audit_journals")
            .col(uuid("id").primary_key())
            // The number of the newest decision that is written; none is zero.
            .col(big_integer("written"))
            .to_owned();
        manager.create_table(journals).await
    }
}
