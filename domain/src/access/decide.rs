//! The decision: whether a caller may do a thing, and which rule says no. [`Gate::decide`] is the one function behind
//! every surface and the dry run.
//!
//! The order is fixed: 401 key, 429 rate, 400 tenant syntax, 403 tenant, 403 feature, 403 role, 403 permission, 404
//! resource, 403 server, 400 body. Whoever decides here has passed the first two; the body is the handler's.

use std::sync::Arc;

use super::trail::{Check, Trail};
use super::{Actor, Holder, Permission, Role, TenantScope};
use crate::access::SystemScope;
use crate::audit::AuditEvent;
use crate::connect::link::LinkBearer;
use crate::key::KeyServers;
use crate::key::port::LiveKey;
use crate::key::verify::VerifiedKey;
use crate::organization::{Feature, Session};
use crate::policy::port::AccessDirectory;
use crate::policy::{AccessIndex, Reach};
use crate::run::actor::RunBearer;
use crate::server::model::SharedServer;
use crate::server::port::{ServerDirectory, ServerName};
use crate::server::{ServerRecord, ServerStatus};
use crate::store::StoreFault;
use crate::tenant::port::TenantDirectory;
use crate::tenant::resolve::{Admission, claim};
use crate::tenant::{
    InvalidTenant, Presence, Standing, Surface, Tenant, TenantClaim, TenantParams, TenantRefusal, TenantRule,
};

/// Why a proven caller may not do a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The organization does not have the feature.
    #[error("the organization does not have the feature {}; an admin can switch it on", needed.as_str())]
    Feature {
        /// The missing feature.
        needed: Feature,
    },
    /// The frozen role is too low.
    #[error("this needs the role {} or a higher one", needed.as_str())]
    Role {
        /// The weakest role that would do.
        needed: Role,
    },
    /// The role would do, but the permission is missing.
    #[error("this needs the permission {}", needed.as_str())]
    Permission {
        /// The missing permission.
        needed: Permission,
    },
    /// The person is no instance admin.
    #[error("this is for instance admins; `keyrack admin grant-instance-admin` makes one")]
    InstanceAdmin,
    /// No such server, or none that the key's owner reaches.
    #[error("no such server")]
    ServerNotFound,
    /// The owner reaches the server, the key does not.
    #[error("this key does not include the server")]
    ServerNotAllowed,
}

/// Why a request was refused after its caller was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A tenant parameter that cannot be one.
    #[error(transparent)]
    InvalidTenant(#[from] InvalidTenant),
    /// A tenant that the caller may not speak for.
    #[error(transparent)]
    Tenant(#[from] TenantRefusal),
    /// A role, permission or server that the caller lacks.
    #[error(transparent)]
    Denied(#[from] Denied),
}

/// Why there is no verdict in the caller's favour.
#[derive(Debug, thiserror::Error)]
pub enum DecisionFault {
    /// A rule says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A store could not answer; says nothing about the caller.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl From<InvalidTenant> for DecisionFault {
    fn from(invalid: InvalidTenant) -> Self {
        Self::Refused(invalid.into())
    }
}

impl From<TenantRefusal> for DecisionFault {
    fn from(refusal: TenantRefusal) -> Self {
        Self::Refused(refusal.into())
    }
}

impl From<Denied> for DecisionFault {
    fn from(denied: Denied) -> Self {
        Self::Refused(denied.into())
    }
}

/// What a caller asks to do.
#[derive(Debug)]
pub struct Question<'a> {
    /// Where.
    pub surface: Surface,
    /// For whom.
    pub tenant: Result<TenantParams, InvalidTenant>,
    /// The permission that it takes; none for what every valid caller may.
    pub permission: Option<Permission>,
    /// The server that it is about, by what the caller called it.
    pub server: Option<Asked<'a>>,
}

/// A server as a caller named it.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// A text that no server can have as its name.
    Nonsense,
    /// An id or a slug.
    Named(&'a ServerName),
}

impl<'a> From<Option<&'a ServerName>> for Asked<'a> {
    fn from(name: Option<&'a ServerName>) -> Self {
        name.map_or(Self::Nonsense, Self::Named)
    }
}

/// A question that was decided in the caller's favour.
#[derive(Debug)]
pub struct Verdict {
    /// The tenant, or that it would be seen for the first time.
    pub tenant: Admission,
    /// The server, where the question names one.
    pub server: Option<ReachableServer>,
}

