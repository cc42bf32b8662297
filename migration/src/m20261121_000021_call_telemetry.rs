//! What models said of their calls, beside the records of the calls, under the same key.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text_null, uuid};
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut telemetry = Table::create()
            .table("call_telemetry")
            .col(uuid("organization_id"))
            .col(big_integer("at"))
            .col(uuid("request_id"))
            .col(text_null("intent"))
            .col(text_null("context"))
            .col(text_null("frustration"))
            .primary_key(Index::create().col("organization_id").col("at").col("request_id"))
            .to_owned();
        if manager.get_database_backend() == DatabaseBackend::Sqlite {
            telemetry.extra("WITHOUT ROWID");
        }
        manager.create_table(telemetry).await
    }
}
