//! Days of insights added up to weeks, so that a view of ninety days reads few rows.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, binary, uuid};
use sea_orm_migration::sea_orm::DatabaseBackend;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut weeks = Table::create()
            .table("insight_weeks")
            .col(uuid("organization_id"))
            .col(big_integer("begins"))
            // Nil: the organization; else a server's id.
            .col(uuid("scope"))
            // Before the slice, so that SQLite reads them without it: most of a slice lies in pages of its own.
            .col(binary("totals"))
            .col(binary("content"))
            .primary_key(Index::create().col("organization_id").col("begins").col("scope"))
            .to_owned();
        if manager.get_database_backend() == DatabaseBackend::Sqlite {
            weeks.extra("WITHOUT ROWID");
        }
        manager.create_table(weeks).await
    }
}
