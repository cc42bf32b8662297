//! Rows as sea-orm sees them. Private to the store: nothing outside knows a column.

pub mod api_key;
pub mod api_key_digest;
pub mod api_key_server;
pub mod api_key_tenant;
pub mod audit_block;
pub mod audit_checkpoint;
pub mod audit_event;
pub mod audit_head;
pub mod bootstrap_token;
pub mod group;
pub mod group_member;
pub mod idempotency_key;
pub mod installation;
pub mod invitation;
pub mod membership;
pub mod organization;
pub mod organization_slug;
pub mod policy;
pub mod policy_resource;
pub mod policy_subject;
pub mod refresh_token;
pub mod server;
pub mod tenant_org;
pub mod tenant_user;
pub mod usage_bucket;
pub mod user;
