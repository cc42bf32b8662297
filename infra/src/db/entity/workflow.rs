//! Workflows.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "workflows")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: Uuid,
    pub name: String,
    pub description: Option<String>,
    pub version: i32,
    pub project_id: Option<Uuid>,
    pub cron: Option<String>,
    pub time_zone: Option<String>,
    pub scheduled_by: Option<Uuid>,
    pub scheduled_by_key: Option<String>,
    pub scheduled_org: Option<String>,
    pub scheduled_user: Option<String>,
    pub due_at: Option<i64>,
    pub last_run_at: Option<i64>,
    pub created_at: i64,
    pub archived_at: Option<i64>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl crate::db::scoped::TenantOwned for Entity {
    const ORGANIZATION: Column = Column::OrganizationId;
}
