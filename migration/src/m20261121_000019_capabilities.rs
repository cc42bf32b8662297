//! What servers offered when they were last asked: one row per server that was.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text, uuid};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("server_capabilities")
                    .col(uuid("server_id").primary_key())
                    .col(uuid("organization_id"))
                    .col(big_integer("synced_at"))
                    // JSON: everything that was offered; of the tools what lists show; which of them were approved, and
                    // as what; how it differed from the time before.
                    .col(text("snapshot"))
                    .col(text("tools"))
                    .col(text("approvals"))
                    .col(text("changes"))
                    .to_owned(),
            )
            .await
    }
}
