//! Changes of workflows that somebody proposes.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "workflow_proposals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: Uuid,
    pub workflow_id: Uuid,
    pub version: i32,
    pub change: String,
    pub replaced: String,
    pub note: Option<String>,
    pub state: String,
    pub proposed_by: Uuid,
    pub created_at: i64,
    pub expires_at: i64,
    pub decided_by: Option<Uuid>,
    pub decided_at: Option<i64>,
    pub applied_version: Option<i32>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl crate::db::scoped::TenantOwned for Entity {
    const ORGANIZATION: Column = Column::OrganizationId;
}
