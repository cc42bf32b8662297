//! Finding audit events without an index that every row pays for: what occurs in each 1024 rows of a chain, written when
//! they are complete. The indices of step 7 go; they cost more than the rows.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, binary, uuid};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("audit_blocks")
                    .col(uuid("organization_id"))
                    .col(big_integer("block"))
                    .col(big_integer("min_at"))
                    .col(big_integer("max_at"))
                    .col(binary("terms"))
                    .primary_key(Index::create().col("organization_id").col("block"))
                    .to_owned(),
            )
            .await?;
        for column in ["min_at", "max_at"] {
            let index = Index::create()
                .name(format!("audit_blocks_{column}"))
                .table("audit_blocks")
                .col("organization_id")
                .col(column)
                .to_owned();
            manager.create_index(index).await?;
        }
        let add = Table::alter().table("audit_heads").add_column(big_integer("indexed").default(0)).to_owned();
        manager.alter_table(add).await?;
        for column in ["at", "actor_id", "target_id", "request_id", "code"] {
            let index =
                Index::drop().name(format!("audit_events_{column}")).table("audit_events").if_exists().to_owned();
            manager.drop_index(index).await?;
        }
        Ok(())
    }
}
