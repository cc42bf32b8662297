//! What is sent upstream on a caller's behalf, made once per caller, server and half minute: the signed assertion, the
//! credential (the organization's, or the tenant's own) and the target.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::access::decide::ReachableServer;
use domain::access::permission::McpConnect;
use domain::access::{Actor, Grant, TenantScope};
use domain::assertion::{ASSERTION_LIFETIME, AssertionClaims};
use domain::connection::SharedConnection;
use domain::id::{ServerId, TenantOrgId, TenantUserId, UserId};
use domain::key::KeyId;
use domain::server::breaker::Caller;
use domain::server::model::SharedServer;
use domain::server::{ServerAuth, ServerRecord, UpstreamAuth};
use domain::tenant::Tenant;
use domain::time::{Clock, SystemClock, Timestamp};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use infra::cache::GuardedCache;
use infra::token::{AssertionSigner, JwkSet};
use infra::upstream::Target;
use infra::upstream::health::{HealthBook, ServerHealth};
use secrecy::ExposeSecret;

use crate::code::Code;
use crate::problem::Problem;

/// An assertion is sent for at most half of its life, so that a server gets one that is good for a while.
const REUSE: Duration = Duration::from_secs(ASSERTION_LIFETIME.as_secs() / 2);

/// The header that the assertion is sent in.
pub const ASSERTION: HeaderName = HeaderName::from_static("x-keyrack-assertion");

/// For whom and where to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Bearer {
    key: Option<KeyId>,
    user: UserId,
    tenant_org: Option<TenantOrgId>,
    tenant_user: Option<TenantUserId>,
    server: ServerId,
}

/// Ready to be sent.
#[derive(Debug)]
pub struct Passport {
    /// Where to.
    pub target: Target,
    /// Who calls.
    pub assertion: HeaderValue,
    /// The credential.
    pub credential: Option<(HeaderName, HeaderValue)>,
    /// How the server does.
    pub health: Arc<ServerHealth>,
    /// Who calls, as the server's health knows callers.
    pub caller: Caller,
    // The record that it was made of: a changed server is another record.
    server: SharedServer,
    /// The connection that the credential is of; likewise.
    pub connection: Option<SharedConnection>,
    // The name that the assertion gives the caller's organization.
    organization: Arc<str>,
    until: Timestamp,
}

impl Passport {
    /// The headers that are ours on a request.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([(ASSERTION, self.assertion.clone())]);
        headers.extend(self.credential.clone());
        headers
    }
}

/// Makes passports, and remembers them for as long as they may be reused.
pub struct Passports {
    signer: Arc<AssertionSigner>,
    issuer: String,
    made: GuardedCache<Bearer, Arc<Passport>>,
    health: Arc<HealthBook>,
    callers: RandomState,
}

impl Passports {
    /// Passports of this installation, which upstream servers know as `issuer`.
    #[must_use]
    pub fn new(signer: Arc<AssertionSigner>, issuer: String, capacity: usize, health: Arc<HealthBook>) -> Self {
        Self { signer, issuer, made: GuardedCache::new(capacity), health, callers: RandomState::new() }
    }

    /// What upstream servers verify assertions with now.
    #[must_use]
    pub fn jwks(&self) -> JwkSet {
        self.signer.jwks(SystemClock.now())
    }

    /// The passport of this caller for this server.
    ///
    /// # Errors
    /// [`Problem`] when the stored credential cannot be a header; it is checked at registration.
    pub fn issue(
        &self,
        grant: &Grant<McpConnect>,
        server: &ReachableServer,
        connection: Option<SharedConnection>,
    ) -> Result<Arc<Passport>, Problem> {
        let bearer = bearer(grant, server);
        let now = SystemClock.now();
        if let Some(passport) = self.made.get(&bearer)
            && passport.until > now
            && Arc::ptr_eq(&passport.server, server.record())
            && same(passport.connection.as_ref(), connection.as_ref())
            && passport.organization == grant.organization().slug
        {
            return Ok(passport);
        }
        let passport = Arc::new(self.make(grant, server, connection, &bearer, now)?);
        let ticket = self.made.ticket(&bearer);
        // Nothing invalidates passports: the server's record, the connection and the organization's slug are compared at
        // every use.
        let _ = self.made.fill(ticket, bearer, Arc::clone(&passport));
        Ok(passport)
    }

