//! Groups and access policies. Every organization begins with one policy: everyone reaches every server.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string, text_null, uuid};
use sea_orm_migration::sea_orm::prelude::Uuid;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, unique, described) in [("groups", "groups_name", true), ("policies", "policies_name", false)] {
            let mut create = Table::create();
            create
                .table(table)
                .col(uuid("id").primary_key())
                .col(uuid("organization_id"))
                .col(string("name"))
                .col(big_integer("created_at"));
            if described {
                create.col(text_null("description"));
            }
            manager.create_table(create).await?;
            let mut index = Index::create();
            manager
                .create_index(index.name(unique).table(table).col("organization_id").col("name").unique().to_owned())
                .await?;
        }
        manager
            .create_table(
                Table::create()
                    .table("group_members")
                    .col(uuid("organization_id"))
                    .col(uuid("group_id"))
                    .col(uuid("user_id"))
                    .primary_key(Index::create().col("organization_id").col("group_id").col("user_id"))
                    .to_owned(),
            )
            .await?;
        // The nil UUID stands for "everyone" and "every server": a primary key takes no NULL.
        for (table, part) in [("policy_subjects", "subject_id"), ("policy_resources", "server_id")] {
            manager
                .create_table(
                    Table::create()
                        .table(table)
                        .col(uuid("organization_id"))
                        .col(uuid("policy_id"))
                        .col(string("kind"))
                        .col(uuid(part))
                        .primary_key(Index::create().col("organization_id").col("policy_id").col("kind").col(part))
                        .to_owned(),
                )
                .await?;
        }
        first_policies(manager).await
    }
}

/// The first policy of organizations that are there already. It has its organization's id, which no other policy has.
async fn first_policies(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let nil = || Expr::value(Uuid::nil());
    let organizations = |select: &mut SelectStatement| select.from("organizations").to_owned();
    let mut policies = Query::insert();
    policies
        .into_table("policies")
        .columns(["id", "organization_id", "name", "created_at"])
        .select_from(organizations(
            Query::select().columns(["id", "id"]).expr(Expr::value("Everyone")).column("created_at"),
        ))
        .map_err(|error| DbErr::Migration(error.to_string()))?;
    manager.execute(policies).await?;
    for (table, part, kind) in
        [("policy_subjects", "subject_id", "everyone"), ("policy_resources", "server_id", "every_server")]
    {
        let mut parts = Query::insert();
        parts
            .into_table(table)
            .columns(["organization_id", "policy_id", "kind", part])
            .select_from(organizations(Query::select().columns(["id", "id"]).expr(Expr::value(kind)).expr(nil())))
            .map_err(|error| DbErr::Migration(error.to_string()))?;
        manager.execute(parts).await?;
    }
    Ok(())
}
