//! Limits and use: a server's limit, calls per key, server and hour, and the answers to writes that may be repeated.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, binary, integer_null, small_integer, string, string_len, text_null, uuid,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One column per statement: SQLite takes no more.
        for column in ["rate_requests", "rate_seconds"] {
            manager.alter_table(Table::alter().table("servers").add_column(integer_null(column)).to_owned()).await?;
        }
        manager
            .create_table(
                Table::create()
                    .table("usage_buckets")
                    .col(uuid("organization_id"))
                    // The hour's first microsecond.
                    .col(big_integer("hour"))
                    .col(string_len("key_id", 16))
                    .col(uuid("server_id"))
                    .col(big_integer("calls"))
                    .col(big_integer("errors"))
                    .col(binary("latencies"))
                    .primary_key(Index::create().col("organization_id").col("hour").col("key_id").col("server_id"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("idempotency_keys")
                    .col(uuid("organization_id"))
                    .col(string("actor"))
                    .col(binary("digest"))
                    .col(binary("fingerprint"))
                    // 0 claimed, 1 answered, 2 ended and nobody knows how.
                    .col(small_integer("state"))
                    .col(integer_null("status"))
                    .col(text_null("body"))
                    .col(big_integer("created_at"))
                    .primary_key(Index::create().col("organization_id").col("actor").col("digest"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create().name("idempotency_keys_created").table("idempotency_keys").col("created_at").to_owned(),
            )
            .await
    }
}
