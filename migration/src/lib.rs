//! The schema, one file per step. Every step runs on SQLite and on PostgreSQL, and only ever adds: the version before
//! must go on working while nodes are replaced one by one.
//!
//! Conventions: ids are 16-byte UUIDs except a key's, which is its 16 characters; times are microseconds since the epoch
//! (`bigint`); every table that belongs to organizations has `organization_id`.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::ConnectionTrait;
use sea_orm_migration::seaql_migrations;
pub use standing::Standing;

mod m20261121_000001_accounts;
mod m20261121_000002_servers;
mod m20261121_000003_api_keys;
mod m20261121_000004_tenants;
mod m20261121_000005_audit;
mod m20261121_000006_installation;
mod m20261121_000007_audit_reading;
mod m20261121_000008_people;
mod m20261121_000009_key_life;
mod m20261121_000010_limits;
mod m20261121_000011_policies;
mod m20261121_000012_allowed_fields;
mod m20261121_000013_server_timeouts;
mod m20261121_000014_assertion_keys;
mod m20261121_000015_call_records;
mod m20261121_000016_audit_blocks;
mod m20261121_000017_connections;
mod m20261121_000018_projects;
mod m20261121_000019_capabilities;
mod m20261121_000020_consents;
mod m20261121_000021_call_telemetry;
mod m20261121_000022_workflows;
mod m20261121_000023_workflow_proposals;
mod m20261121_000024_runs;
mod m20261121_000025_baselines;
mod m20261121_000026_insights;
mod m20261121_000028_nodes;
mod m20261121_000029_cache_changes;
mod m20261122_000030_node_details;
mod m20261122_000031_audit_journals;
mod m20261122_000032_audit_block_times;
mod m20261130_000033_insight_weeks;
mod m20261130_000034_schedule_owners;
mod m20261130_000035_last_scheduled_runs;
mod standing;

/// All steps, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_accounts::Migration),
            Box::new(m20261121_000002_servers::Migration),
            Box::new(m20261121_000003_api_keys::Migration),
            Box::new(m20261121_000004_tenants::Migration),
            Box::new(m20261121_000005_audit::Migration),
            Box::new(m20261121_000006_installation::Migration),
            Box::new(m20261121_000007_audit_reading::Migration),
            Box::new(m20261121_000008_people::Migration),
            Box::new(m20261121_000009_key_life::Migration),
            Box::new(m20261121_000010_limits::Migration),
            Box::new(m20261121_000011_policies::Migration),
            Box::new(m20261121_000012_allowed_fields::Migration),
            Box::new(m20261121_000013_server_timeouts::Migration),
            Box::new(m20261121_000014_assertion_keys::Migration),
            Box::new(m20261121_000015_call_records::Migration),
            Box::new(m20261121_000016_audit_blocks::Migration),
            Box::new(m20261121_000017_connections::Migration),
            Box::new(m20261121_000018_projects::Migration),
            Box::new(m20261121_000019_capabilities::Migration),
            Box::new(m20261121_000020_consents::Migration),
            Box::new(m20261121_000021_call_telemetry::Migration),
            Box::new(m20261121_000022_workflows::Migration),
            Box::new(m20261121_000023_workflow_proposals::Migration),
            Box::new(m20261121_000028_nodes::Migration),
            Box::new(m20261121_000029_cache_changes::Migration),
            Box::new(m20261121_000024_runs::Migration),
            Box::new(m20261121_000025_baselines::Migration),
            Box::new(m20261121_000026_insights::Migration),
            Box::new(m20261122_000030_node_details::Migration),
            Box::new(m20261122_000031_audit_journals::Migration),
            Box::new(m20261122_000032_audit_block_times::Migration),
            Box::new(m20261130_000033_insight_weeks::Migration),
            Box::new(m20261130_000034_schedule_owners::Migration),
            Box::new(m20261130_000035_last_scheduled_runs::Migration),
        ]
    }

    /// Those of this version alone. By itself the migrator refuses a database that has a step which it does not know: then a
    /// node of the version before could not start again once a newer one has migrated, and nobody could go back.
    async fn get_migration_models<C>(db: &C) -> Result<Vec<seaql_migrations::Model>, DbErr>
    where
        C: ConnectionTrait,
    {
        Self::install(db).await?;
        let known = Self::migrations();
        let mut steps = standing::steps(db).await?;
        steps.retain(|step| known.iter().any(|known| known.name() == step.version));
        Ok(steps)
    }
}
