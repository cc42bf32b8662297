//! Keys' metadata; it stays after revocation.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub organization_id: Uuid,
    pub owner_id: Uuid,
    pub prefix: String,
    pub name: String,
    pub description: Option<String>,
    pub kind: String,
    pub role: String,
    pub permissions: String,
    pub all_servers: bool,
    pub any_tenant: bool,
    pub tenants_version: i32,
    pub rate_requests: Option<i32>,
    pub rate_seconds: Option<i32>,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub last_used_at: Option<i64>,
    pub revoked_at: Option<i64>,
    pub revoked_by: Option<Uuid>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::organization::Entity",
        from = "Column::OrganizationId",
        to = "super::organization::Column::Id"
    )]
    Organization,
    #[sea_orm(belongs_to = "super::user::Entity", from = "Column::OwnerId", to = "super::user::Column::Id")]
    Owner,
    #[sea_orm(
        belongs_to = "super::membership::Entity",
        from = "(Column::OrganizationId, Column::OwnerId)",
        to = "(super::membership::Column::OrganizationId, super::membership::Column::UserId)"
    )]
    Membership,
}

impl ActiveModelBehavior for ActiveModel {}

impl crate::db::scoped::TenantOwned for Entity {
    const ORGANIZATION: Column = Column::OrganizationId;
}
