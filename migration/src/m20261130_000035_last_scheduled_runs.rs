//! When a workflow last ran by its schedule. Its runs tell that no longer once they are cleared out.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer_null;

#[derive(DeriveMigrationName)]
pub struct Migration;

/// What the runs that there are tell.
const SO_FAR: &str = "UPDATE workflows SET last_run_at = \
                      (SELECT MAX(created_at) FROM runs WHERE runs.organization_id = workflows.organization_id \
                       AND runs.workflow_id = workflows.id AND begun_by = 2)";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = Table::alter().table("workflows").add_column(big_integer_null("last_run_at")).to_owned();
        manager.alter_table(column).await?;
        manager.get_connection().execute_unprepared(SO_FAR).await.map(drop)
    }
}
