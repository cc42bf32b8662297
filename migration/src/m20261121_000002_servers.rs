//! Registered upstream servers, with the organization's credential sealed.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, binary_null, string, string_null, text, text_null, uuid,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("servers")
                    .col(uuid("id").primary_key())
                    .col(uuid("organization_id"))
                    .col(string("slug"))
                    .col(string("name"))
                    .col(text_null("description"))
                    .col(text("url"))
                    .col(string("auth_kind"))
                    .col(string_null("auth_header"))
                    .col(string_null("auth_username"))
                    .col(binary_null("auth_sealed"))
                    .col(text("categories"))
                    .col(big_integer("created_at"))
                    .col(big_integer_null("archived_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("servers_organization_slug")
                    .table("servers")
                    .col("organization_id")
                    .col("slug")
                    .unique()
                    .to_owned(),
            )
            .await
    }
}
