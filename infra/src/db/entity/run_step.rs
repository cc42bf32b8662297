//! Steps of runs.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "run_steps")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    pub organization_id: Uuid,
    pub name: String,
    pub server_id: Uuid,
    pub tool: String,
    pub required: bool,
    pub safe: bool,
    pub status: i16,
    pub tries: i32,
    pub began_at: Option<i64>,
    pub took: Option<i64>,
    pub evidence: String,
    pub carried: Option<Vec<u8>>,
    pub revision: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl crate::db::scoped::TenantOwned for Entity {
    const ORGANIZATION: Column = Column::OrganizationId;
}
