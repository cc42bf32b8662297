//! Projects, and the servers in them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, string, text_null, uuid};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("projects")
                    .col(uuid("id").primary_key())
                    .col(uuid("organization_id"))
                    .col(string("slug"))
                    .col(string("name"))
                    .col(text_null("description"))
                    .col(big_integer("created_at"))
                    .col(big_integer_null("archived_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("projects_organization_slug")
                    .table("projects")
                    .col("organization_id")
                    .col("slug")
                    .unique()
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("project_servers")
                    .col(uuid("organization_id"))
                    .col(uuid("project_id"))
                    .col(uuid("server_id"))
                    .primary_key(Index::create().col("organization_id").col("project_id").col("server_id"))
                    .to_owned(),
            )
            .await
    }
}
