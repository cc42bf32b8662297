//! Calls of one caller that belong together.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "insight_sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub caller: Uuid,
    pub key_id: String,
    pub tenant_org: Option<String>,
    pub tenant_user: Option<String>,
    pub tenant: Option<Uuid>,
    pub whole_org: Option<Uuid>,
    pub tag: Option<i64>,
    pub started_at: i64,
    pub last_at: i64,
    pub content: Vec<u8>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl crate::db::scoped::TenantOwned for Entity {
    const ORGANIZATION: Column = Column::OrganizationId;
}
