//! Organizations, people, memberships, and the tokens of sign-in.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, binary_len, string, string_null, uuid};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("organizations")
                    .col(uuid("id").primary_key())
                    .col(string("slug").unique_key())
                    .col(string("name"))
                    .col(big_integer("created_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("users")
                    .col(uuid("id").primary_key())
                    .col(string("email").unique_key())
                    .col(string_null("display_name"))
                    .col(string("password_hash"))
                    .col(big_integer_null("disabled_at"))
                    .col(big_integer("created_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("memberships")
                    .col(uuid("organization_id"))
                    .col(uuid("user_id"))
                    .col(string("role"))
                    .col(big_integer_null("disabled_at"))
                    .col(big_integer("created_at"))
                    .primary_key(Index::create().col("organization_id").col("user_id"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(Index::create().name("memberships_user_id").table("memberships").col("user_id").to_owned())
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("refresh_tokens")
                    .col(binary_len("digest", 32).primary_key())
                    .col(uuid("family"))
                    .col(uuid("user_id"))
                    .col(uuid("organization_id"))
                    .col(big_integer("created_at"))
                    .col(big_integer("expires_at"))
                    .col(big_integer_null("replaced_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create().name("refresh_tokens_family").table("refresh_tokens").col("family").to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("bootstrap_tokens")
                    .col(binary_len("digest", 32).primary_key())
                    .col(big_integer("created_at"))
                    .to_owned(),
            )
            .await
    }
}
