//! When each key of assertions begins to sign. The keys themselves are derived from the root secret.

use std::time::{SystemTime, UNIX_EPOCH};

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, integer};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("assertion_keys")
                    .col(integer("number").primary_key())
                    .col(big_integer("signs_from"))
                    .to_owned(),
            )
            .await?;
        // The first key has been signing until now. Its time is counted from here, so that no upgrade replaces it at once.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|error| DbErr::Migration(error.to_string()))?;
        let now: i64 = now.as_micros().try_into().map_err(|_| DbErr::Migration("the clock is far ahead".to_owned()))?;
        let mut first = Query::insert();
        first
            .into_table("assertion_keys")
            .columns(["number", "signs_from"])
            .values([Expr::value(0), Expr::value(now)])
            .map_err(|error| DbErr::Migration(error.to_string()))?;
        manager.execute(first).await
    }
}
