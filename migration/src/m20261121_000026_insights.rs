//! Insights: the calls of each batch until they are folded, and what they are folded into. None of it is read by a request
//! but for the views.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, binary, boolean, integer, small_integer, string_len, string_null, text, uuid,
    uuid_null,
};
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut intake = Table::create()
            .table("insight_intake")
            .col(uuid("organization_id"))
            // Ordered by time.
            .col(uuid("id"))
            .col(integer("calls"))
            .col(binary("packed"))
            .primary_key(Index::create().col("organization_id").col("id"))
            .to_owned();
        // Locked by whoever folds: one node at a time per organization.
        let heads = Table::create().table("insight_heads").col(uuid("organization_id").primary_key()).to_owned();
        let mut slices = Table::create()
            .table("insight_slices")
            .col(uuid("organization_id"))
            // 0 calls by hour, 1 by day, 2 topics by hour, 3 by day.
            .col(small_integer("kind"))
            .col(big_integer("begins"))
            // Nil: the organization; else a server's or a topic's id, or one made of a tenant's name.
            .col(uuid("scope"))
            .col(binary("content"))
            .primary_key(Index::create().col("organization_id").col("kind").col("begins").col("scope"))
            .to_owned();
        let mut sessions = Table::create()
            .table("insight_sessions")
            .col(uuid("organization_id"))
            // Ordered by the time of the first call.
            .col(uuid("id"))
            .col(uuid("caller"))
            .col(string_len("key_id", 16))
            .col(string_null("tenant_org"))
            .col(string_null("tenant_user"))
            // The scopes of the tenant and of its tenant org as a whole.
            .col(uuid_null("tenant"))
            .col(uuid_null("whole_org"))
            .col(big_integer_null("tag"))
            .col(big_integer("started_at"))
            .col(big_integer("last_at"))
            .col(binary("content"))
            .primary_key(Index::create().col("organization_id").col("id"))
            .to_owned();
        let mut topics = Table::create()
            .table("insight_topics")
            .col(uuid("organization_id"))
            .col(uuid("id"))
            .col(text("words"))
            .col(string_null("name"))
            .col(boolean("unmet_demand"))
            .col(big_integer_null("archived_at"))
            .col(big_integer("first_seen"))
            .col(big_integer("last_seen"))
            .col(big_integer("calls"))
            .col(text("examples"))
            .primary_key(Index::create().col("organization_id").col("id"))
            .to_owned();
        if manager.get_database_backend() == DatabaseBackend::Sqlite {
            for table in [&mut intake, &mut slices, &mut sessions, &mut topics] {
                table.extra("WITHOUT ROWID");
            }
        }
        for table in [intake, heads, slices, sessions, topics] {
            manager.create_table(table).await?;
        }
        for column in ["caller", "tenant", "whole_org"] {
            let index = Index::create()
                .name(format!("insight_sessions_{column}"))
                .table("insight_sessions")
                .col("organization_id")
                .col(column)
                .col("id")
                .to_owned();
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
