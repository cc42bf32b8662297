//! The audit log: one chain per organization, and each chain's head, whose row lock orders the nodes' writes.
//! Events of nobody's organization stand under the nil UUID.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, binary_len, string, string_null, text_null, uuid, uuid_null};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("audit_events")
                    .col(uuid("organization_id"))
                    .col(big_integer("seq"))
                    .col(uuid("id"))
                    .col(big_integer("at"))
                    .col(string("actor_kind"))
                    .col(string_null("actor_id"))
                    .col(string_null("actor_name"))
                    .col(string("action"))
                    .col(string("target_kind"))
                    .col(string_null("target_id"))
                    .col(string_null("tenant_org"))
                    .col(string_null("tenant_user"))
                    .col(string("outcome"))
                    .col(string_null("code"))
                    .col(text_null("reason"))
                    .col(uuid_null("request_id"))
                    .col(binary_len("previous_hash", 32))
                    .col(binary_len("hash", 32))
                    .primary_key(Index::create().col("organization_id").col("seq"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("audit_heads")
                    .col(uuid("organization_id").primary_key())
                    .col(big_integer("seq"))
                    .col(binary_len("hash", 32))
                    .to_owned(),
            )
            .await
    }
}
