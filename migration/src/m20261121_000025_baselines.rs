//! Which run of a workflow the others are compared with.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, uuid};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("workflow_baselines")
                    .col(uuid("workflow_id").primary_key())
                    .col(uuid("organization_id"))
                    .col(uuid("run_id"))
                    .col(big_integer("set_at"))
                    .to_owned(),
            )
            .await
    }
}
