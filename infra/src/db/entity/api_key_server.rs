//! The servers that a key lists.

use sea_orm::entity::prelude::*;

#[expect(clippy::struct_field_names, reason = "the columns' names")]
#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_key_servers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub server_id: Uuid,
    pub organization_id: Uuid,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl crate::db::scoped::TenantOwned for Entity {
    const ORGANIZATION: Column = Column::OrganizationId;
}
