//! Changes of workflows that somebody proposes.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, integer, integer_null, string, text, text_null, uuid, uuid_null,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("workflow_proposals")
                    .col(uuid("id").primary_key())
                    .col(uuid("organization_id"))
                    .col(uuid("workflow_id"))
                    // The version that the change is of.
                    .col(integer("version"))
                    .col(text("change"))
                    // The same parts as they were.
                    .col(text("replaced"))
                    .col(text_null("note"))
                    .col(string("state"))
                    .col(uuid("proposed_by"))
                    .col(big_integer("created_at"))
                    .col(big_integer("expires_at"))
                    .col(uuid_null("decided_by"))
                    .col(big_integer_null("decided_at"))
                    // The version that it became.
                    .col(integer_null("applied_version"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("workflow_proposals_workflow")
                    .table("workflow_proposals")
                    .col("organization_id")
                    .col("workflow_id")
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("workflow_proposals_expires")
                    .table("workflow_proposals")
                    .col("expires_at")
                    .to_owned(),
            )
            .await
    }
}
