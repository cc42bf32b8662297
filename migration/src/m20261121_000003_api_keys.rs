//! Keys. What verifies a token stands in a table of its own, so that revoking deletes it and the metadata stays.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, binary_len, boolean, integer, integer_null, string, string_len, text_null, uuid,
    uuid_null,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("api_keys")
                    .col(string_len("id", 16).primary_key())
                    .col(uuid("organization_id"))
                    .col(uuid("owner_id"))
                    .col(string("prefix"))
                    .col(string("name"))
                    .col(text_null("description"))
                    .col(string("kind"))
                    .col(string("role"))
                    .col(string("permissions"))
                    .col(boolean("all_servers"))
                    .col(boolean("any_tenant"))
                    .col(integer("tenants_version"))
                    .col(integer_null("rate_requests"))
                    .col(integer_null("rate_seconds"))
                    .col(big_integer("created_at"))
                    .col(big_integer_null("expires_at"))
                    .col(big_integer_null("last_used_at"))
                    .col(big_integer_null("revoked_at"))
                    .col(uuid_null("revoked_by"))
                    .to_owned(),
            )
            .await?;
        for (name, owner) in [("api_keys_organization_created", false), ("api_keys_owner_created", true)] {
            let mut index = Index::create();
            index.name(name).table("api_keys").col("organization_id");
            if owner {
                index.col("owner_id");
            }
            manager.create_index(index.col("created_at").col("id").to_owned()).await?;
        }
        manager
            .create_table(
                Table::create()
                    .table("api_key_digests")
                    .col(binary_len("digest", 32).primary_key())
                    .col(string_len("key_id", 16))
                    .col(uuid("organization_id"))
                    .col(big_integer("created_at"))
                    .col(big_integer_null("expires_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(Index::create().name("api_key_digests_key").table("api_key_digests").col("key_id").to_owned())
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("api_key_servers")
                    .col(string_len("key_id", 16))
                    .col(uuid("server_id"))
                    .col(uuid("organization_id"))
                    .primary_key(Index::create().col("key_id").col("server_id"))
                    .to_owned(),
            )
            .await?;
        // An empty tenant_user stands for the tenant org as a whole, an empty tenant_org for the organization itself;
        // neither is a valid tenant id. `any_user` says that the org's row covers all its users.
        manager
            .create_table(
                Table::create()
                    .table("api_key_tenants")
                    .col(string_len("key_id", 16))
                    .col(string_len("tenant_org", 128))
                    .col(string_len("tenant_user", 128))
                    .col(boolean("any_user"))
                    .col(uuid("organization_id"))
                    .primary_key(Index::create().col("key_id").col("tenant_org").col("tenant_user"))
                    .to_owned(),
            )
            .await
    }
}
