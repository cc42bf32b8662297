//! Workflows, and their versions: a row of the latter is written once and never changed.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, integer, string, string_null, text, text_null, uuid, uuid_null,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("workflows")
                    .col(uuid("id").primary_key())
                    .col(uuid("organization_id"))
                    .col(string("name"))
                    .col(text_null("description"))
                    .col(integer("version"))
                    .col(uuid_null("project_id"))
                    .col(string_null("cron"))
                    .col(string_null("time_zone"))
                    .col(uuid_null("scheduled_by"))
                    // When it is to run by itself next; none for never.
                    .col(big_integer_null("due_at"))
                    .col(big_integer("created_at"))
                    .col(big_integer_null("archived_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("workflows_organization_project")
                    .table("workflows")
                    .col("organization_id")
                    .col("project_id")
                    .to_owned(),
            )
            .await?;
        manager.create_index(Index::create().name("workflows_due").table("workflows").col("due_at").to_owned()).await?;
        manager
            .create_table(
                Table::create()
                    .table("workflow_versions")
                    .col(uuid("organization_id"))
                    .col(uuid("workflow_id"))
                    .col(integer("number"))
                    .col(text("definition"))
                    .col(uuid("created_by"))
                    .col(big_integer("created_at"))
                    .primary_key(Index::create().col("organization_id").col("workflow_id").col("number"))
                    .to_owned(),
            )
            .await
    }
}
