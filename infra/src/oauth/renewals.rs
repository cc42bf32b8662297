//! Keeping access tokens fresh. One renewal at a time per connection, however many calls want it: with rotating refresh
//! tokens a second one would end the grant. Each runs in a task of its own, since a caller who leaves must not take the
//! new refresh token along.
//!
//! Calls of one node meet here; nodes that share a database meet at a claim in it (`db/renewal_claims`), and whoever comes
//! second finds that there is nothing left to do.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use domain::access::SystemScope;
use domain::connection::port::ConnectionDirectory;
use domain::connection::renewal::{NotRenewed, Renewals};
use domain::connection::{Connection, Credential, OAuthGrant, SharedConnection};
use domain::id::ConnectionId;
use domain::server::{ServerAuth, ServerRecord, TenantAuth};
use domain::time::{Clock, SystemClock, Timestamp};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use secrecy::ExposeSecret;
use tokio::runtime::Handle;

use super::{OAuthClient, TokenSource};
use crate::db::{SqlConnections, SqlConsents};

/// How long an authorization server that could not answer is left alone, and one whose new token a server does not take.
const PAUSE: Duration = Duration::from_secs(10);
/// How often a new token is tried to be kept, a second apart: losing it loses the grant.
const TRIES: usize = 10;

/// How long a renewal waits for another node's, and how often it looks.
const CLAIM_WAIT: Duration = Duration::from_mins(1);
const CLAIM_LOOK: Duration = Duration::from_millis(100);

type Outcome = Result<SharedConnection, NotRenewed>;

enum Attempt {
    UnderWay(Shared<BoxFuture<'static, Outcome>>),
    /// Nothing is tried again for a while: at all after a failure, without need after a success.
    Rests {
        until: Timestamp,
        failed: bool,
    },
}

/// Why a connection is renewed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Its token ends.
    Due,
    /// The server does not take its token.
    Doubt,
}

/// Renews connections, of this node.
#[derive(Clone)]
pub struct OAuthRenewals(Arc<Inner>);

struct Inner {
    client: Arc<OAuthClient>,
    connections: SqlConnections,
    consents: SqlConsents,
    attempts: DashMap<ConnectionId, Attempt>,
    // Not that of whichever worker asks first: it may end before the attempt.
    runtime: Handle,
}

impl OAuthRenewals {
    /// Renews by this client what these stores keep, in tasks of the runtime that this is called in.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[must_use]
    pub fn new(client: Arc<OAuthClient>, connections: SqlConnections, consents: SqlConsents) -> Self {
        let runtime = Handle::current();
        Self(Arc::new(Inner { client, connections, consents, attempts: DashMap::new(), runtime }))
    }

    /// The attempt that is under way, or a new one; none when there was one a moment ago.
    fn attempt(
        &self,
        connection: &SharedConnection,
        server: &ServerRecord,
        need: Need,
    ) -> Option<Shared<BoxFuture<'static, Outcome>>> {
        let mut place = match self.0.attempts.entry(connection.id) {
            Entry::Occupied(place) => match place.get() {
                Attempt::UnderWay(attempt) => return Some(attempt.clone()),
                Attempt::Rests { until, failed } if SystemClock.now() < *until && (*failed || need == Need::Doubt) => {
                    return None;
                }
                Attempt::Rests { .. } => place,
            },
            Entry::Vacant(place) => {
                place.insert_entry(Attempt::Rests { until: Timestamp::from_micros(0), failed: false })
            }
        };
        let (inner, old, configured) = (Arc::clone(&self.0), Arc::clone(connection), configured(server));
        let task = self.0.runtime.spawn(async move {
            let mut ending = Ending { inner, id: old.id, failed: true };
            let outcome = ending.inner.renew_alone(&old, need, configured.as_deref()).await;
            ending.failed = outcome.is_err();
            outcome
        });
        let attempt = task.map(|ended| ended.unwrap_or(Err(NotRenewed::Unavailable))).boxed().shared();
        place.insert(Attempt::UnderWay(attempt.clone()));
        Some(attempt)
    }
}

/// Makes room for another attempt when one ends, however it ends.
struct Ending {
    inner: Arc<Inner>,
    id: ConnectionId,
    failed: bool,
}

impl Drop for Ending {
    fn drop(&mut self) {
        let (inner, id) = (Arc::clone(&self.inner), self.id);
        inner.attempts.insert(id, Attempt::Rests { until: SystemClock.now().after(PAUSE), failed: self.failed });
        let runtime = inner.runtime.clone();
        runtime.spawn(async move {
            tokio::time::sleep(PAUSE).await;
            let now = SystemClock.now();
            inner
                .attempts
                .remove_if(&id, |_, attempt| matches!(attempt, Attempt::Rests { until, .. } if *until <= now));
        });
    }
}