/// A proven caller.
#[derive(Debug)]
pub enum Proof<L> {
    /// A key whose token verified.
    Key(VerifiedKey<L>),
    /// A person who signed in.
    Person(Session),
}

impl<L: LiveKey> Proof<L> {
    /// Who it is.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::Key(verified) => Actor::Key(Arc::clone(verified.facts())),
            Self::Person(session) => Actor::Member(Arc::clone(session.member())),
        }
    }
}

/// A proven caller whose question was decided in its favour.
#[derive(Debug)]
pub struct Admitted {
    /// What the request may do.
    pub scope: TenantScope,
    /// The server, where the question named one.
    pub server: Option<ReachableServer>,
}

/// A server that this caller may connect to: made only here.
#[derive(Debug, Clone)]
pub struct ReachableServer(SharedServer);

impl ReachableServer {
    /// The server.
    #[must_use]
    pub const fn record(&self) -> &SharedServer {
        &self.0
    }
}

/// Decides. Reads what it needs from memory when it is there, else from the store.
pub struct Gate<T, S, A> {
    tenants: T,
    servers: S,
    access: A,
}

impl<T: TenantDirectory, S: ServerDirectory, A: AccessDirectory> Gate<T, S, A> {
    /// Puts a gate together.
    pub const fn new(tenants: T, servers: S, access: A) -> Self {
        Self { tenants, servers, access }
    }

    /// Decides a question about an actor. Changes nothing, and proves nothing about who asks.
    ///
    /// # Errors
    /// [`DecisionFault`] with the first rule, in the fixed order, that says no.
    pub async fn decide(
        &self,
        actor: &Actor,
        question: Question<'_>,
        trail: &mut impl Trail,
    ) -> Result<Verdict, DecisionFault> {
        Ok(self.consider(actor, question, trail).await?.1)
    }

    /// Decides a proven caller's question, and makes its tenant when it is allowed and was never seen; `first_use` says
    /// how that is recorded.
    ///
    /// # Errors
    /// [`DecisionFault`]
    pub async fn admit<L: LiveKey>(
        &self,
        proof: &Proof<L>,
        question: Question<'_>,
        first_use: impl FnOnce(Actor) -> AuditEvent,
    ) -> Result<Admitted, DecisionFault> {
        self.admit_actor(proof.actor(), question, first_use).await
    }

    /// Decides as [`Gate::admit`] does about whoever made a connect link, as if they asked now.
    ///
    /// # Errors
    /// [`DecisionFault`]
    pub async fn admit_bearer(
        &self,
        bearer: &LinkBearer,
        question: Question<'_>,
        first_use: impl FnOnce(Actor) -> AuditEvent,
    ) -> Result<Admitted, DecisionFault> {
        self.admit_actor(bearer.actor().clone(), question, first_use).await
    }

    /// Decides as [`Gate::admit`] does about whoever began a run or watches one, as if they asked now.
    ///
    /// # Errors
    /// [`DecisionFault`]
    pub async fn admit_run(
        &self,
        bearer: &RunBearer,
        question: Question<'_>,
        first_use: impl FnOnce(Actor) -> AuditEvent,
    ) -> Result<Admitted, DecisionFault> {
        self.admit_actor(bearer.actor().clone(), question, first_use).await
    }

    async fn admit_actor(
        &self,
        actor: Actor,
        question: Question<'_>,
        first_use: impl FnOnce(Actor) -> AuditEvent,
    ) -> Result<Admitted, DecisionFault> {
        let (claim, Verdict { tenant, server }) = self.consider(&actor, question, &mut ()).await?;
        // Last, so that a request that is refused for another reason leaves nothing behind.
        let tenant = match tenant {
            Admission::Known(tenant) => tenant,
            Admission::FirstUse => self.first_use(&actor, &claim, first_use(actor.clone())).await?,
        };
        Ok(Admitted { scope: TenantScope::of(actor, tenant), server })
    }

    /// Resolves a verified key's tenant without waiting, as far as memory goes. None means: ask [`Gate::admit`].
    ///
    /// # Errors
    /// [`TenantRefusal`]
    pub fn resolve_cached<L: LiveKey>(
        &self,
        verified: &VerifiedKey<L>,
        surface: Surface,
        params: TenantParams,
    ) -> Result<Option<TenantScope>, TenantRefusal> {
        let actor = Actor::Key(Arc::clone(verified.facts()));
        let claim = claim(&actor, surface, params)?;
        let Some(standing) = self.known_standing(&actor, &claim) else { return Ok(None) };
        Ok(match claim.admit(rule(&actor), &standing)? {
            Admission::Known(tenant) => Some(TenantScope::of(actor, tenant)),
            Admission::FirstUse => None,
        })
    }

