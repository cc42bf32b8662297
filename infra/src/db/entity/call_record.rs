//! Calls through the gateway.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "call_records")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub at: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub request_id: Uuid,
    pub key_id: String,
    pub server_id: Uuid,
    pub tenant_org: Option<String>,
    pub tenant_user: Option<String>,
    pub kind: i16,
    pub method: Option<String>,
    pub tool: Option<String>,
    pub version: Option<String>,
    pub session: Option<i64>,
    pub outcome: i16,
    pub reason: Option<String>,
    pub status: Option<i16>,
    pub rpc_error: Option<i64>,
    pub tool_error: bool,
    pub request_bytes: i64,
    pub response_bytes: i64,
    pub first_byte: Option<i64>,
    pub took: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl crate::db::scoped::TenantOwned for Entity {
    const ORGANIZATION: Column = Column::OrganizationId;
}
