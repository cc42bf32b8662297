//! When a workflow last ran by its schedule. Its runs tell that no longer once they are cleared out.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer_null;

#[derive(DeriveMigrationName)]
pub struct Migration;

/// How rows of runs say that a schedule began them.
const BY_SCHEDULE: i16 = 2;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = Table::alter().table("workflows").add_column(big_integer_null("last_run_at")).to_owned();
        manager.alter_table(column).await?;
        // What the runs that there are tell.
        let last = Query::select()
            .expr(Expr::col("created_at").max())
            .from("runs")
            .and_where(Expr::col(("runs", "organization_id")).equals(("workflows", "organization_id")))
            .and_where(Expr::col(("runs", "workflow_id")).equals(("workflows", "id")))
            .and_where(Expr::col(("runs", "begun_by")).eq(BY_SCHEDULE))
            .to_owned();
        let last = SimpleExpr::SubQuery(None, Box::new(last.into()));
        manager.execute(Query::update().table("workflows").value("last_run_at", last).to_owned()).await
    }
}