    /// The headers of a request of our own on behalf of this scope: what it is sent with now. Such requests are rare, and
    /// nothing of them is remembered.
    ///
    /// # Errors
    /// [`Problem`] when the credential cannot be a header; it is checked at registration.
    pub fn headers(
        &self,
        scope: &TenantScope,
        server: &ServerRecord,
        auth: &UpstreamAuth,
    ) -> Result<HeaderMap, Problem> {
        let now = SystemClock.now();
        let unusable = || Problem::because(Code::UpstreamError, "the server's credential cannot be sent as a header");
        let assertion = self.signer.sign(&AssertionClaims::of(scope, server, &self.issuer, now), now);
        let mut headers = HeaderMap::from_iter([(ASSERTION, sensitive(&assertion).ok_or_else(unusable)?)]);
        headers.extend(credential(auth).ok_or_else(unusable)?);
        Ok(headers)
    }

    fn make(
        &self,
        grant: &Grant<McpConnect>,
        server: &ReachableServer,
        connection: Option<SharedConnection>,
        bearer: &Bearer,
        now: Timestamp,
    ) -> Result<Passport, Problem> {
        let record = server.record();
        let assertion = self.signer.sign(&AssertionClaims::of(grant, record, &self.issuer, now), now);
        let unusable = || Problem::because(Code::UpstreamError, "the server's credential cannot be sent as a header");
        let auth = match (&record.auth, &connection) {
            (ServerAuth::Organization(auth), _) => Some(auth.clone()),
            (ServerAuth::Tenant(_), Some(connection)) => connection.credential.upstream(record.auth.header()),
            (ServerAuth::Tenant(_), None) => None,
        };
        let auth = auth.ok_or_else(unusable)?;
        Ok(Passport {
            target: Target::of(record.url.as_url()).map_err(|_| unusable())?,
            assertion: sensitive(&assertion).ok_or_else(unusable)?,
            credential: credential(&auth).ok_or_else(unusable)?,
            health: self.health.of(record.id),
            caller: Caller(self.callers.hash_one(bearer)),
            server: Arc::clone(record),
            connection,
            organization: Arc::clone(&grant.organization().slug),
            until: now.after(REUSE),
        })
    }
}

fn same(one: Option<&SharedConnection>, other: Option<&SharedConnection>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn bearer(grant: &Grant<McpConnect>, server: &ReachableServer) -> Bearer {
    let (tenant_org, tenant_user) = match grant.tenant() {
        Tenant::Below { org, user } => (org.as_ref().map(|(id, _)| *id), user.as_ref().map(|(id, _)| *id)),
        Tenant::Owner | Tenant::Organization => (None, None),
    };
    let key = match grant.actor() {
        Actor::Key(facts) => Some(facts.id),
        Actor::Member(_) => None,
    };
    Bearer { key, user: grant.user().id, tenant_org, tenant_user, server: server.record().id }
}

/// A header's value that no debug print shows.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The credential as a header; `Some(None)` for a server that takes none, `None` for one that cannot be a header.
#[must_use]
pub fn credential(auth: &UpstreamAuth) -> Option<Option<(HeaderName, HeaderValue)>> {
    let header = |name: HeaderName, text: &str| Some(Some((name, sensitive(text)?)));
    match auth {
        UpstreamAuth::None => Some(None),
        UpstreamAuth::Bearer(secret) => header(AUTHORIZATION, &format!("Bearer {}", secret.expose_secret())),
        UpstreamAuth::Header { name, value } => header(name.parse().ok()?, value.expose_secret()),
        UpstreamAuth::Basic { username, password } => {
            let pair = STANDARD.encode(format!("{username}:{}", password.expose_secret()));
            header(AUTHORIZATION, &format!("Basic {pair}"))
        }
    }
}
