//! The life of a key after its creation: tokens that were rotated away and work for a while yet, what the root secret's
//! own rotation has to know of them, and people who look after every organization's keys.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer_null, boolean, integer, string_len_null};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Which token of its key it is, counted from 1: what a digest cannot say once it is rewritten.
        let issue = integer("issue").default(1).to_owned();
        // Only of tokens that were rotated away; of the others the key's own says it.
        let last_used = big_integer_null("last_used_at");
        // The fingerprint of the root secret that the digest was made under; null for the installation's first.
        let root = string_len_null("root", 32);
        for (table, column) in [
            ("api_key_digests", issue),
            ("api_key_digests", last_used),
            ("api_key_digests", root),
            ("users", boolean("instance_admin").default(false).to_owned()),
        ] {
            manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
        }
        for (name, table, columns) in [
            ("api_key_digests_expires", "api_key_digests", &["expires_at"][..]),
            ("api_keys_created", "api_keys", &["created_at", "id"]),
            ("api_key_tenants_tenant", "api_key_tenants", &["organization_id", "tenant_org", "tenant_user"]),
        ] {
            let mut index = Index::create();
            index.name(name).table(table);
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