/// The client that the server's organization gave.
fn configured(server: &ServerRecord) -> Option<String> {
    match &server.auth {
        ServerAuth::Tenant(TenantAuth::OAuth2(client)) => client.id.clone(),
        ServerAuth::Tenant(TenantAuth::Bearer | TenantAuth::Header { .. } | TenantAuth::Basic)
        | ServerAuth::Organization(_) => None,
    }
}

#[async_trait]
impl Renewals for OAuthRenewals {
    fn begin(&self, connection: &SharedConnection, server: &ServerRecord) {
        drop(self.attempt(connection, server, Need::Due));
    }

    fn doubted(&self, connection: &SharedConnection, server: &ServerRecord) {
        drop(self.attempt(connection, server, Need::Doubt));
    }

    async fn renewed(&self, connection: &SharedConnection, server: &ServerRecord) -> Outcome {
        match self.attempt(connection, server, Need::Due) {
            Some(attempt) => attempt.await,
            None => Err(NotRenewed::Unavailable),
        }
    }
}

fn same_token(one: &Connection, other: &Connection) -> bool {
    let token = |connection: &Connection| connection.credential.grant().map(|grant| grant.access.clone());
    token(one).zip(token(other)).is_some_and(|(one, other)| one.expose_secret() == other.expose_secret())
}

impl Inner {
    /// Renews when no other node does.
    async fn renew_alone(&self, old: &SharedConnection, need: Need, configured: Option<&str>) -> Outcome {
        let began = tokio::time::Instant::now();
        let claim = loop {
            match self.connections.begin_renewal(old.id).await.map_err(|fault| failed(&fault))? {
                Some(claim) => break claim,
                None if began.elapsed() > CLAIM_WAIT => return Err(NotRenewed::Unavailable),
                None => tokio::time::sleep(CLAIM_LOOK).await,
            }
        };
        let outcome = self.renew(old, need, configured).await;
        if let Err(fault) = self.connections.end_renewal(claim).await {
            let cause = &fault as &dyn std::error::Error;
            tracing::warn!(error = cause, "other nodes wait for the end of a claim to a renewal");
        }
        outcome
    }

    async fn renew(&self, old: &SharedConnection, need: Need, configured: Option<&str>) -> Outcome {
        let scope = SystemScope::new(old.organization, "a connection is renewed for its own tenant's calls");
        let current = self.connections.find(&scope, old.holder, old.server).await.map_err(|fault| failed(&fault))?;
        let current = current.ok_or(NotRenewed::Over)?;
        let Credential::OAuth(grant) = &current.credential else { return Ok(current) };
        if current.refused {
            return Err(NotRenewed::Over);
        }
        let now = SystemClock.now();
        let doubted = need == Need::Doubt && same_token(&current, old);
        if !doubted && !grant.is_due(now) && !grant.is_over(now) {
            // Somebody was first, or it was connected anew.
            return Ok(current);
        }
        let Some(token) = &grant.refresh else {
            return self.refuse(&current, "the access token is over, and there is no refresh token").await;
        };
        match self.client.refresh(&TokenSource::of(grant), token).await {
            Ok(tokens) => self.keep(&scope, &current, tokens.grant(TokenSource::of(grant), SystemClock.now())).await,
            Err(fault) if fault.ends_grant() => self.refuse(&current, "the authorization server ended the grant").await,
            Err(fault) if fault.forgets_client() && configured != Some(&grant.client_id) => {
                let _ = self
                    .consents
                    .forget_client(&scope, current.server, &grant.client_id)
                    .await
                    .map_err(|fault| failed(&fault));
                self.refuse(&current, "the authorization server no longer knows the client").await
            }
            Err(fault) => Err(failed(&fault)),
        }
    }

    async fn keep(&self, scope: &SystemScope, current: &Connection, grant: OAuthGrant) -> Outcome {
        let mut tries = 0;
        loop {
            match self.connections.renew(scope, current, &grant).await {
                Ok(()) => break,
                Err(fault) if tries == TRIES => return Err(failed(&fault)),
                Err(fault) => {
                    tries += 1;
                    tracing::warn!(
                        error = &fault as &dyn std::error::Error,
                        tries,
                        "a new access token waits to be kept"
                    );
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        let found = self.connections.find(scope, current.holder, current.server).await;
        found.map_err(|fault| failed(&fault))?.ok_or(NotRenewed::Over)
    }

    async fn refuse(&self, current: &Connection, why: &'static str) -> Outcome {
        self.connections.refuse(current, why).await.map_err(|fault| failed(&fault))?;
        Err(NotRenewed::Over)
    }
}

fn failed(fault: &(dyn std::error::Error + 'static)) -> NotRenewed {
    tracing::warn!(error = fault, "an access token was not renewed");
    NotRenewed::Unavailable
}