    async fn consider(
        &self,
        actor: &Actor,
        question: Question<'_>,
        trail: &mut impl Trail,
    ) -> Result<(TenantClaim, Verdict), DecisionFault> {
        let params = trail.note(Check::TenantSyntax, question.tenant)?;
        let tenant = async {
            let claim = claim(actor, question.surface, params)?;
            let standing = match self.known_standing(actor, &claim) {
                Some(standing) => standing,
                None => self.standing(actor, &claim).await?,
            };
            let admission = claim.admit(rule(actor), &standing)?;
            Ok::<_, DecisionFault>((claim, admission))
        };
        let (claim, tenant) = trail.note(Check::Tenant, tenant.await)?;
        if let Some(permission) = question.permission {
            trail.note(Check::Feature, within_feature(actor, permission))?;
            trail.note(Check::Role, within_role(actor, permission))?;
            trail.note(Check::Permission, holds(actor, permission))?;
        }
        let server = match question.server {
            None => None,
            Some(asked) => {
                let found = trail.note(Check::Resource, self.find(actor, asked).await)?;
                trail.note(Check::Server, within_key(actor, &found))?;
                Some(ReachableServer(found))
            }
        };
        Ok((claim, Verdict { tenant, server }))
    }

    /// A server that a proven caller names after it was admitted: the same two checks, without those that it has passed.
    ///
    /// # Errors
    /// [`DecisionFault`]
    pub async fn reach(&self, scope: &TenantScope, asked: Asked<'_>) -> Result<ReachableServer, DecisionFault> {
        let found = self.find(scope.actor(), asked).await?;
        within_key(scope.actor(), &found)?;
        Ok(ReachableServer(found))
    }

    /// Every server that a proven caller may connect to, by slug.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn reachable(&self, scope: &TenantScope) -> Result<Vec<ReachableServer>, StoreFault> {
        let organization = scope.organization().id;
        let servers = self.servers.active(&SystemScope::new(organization, "a caller asks what it reaches")).await?;
        let access = match self.access.cached(organization) {
            Some(access) => access,
            None => self.access.load(organization).await?,
        };
        let within = |server: &SharedServer| connects(scope.actor(), &access, server).is_ok();
        Ok(servers.into_iter().filter(within).map(ReachableServer).collect())
    }

    /// The server, if it takes calls and the actor's person reaches it.
    async fn find(&self, actor: &Actor, asked: Asked<'_>) -> Result<SharedServer, DecisionFault> {
        let organization = actor.organization().id;
        let Asked::Named(name) = asked else { return Err(Denied::ServerNotFound.into()) };
        let found = if let Some(server) = self.servers.cached(organization, name) {
            Some(server)
        } else {
            let scope = SystemScope::new(organization, "the decision looks for the server it is about");
            self.servers.find(&scope, name).await?
        };
        let server = found.filter(|server| server.status == ServerStatus::Active).ok_or(Denied::ServerNotFound)?;
        let access = match self.access.cached(organization) {
            Some(access) => access,
            None => self.access.load(organization).await?,
        };
        reaches(actor, &access, &server)?;
        Ok(server)
    }

    fn known_standing(&self, actor: &Actor, claim: &TenantClaim) -> Option<Standing> {
        match (claim, actor) {
            (TenantClaim::Below { .. }, Actor::Key(facts)) => self.tenants.cached(facts, claim),
            _ => Some(Standing { listed: true, org: None, user: None }),
        }
    }

    async fn standing(&self, actor: &Actor, claim: &TenantClaim) -> Result<Standing, StoreFault> {
        match actor {
            Actor::Key(facts) => self.tenants.standing(facts, claim).await,
            Actor::Member(_) => Ok(Standing { listed: true, org: None, user: None }),
        }
    }

    async fn first_use(&self, actor: &Actor, claim: &TenantClaim, event: AuditEvent) -> Result<Tenant, DecisionFault> {
        let gone = || StoreFault::Corrupt("a tenant that was just created is not there".to_owned());
        let Actor::Key(facts) = actor else { return Err(gone().into()) };
        let created = self.tenants.create(facts, claim, event).await?;
        match claim.admit(facts.tenants, &created)? {
            Admission::Known(tenant) => Ok(tenant),
            Admission::FirstUse => {
                debug_assert!(!matches!(created.user, Some(Presence::Active(_))));
                Err(gone().into())
            }
        }
    }
}

