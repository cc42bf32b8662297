//! What verifies tokens. A row here is a working token.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_key_digests")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: Vec<u8>,
    pub key_id: String,
    pub organization_id: Uuid,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub issue: i32,
    pub last_used_at: Option<i64>,
    pub root: Option<String>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "super::api_key::Entity", from = "Column::KeyId", to = "super::api_key::Column::Id")]
    Key,
}

impl ActiveModelBehavior for ActiveModel {}

impl crate::db::scoped::TenantOwned for Entity {
    const ORGANIZATION: Column = Column::OrganizationId;
}
