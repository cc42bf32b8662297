//! Tenants' credentials for servers, sealed; and how servers say that they want them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, binary, boolean, small_integer, string, string_null, text, text_null, uuid,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One column per statement: SQLite takes no more. Null for the organization's.
        for column in [string_null("auth_scope"), string_null("auth_client_id"), text_null("auth_scopes")] {
            manager.alter_table(Table::alter().table("servers").add_column(column).to_owned()).await?;
        }
        manager
            .create_table(
                Table::create()
                    .table("connections")
                    .col(uuid("id").primary_key())
                    .col(uuid("organization_id"))
                    // 0 a person, 1 a tenant user.
                    .col(small_integer("holder_kind"))
                    .col(uuid("holder_id"))
                    .col(uuid("server_id"))
                    .col(text("origin"))
                    .col(string("kind"))
                    .col(binary("sealed"))
                    .col(boolean("refused"))
                    .col(big_integer("created_at"))
                    .col(big_integer_null("last_used_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("connections_holder")
                    .table("connections")
                    .col("organization_id")
                    .col("holder_kind")
                    .col("holder_id")
                    .col("server_id")
                    .unique()
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("connections_server")
                    .table("connections")
                    .col("organization_id")
                    .col("server_id")
                    .to_owned(),
            )
            .await
    }
}
