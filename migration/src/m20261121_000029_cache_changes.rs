//! The numbered changes of what nodes remember between requests.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, small_integer, text, uuid};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("cache_changes")
                    .col(big_integer("number").primary_key())
                    // Tells a change from another that got its number after the database lost the first.
                    .col(uuid("mark"))
                    .col(text("changes"))
                    .col(big_integer("at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("cache_change_counter")
                    .col(small_integer("id").primary_key())
                    .col(big_integer("number"))
                    .to_owned(),
            )
            .await?;
        let one_row = Query::insert()
            .into_table("cache_change_counter")
            .columns(["id", "number"])
            .values_panic([1.into(), 0.into()])
            .to_owned();
        manager.execute(one_row).await
    }
}
