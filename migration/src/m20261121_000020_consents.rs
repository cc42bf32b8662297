//! Connect links that were used, authorizations that are under way, and clients that Keyrack registered itself.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, binary, binary_len, uuid};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("connect_link_uses")
                    .col(binary_len("nonce", 16).primary_key())
                    .col(uuid("organization_id"))
                    .col(big_integer("expires_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("oauth_authorizations")
                    .col(binary_len("digest", 32).primary_key())
                    .col(uuid("organization_id"))
                    .col(binary("sealed"))
                    .col(big_integer("expires_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("oauth_clients")
                    .col(uuid("server_id").primary_key())
                    .col(uuid("organization_id"))
                    .col(binary("sealed"))
                    .to_owned(),
            )
            .await?;
        for table in ["connect_link_uses", "oauth_authorizations"] {
            let name = format!("{table}_expires_at");
            manager.create_index(Index::create().name(name).table(table).col("expires_at").to_owned()).await?;
        }
        Ok(())
    }
}
