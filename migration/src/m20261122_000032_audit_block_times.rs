//! Which blocks can have events of a time, without reading the blocks: events that a process left in its journal come late,
//! so that the order of blocks is not that of times.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["min_at", "max_at"] {
            let index = Index::create()
                .name(format!("audit_blocks_by_{column}"))
                .table("audit_blocks")
                .col("organization_id")
                .col(column)
                .col("block")
                .to_owned();
            manager.create_index(index).await?;
            let index = Index::drop().name(format!("audit_blocks_{column}")).table("audit_blocks").to_owned();
            manager.drop_index(index).await?;
        }
        Ok(())
    }
}
