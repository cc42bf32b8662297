//! The suite: real servers on real sockets, one file per theme, filed like the product. A test's name is its guarantee.

#![expect(clippy::disallowed_methods, reason = "tests look at the database from outside, and break it")]

/// Each contract becomes two tests.
macro_rules! on_both {
    ($($(#[$doc:meta])* $name:ident)+) => {
        mod sqlite { $( #[tokio::test] async fn $name() { super::$name(support::Store::Sqlite).await; } )+ }
        mod postgres { $( #[tokio::test] async fn $name() { super::$name(support::Store::Postgres).await; } )+ }
    };
}

mod accounts;
mod api_keys;
mod assertion_keys;
mod audit_changes;
mod audit_events;
mod audit_export;
mod audit_store;
mod authentication;
mod bad_input;
mod breaker;
mod bulk_revocation;
mod call_records;
mod calls_store;
mod capabilities;
mod chromium;
mod clients;
mod command_line;
mod connect_page;
mod connecting;
mod connections;
mod corpus;
mod cors;
mod crashes;
mod decisions;
mod dependencies;
mod deployment;
mod doctor;
mod doctor_reached;
mod documents;
mod failover;
mod failures;
mod faults;
mod fuzz;
mod gateway;
mod guard;
mod idempotency;
mod identity;
mod insights;
mod insights_sums;
mod instance_admins;
mod invitations;
mod isolation;
mod journal;
mod key_changes;
mod limits;
mod lookups;
mod many_keys;
mod matrix;
mod mcp_servers;
mod members;
mod migrations;
mod mixup;
mod modern;
mod newer_version;
mod no_writes;
mod nodes;
mod nodes_apart;
mod oauth_client;
mod organizations;
mod overtaken;
mod people_stores;
mod platform;
mod platform_workflows;
mod policies;
mod program;
mod projects;
mod protocol;
mod renewals;
mod revocation;
mod revocation_model;
mod revocation_under_load;
mod roles;
mod root_rolling;
mod root_secret;
mod rotation;
mod row_locks;
mod run_ends;
mod run_events;
mod run_nodes;
mod run_queue;
mod runs;
mod runs_everything;
mod schedule_owners;
mod schedules;
mod secrets;
mod server_timeouts;
mod sessions;
mod shared_limits;
mod sign_in;
mod stopping;
mod stores;
mod streams;
mod tenancy;
mod tenancy_model;
mod tenants;
mod timeouts;
mod tool_lists;
mod usage;
mod verifiers;
mod workflow_proposals;
mod workflows;
