//! The signed statement of who calls, for upstream servers (design §8): a JWT in `X-Keyrack-Assertion`.

pub mod keys;

use std::time::Duration;

use crate::access::{Actor, TenantScope};
use crate::server::ServerRecord;
use crate::tenant::Tenant;
use crate::time::Timestamp;

/// How long an assertion is good for; the contract's upper bound.
pub const ASSERTION_LIFETIME: Duration = Duration::from_mins(1);

/// The claims of an assertion.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssertionClaims {
    /// This installation's public url.
    pub iss: String,
    /// The server's url, as registered.
    pub aud: String,
    /// Who acts, most specific first: the tenant user (`tus_…`), else the tenant org (`ten_…`), else the person behind
    /// the request (`usr_…`). An id of ours, so that no two callers share one and no caller can choose it.
    pub sub: String,
    /// The organization's slug.
    pub organization: String,
    /// The caller's own id of the tenant org.
    pub tenant_org: Option<String>,
    /// The caller's own id of the tenant user.
    pub tenant_user: Option<String>,
    /// The role that counts for the request.
    pub role: &'static str,
    /// The key; none for a member.
    pub key_id: Option<String>,
    /// Issued at, in seconds since the epoch.
    pub iat: i64,
    /// Good until, in seconds since the epoch.
    pub exp: i64,
}

impl AssertionClaims {
    /// What is true of this scope and server, from `now` on.
    #[must_use]
    pub fn of(scope: &TenantScope, server: &ServerRecord, issuer: &str, now: Timestamp) -> Self {
        let tenant = scope.tenant();
        let (tenant_org, tenant_user) = (tenant.org(), tenant.user());
        Self {
            iss: issuer.to_owned(),
            aud: server.url.as_url().to_string(),
            sub: subject(scope),
            organization: scope.organization().slug.to_string(),
            tenant_org: tenant_org.map(|id| id.as_str().to_owned()),
            tenant_user: tenant_user.map(|id| id.as_str().to_owned()),
            role: scope.role().as_str(),
            key_id: match scope.actor() {
                Actor::Key(facts) => Some(facts.id.to_string()),
                Actor::Member(_) => None,
            },
            iat: now.as_seconds(),
            exp: now.after(ASSERTION_LIFETIME).as_seconds(),
        }
    }
}

fn subject(scope: &TenantScope) -> String {
    match scope.tenant() {
        Tenant::Below { user: Some((id, _)), .. } => id.to_string(),
        Tenant::Below { org: Some((id, _)), .. } => id.to_string(),
        Tenant::Below { .. } | Tenant::Owner | Tenant::Organization => scope.user().id.to_string(),
    }
}
