//! Members beyond the owner: invitations, features and slugs of organizations, and one owner at most, kept by the store
//! itself.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, binary_len, string, uuid};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_index(
                Index::create()
                    .name("memberships_one_owner")
                    .table("memberships")
                    .col("organization_id")
                    .unique()
                    .cond_where(Expr::col("role").eq("owner"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("memberships_organization_created")
                    .table("memberships")
                    .col("organization_id")
                    .col("created_at")
                    .col("user_id")
                    .to_owned(),
            )
            .await?;
        // Names between blanks, like a key's permissions.
        manager
            .alter_table(
                Table::alter()
                    .table("organizations")
                    .add_column(ColumnDef::new("features").string().not_null().default(""))
                    .to_owned(),
            )
            .await?;
        // Every slug that an organization has or had. Slugs stand in assertions, and upstream servers may keep data by them:
        // nobody else gets one that was in use.
        manager
            .create_table(
                Table::create()
                    .table("organization_slugs")
                    .col(string("slug").primary_key())
                    .col(uuid("organization_id"))
                    .to_owned(),
            )
            .await?;
        let mut known = Query::insert();
        known.into_table("organization_slugs").columns(["slug", "organization_id"]);
        known
            .select_from(Query::select().columns(["slug", "id"]).from("organizations").to_owned())
            .map_err(|error| DbErr::Custom(error.to_string()))?;
        manager.execute(known).await?;
        // A row here is a link that works, or was not used in time: accepting and revoking delete it.
        manager
            .create_table(
                Table::create()
                    .table("invitations")
                    .col(uuid("id").primary_key())
                    .col(uuid("organization_id"))
                    .col(string("email"))
                    .col(string("role"))
                    .col(binary_len("digest", 32).unique_key())
                    .col(uuid("invited_by"))
                    .col(big_integer("created_at"))
                    .col(big_integer("expires_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("invitations_organization_email")
                    .table("invitations")
                    .col("organization_id")
                    .col("email")
                    .unique()
                    .to_owned(),
            )
            .await?;
        for (name, table, columns) in [
            ("invitations_expires_at", "invitations", &["expires_at"][..]),
            ("refresh_tokens_person", "refresh_tokens", &["organization_id", "user_id"]),
            ("refresh_tokens_expires_at", "refresh_tokens", &["expires_at"]),
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
