//! Call records: one row per call through the gateway. They are many, so that the only index is the order in which they
//! are read and cleared out: an organization's, by time.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, small_integer, small_integer_null, string_len, string_null, uuid,
};
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut calls = Table::create()
            .table("call_records")
            .col(uuid("organization_id"))
            .col(big_integer("at"))
            .col(uuid("request_id"))
            .col(string_len("key_id", 16))
            .col(uuid("server_id"))
            .col(string_null("tenant_org"))
            .col(string_null("tenant_user"))
            // 0 request, 1 notification, 2 response, 3 batch, 4 stream (GET), 5 end of a session (DELETE), 6 other.
            .col(small_integer("kind"))
            .col(string_null("method"))
            .col(string_null("tool"))
            .col(string_null("version"))
            .col(big_integer_null("session"))
            // 0 answered, 1 failed, 2 refused, 3 cancelled, 4 cut; of 1, 2 and 4 `reason` has the code or the name.
            .col(small_integer("outcome"))
            .col(string_null("reason"))
            .col(small_integer_null("status"))
            .col(big_integer_null("rpc_error"))
            .col(boolean("tool_error"))
            .col(big_integer("request_bytes"))
            .col(big_integer("response_bytes"))
            // Microseconds, both.
            .col(big_integer_null("first_byte"))
            .col(big_integer("took"))
            .primary_key(Index::create().col("organization_id").col("at").col("request_id"))
            .to_owned();
        if manager.get_database_backend() == DatabaseBackend::Sqlite {
            // The rows stand in their index, and are written once.
            calls.extra("WITHOUT ROWID");
        }
        manager.create_table(calls).await
    }
}
