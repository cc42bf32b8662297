//! Registered upstream servers.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "servers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub organization_id: Uuid,
    pub slug: String,
    pub name: String,
    pub description: Option<String>,
    pub url: String,
    pub auth_kind: String,
    pub auth_header: Option<String>,
    pub auth_username: Option<String>,
    pub auth_sealed: Option<Vec<u8>>,
    pub categories: String,
    pub created_at: i64,
    pub archived_at: Option<i64>,
    pub rate_requests: Option<i32>,
    pub rate_seconds: Option<i32>,
    pub allowed_secret_fields: Option<String>,
    pub connect_timeout_ms: Option<i32>,
    pub idle_timeout_ms: Option<i32>,
    pub auth_scope: Option<String>,
    pub auth_client_id: Option<String>,
    pub auth_scopes: Option<String>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl crate::db::scoped::TenantOwned for Entity {
    const ORGANIZATION: Column = Column::OrganizationId;
}