fn rule(actor: &Actor) -> TenantRule {
    match actor {
        Actor::Key(facts) => facts.tenants,
        Actor::Member(_) => TenantRule::Owner,
    }
}

/// Whether the organization has the feature that the permission needs, whatever the role: whoever is told that a role is
/// too low must not find out with the higher one that there is nothing to see.
pub(super) fn within_feature(actor: &Actor, permission: Permission) -> Result<(), Denied> {
    match permission.feature() {
        Some(needed) if !actor.organization().features.contains(needed) => Err(Denied::Feature { needed }),
        _ => Ok(()),
    }
}

/// Whether the role is high enough. Asked before the permission, so that a key that has neither learns what a new key
/// would need; a key is never told of a role for what only people may do.
pub(super) fn within_role(actor: &Actor, permission: Permission) -> Result<(), Denied> {
    let role_would_do = actor.role() >= permission.role();
    let people_alone = permission.of_keys().is_none();
    if role_would_do || (people_alone && matches!(actor, Actor::Key(_))) {
        Ok(())
    } else {
        Err(Denied::Role { needed: permission.role() })
    }
}

/// Whether the actor has the permission.
pub(super) fn holds(actor: &Actor, permission: Permission) -> Result<(), Denied> {
    if let (Holder::InstanceAdmins, Actor::Member(member)) = (permission.holder(), actor)
        && !member.instance_admin
    {
        return Err(Denied::InstanceAdmin);
    }
    let needed = match actor {
        Actor::Key(_) => permission.of_keys().unwrap_or(permission),
        Actor::Member(_) => permission,
    };
    if actor.permissions().contains(needed) { Ok(()) } else { Err(Denied::Permission { needed }) }
}

/// Whether the person behind the actor reaches a server now.
fn reaches(actor: &Actor, access: &AccessIndex, server: &ServerRecord) -> Result<(), Denied> {
    if access.permits(actor.user().id, server.id) { Ok(()) } else { Err(Denied::ServerNotFound) }
}

/// Whether the key, if it is one, includes the server.
fn within_key(actor: &Actor, server: &ServerRecord) -> Result<(), Denied> {
    match actor {
        Actor::Key(key) if !key.servers.permit(server.id) => Err(Denied::ServerNotAllowed),
        _ => Ok(()),
    }
}

/// Whether the actor may connect to a server, as [`Gate::decide`] has it: it takes calls, the person behind the actor
/// reaches it, and the key includes it.
///
/// # Errors
/// [`Denied::ServerNotFound`] or [`Denied::ServerNotAllowed`].
pub fn connects(actor: &Actor, access: &AccessIndex, server: &ServerRecord) -> Result<(), Denied> {
    if server.status != ServerStatus::Active {
        return Err(Denied::ServerNotFound);
    }
    reaches(actor, access, server)?;
    within_key(actor, server)
}

/// Whether a server may be seen and managed, archived or not. Like connecting, except that admins see every server of
/// their organization: they decide who reaches it.
///
/// # Errors
/// [`Denied::ServerNotFound`] or [`Denied::ServerNotAllowed`].
pub fn manages(actor: &Actor, access: &AccessIndex, server: &ServerRecord) -> Result<(), Denied> {
    if !sees_every_server(actor) {
        reaches(actor, access, server)?;
    }
    within_key(actor, server)
}

/// The servers that an actor sees: those that [`manages`] lets through.
#[must_use]
pub fn sees(actor: &Actor, access: &AccessIndex) -> Reach {
    let reach = if sees_every_server(actor) { Reach::every() } else { access.reach(actor.user().id) };
    match actor {
        Actor::Key(key) => match &key.servers {
            KeyServers::All => reach,
            KeyServers::Listed(listed) => reach.within(listed),
        },
        Actor::Member(_) => reach,
    }
}

/// Whether no policy narrows what the actor sees.
fn sees_every_server(actor: &Actor) -> bool {
    matches!(actor, Actor::Member(member) if member.role >= Role::Admin)
}
