//! Reading and proving the audit log: signed checkpoints, how far each chain has them, and indices for the filters that
//! pick few rows out of many. Every index is paid for by every row, so the other filters look through the rows in order.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, binary_len, string, uuid};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("audit_checkpoints")
                    .col(uuid("organization_id"))
                    .col(big_integer("seq"))
                    .col(binary_len("hash", 32))
                    .col(big_integer("at"))
                    .col(string("kid"))
                    .col(binary_len("public_key", 32))
                    .col(binary_len("signature", 64))
                    .primary_key(Index::create().col("organization_id").col("seq"))
                    .to_owned(),
            )
            .await?;
        // SQLite adds one column per statement.
        for column in ["signed_seq", "signed_at"] {
            let add = Table::alter().table("audit_heads").add_column(big_integer(column).default(0)).to_owned();
            manager.alter_table(add).await?;
        }
        for column in ["at", "actor_id", "target_id", "request_id"] {
            let index = Index::create()
                .name(format!("audit_events_{column}"))
                .table("audit_events")
                .col("organization_id")
                .col(column)
                .col("seq")
                .to_owned();
            manager.create_index(index).await?;
        }
        // Few events have a code: an index of those alone costs the others nothing.
        let refused = Index::create()
            .name("audit_events_code")
            .table("audit_events")
            .col("organization_id")
            .col("code")
            .col("seq")
            .and_where(Expr::col("code").is_not_null())
            .to_owned();
        manager.create_index(refused).await
    }
}
