//! Tenant orgs and tenant users, known since their first use.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, string_len, uuid};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("tenant_orgs")
                    .col(uuid("id").primary_key())
                    .col(uuid("organization_id"))
                    .col(string_len("external_id", 128))
                    .col(big_integer("created_at"))
                    .col(big_integer_null("suspended_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("tenant_orgs_external")
                    .table("tenant_orgs")
                    .col("organization_id")
                    .col("external_id")
                    .unique()
                    .to_owned(),
            )
            .await?;
        // tenant_org_id is the nil UUID for users directly below the organization: a unique index ignores NULLs.
        manager
            .create_table(
                Table::create()
                    .table("tenant_users")
                    .col(uuid("id").primary_key())
                    .col(uuid("organization_id"))
                    .col(uuid("tenant_org_id"))
                    .col(string_len("external_id", 128))
                    .col(big_integer("created_at"))
                    .col(big_integer_null("suspended_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("tenant_users_external")
                    .table("tenant_users")
                    .col("organization_id")
                    .col("tenant_org_id")
                    .col("external_id")
                    .unique()
                    .to_owned(),
            )
            .await
    }
}
