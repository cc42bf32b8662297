//! On whose behalf a schedule runs: the key that set it, and the tenant that the request named. `scheduled_by` stays empty for a
//! key's schedule, so that a node of the version before leaves it to the others instead of running it as the key's owner.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string_null;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["scheduled_by_key", "scheduled_org", "scheduled_user"] {
            let column = Table::alter().table("workflows").add_column(string_null(column)).to_owned();
            manager.alter_table(column).await?;
        }
        // A time makes one run whoever stood behind the schedule: it is found by its name alone.
        let digest =
            Index::create().name("runs_once_digest").table("runs").col("organization_id").col("once_digest").to_owned();
        manager.create_index(digest).await
    }
}
