//! Runs of workflows, and their steps. A run's row is also its place in the queue: who has it, until when, and how often it
//! changed hands.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, binary_null, boolean, integer, small_integer, string, string_null, text, text_null,
    uuid, uuid_null,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("runs")
                    .col(uuid("id").primary_key())
                    .col(uuid("organization_id"))
                    .col(uuid("workflow_id"))
                    .col(integer("version"))
                    // 0 pending, 1 running, 2 pass, 3 partial, 4 fail, 5 error, 6 cancelled.
                    .col(small_integer("status"))
                    .col(text_null("reason"))
                    // 0 REST, 1 tool, 2 schedule.
                    .col(small_integer("begun_by"))
                    .col(string("actor"))
                    .col(string("actor_name"))
                    .col(string_null("tenant_org"))
                    .col(string_null("tenant_user"))
                    .col(binary_null("once_digest"))
                    .col(binary_null("once_fingerprint"))
                    .col(big_integer("created_at"))
                    .col(big_integer_null("started_at"))
                    .col(big_integer_null("finished_at"))
                    .col(big_integer_null("cancelled_at"))
                    .col(big_integer("revision"))
                    .col(big_integer("claim"))
                    .col(uuid_null("node"))
                    .col(big_integer_null("lease_until"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("run_steps")
                    .col(uuid("run_id"))
                    .col(integer("position"))
                    .col(uuid("organization_id"))
                    .col(string("name"))
                    .col(uuid("server_id"))
                    .col(string("tool"))
                    .col(boolean("required"))
                    .col(boolean("safe"))
                    // 0 pending, 1 running, 2 pass, 3 fail, 4 error, 5 skipped, 6 cancelled.
                    .col(small_integer("status"))
                    .col(integer("tries"))
                    .col(big_integer_null("began_at"))
                    .col(big_integer_null("took"))
                    .col(text("evidence"))
                    .col(binary_null("carried"))
                    .col(big_integer("revision"))
                    .primary_key(Index::create().col("run_id").col("position"))
                    .to_owned(),
            )
            .await?;
        for (name, columns) in [
            ("runs_organization", &["organization_id", "id"][..]),
            ("runs_workflow", &["organization_id", "workflow_id", "id"]),
            ("runs_status", &["status", "organization_id", "created_at"]),
            ("runs_finished", &["finished_at"]),
        ] {
            let mut index = Index::create();
            index.name(name).table("runs");
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index.clone()).await?;
        }
        let mut once = Index::create();
        once.name("runs_once").table("runs").unique().col("organization_id").col("actor").col("once_digest");
        manager.create_index(once.clone()).await
    }
}
