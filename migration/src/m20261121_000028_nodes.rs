//! The nodes that serve from a PostgreSQL database. A row is a node's lease: as long as it is there, changes wait for the
//! node. And which connections one of them renews just now.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string, uuid};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("nodes")
                    .col(uuid("id").primary_key())
                    .col(string("name"))
                    // The last change that it has applied.
                    .col(big_integer("confirmed"))
                    // How often it has renewed its lease: whoever sees the number stand still counts by a clock of its own.
                    .col(big_integer("renewals"))
                    .col(big_integer("joined_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("renewal_claims")
                    .col(uuid("connection_id").primary_key())
                    .col(big_integer("until"))
                    .to_owned(),
            )
            .await
    }
}
