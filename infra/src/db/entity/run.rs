//! Runs of workflows.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: Uuid,
    pub workflow_id: Uuid,
    pub version: i32,
    pub status: i16,
    pub reason: Option<String>,
    pub begun_by: i16,
    pub actor: String,
    pub actor_name: String,
    pub tenant_org: Option<String>,
    pub tenant_user: Option<String>,
    pub once_digest: Option<Vec<u8>>,
    pub once_fingerprint: Option<Vec<u8>>,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub cancelled_at: Option<i64>,
    pub revision: i64,
    pub claim: i64,
    pub node: Option<Uuid>,
    pub lease_until: Option<i64>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl crate::db::scoped::TenantOwned for Entity {
    const ORGANIZATION: Column = Column::OrganizationId;
}
