//! Whom a run acts for. A run has no caller of its own: whoever began it is looked up again, in the store, when it runs and
//! before each step, and decided like the caller of a request.

use std::sync::Arc;

use super::port::Standings;
use crate::access::decide::Question;
use crate::access::{Actor, Permission, TenantScope};
use crate::audit::{AuditActor, AuditEvent, AuditTarget};
use crate::id::{OrganizationId, RunId, UserId};
use crate::key::KeyId;
use crate::key::verify::expired;
use crate::store::StoreFault;
use crate::tenant::{Surface, Tenant, TenantParams};
use crate::time::Timestamp;

/// A key or a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Who {
    /// A key.
    Key(KeyId),
    /// A person.
    Person(UserId),
}

impl Who {
    /// The outward id.
    #[must_use]
    pub fn id(self) -> String {
        match self {
            Self::Key(id) => id.to_string(),
            Self::Person(id) => id.to_string(),
        }
    }

    /// The word in JSON.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::Person(_) => "member",
        }
    }
}

impl Who {
    /// What they are called now: a key's name, a person's e-mail address; their id when they are not there any more.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn name(self, organization: OrganizationId, standings: &dyn Standings) -> Result<String, StoreFault> {
        let name = match self {
            Self::Key(id) => standings.key(organization, id).await?.map(|key| key.facts.name.to_string()),
            Self::Person(id) => standings.person(organization, id).await?.map(|facts| facts.user.email.to_string()),
        };
        Ok(name.unwrap_or_else(|| self.id()))
    }
}

/// Who began a run, and for which tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunActor {
    /// Who.
    pub who: Who,
    /// What they were called then.
    pub name: String,
    /// The tenant org, in their own words.
    pub org: Option<String>,
    /// The tenant user, likewise.
    pub user: Option<String>,
}

/// Why nobody stands behind a run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// The key was revoked, has expired, or its owner is no active member.
    #[error("the key that began the run was revoked or has expired, or its owner is no active member")]
    Key,
    /// The person is no active member.
    #[error("the person behind the run is no active member")]
    Person,
}

/// Whoever began a run, as they stand now.
#[derive(Debug, Clone)]
pub struct RunBearer(Actor);

impl RunBearer {
    /// Who it is.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.0
    }
}

impl RunActor {
    /// Whoever makes this request.
    #[must_use]
    pub fn of(scope: &TenantScope) -> Self {
        let (who, name) = match scope.actor() {
            Actor::Key(key) => (Who::Key(key.id), key.name.to_string()),
            Actor::Member(member) => (Who::Person(member.user.id), member.user.email.to_string()),
        };
        let tenant = scope.tenant();
        let text = |text: &crate::tenant::TenantText| text.as_str().to_owned();
        Self { who, name, org: tenant.org().map(text), user: tenant.user().map(text) }
    }

    /// How they stand now.
    ///
    /// # Errors
    /// Outside, [`StoreFault`]; inside, [`Gone`].
    pub async fn bearer(
        &self,
        organization: OrganizationId,
        standings: &dyn Standings,
        now: Timestamp,
    ) -> Result<Result<RunBearer, Gone>, StoreFault> {
        let actor = match self.who {
            Who::Key(id) => {
                let standing = standings.key(organization, id).await?;
                let good = standing.filter(|key| key.ended.is_none() && !expired(&key.facts, now));
                good.map(|key| Actor::Key(key.facts)).ok_or(Gone::Key)
            }
            Who::Person(id) => {
                let member = standings.person(organization, id).await?;
                member.map(|facts| Actor::Member(Arc::new(facts))).ok_or(Gone::Person)
            }
        };
        Ok(actor.map(RunBearer))
    }

    /// What they would be asked if they began the run now.
    #[must_use]
    pub fn question(&self) -> Question<'static> {
        Question {
            surface: Surface::Elsewhere,
            tenant: TenantParams::of(self.org.as_deref(), self.user.as_deref()),
            permission: Some(Permission::RunsDispatch),
            server: None,
        }
    }

    /// An event of their run that they do not make themselves: its end, or that it was begun by a schedule.
    #[must_use]
    pub fn event(&self, organization: OrganizationId, run: RunId, action: &'static str, at: Timestamp) -> AuditEvent {
        let actor = match self.who {
            Who::Key(id) => AuditActor::Key(id),
            Who::Person(id) => AuditActor::User(id),
        };
        AuditEvent {
            organization: Some(organization),
            target: AuditTarget::Run(run),
            ..AuditEvent::unproven(actor, action, at)
        }
    }
}

/// Which runs a caller sees: a key that speaks for tenants those of the tenant that the request names, and without one
/// those of no tenant. Solo keys and people see all of their organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// Every run.
    Everybodys,
    /// Of this tenant; of none, if neither is there.
    Tenant {
        /// The tenant org.
        org: Option<&'a str>,
        /// The tenant user.
        user: Option<&'a str>,
    },
}

impl<'a> Whose<'a> {
    /// What this caller sees.
    #[must_use]
    pub fn seen_by(scope: &'a TenantScope) -> Self {
        match scope.tenant() {
            Tenant::Owner => Self::Everybodys,
            tenant @ (Tenant::Organization | Tenant::Below { .. }) => Self::Tenant {
                org: tenant.org().map(crate::tenant::TenantText::as_str),
                user: tenant.user().map(crate::tenant::TenantText::as_str),
            },
        }
    }
}
