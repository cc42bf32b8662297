//! Tenants as they are managed: made before their first use, suspended, and resumed.
//!
//! People manage all tenants of their organization, and so does a solo key, which stands for its owner. Other keys manage
//! the tenants that they may speak for, and no others: a client key users of the organization, a platform key tenant
//! orgs and their users.

use std::sync::Arc;

use async_trait::async_trait;

use super::allowed::TenantRule;
use super::params::TenantText;
use super::port::TenantDirectory;
use super::resolve::{TenantClaim, TenantRefusal};
use crate::access::permission::ServersWrite;
use crate::access::{Actor, Grant};
use crate::audit::AuditEvent;
use crate::field::FieldErrors;
use crate::id::{TenantOrgId, TenantUserId};
use crate::key::KeyId;
use crate::page::{Page, PageRequest};
use crate::store::StoreFault;
use crate::time::{Clock, Timestamp};

/// A customer's organization below ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantOrg {
    /// Our id.
    pub id: TenantOrgId,
    /// The caller's, as in `?org_id=`.
    pub external: TenantText,
    /// When it was first used or made.
    pub created_at: Timestamp,
    /// When it was suspended, if it is.
    pub suspended_at: Option<Timestamp>,
}

/// An end user below ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantUser {
    /// Our id.
    pub id: TenantUserId,
    /// The caller's, as in `?user_id=`.
    pub external: TenantText,
    /// The tenant org that it is below; none for one directly below the organization.
    pub org: Option<TenantText>,
    /// When it was first used or made.
    pub created_at: Timestamp,
    /// When it was suspended, if it is. Its tenant org may be besides.
    pub suspended_at: Option<Timestamp>,
}

/// Something as it stands after a call, and whether the call changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<T> {
    /// As it stands.
    pub now: T,
    /// Whether this call made it so.
    pub newly: bool,
}

/// Which tenants a caller manages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Managed {
    /// All of them.
    All,
    /// Users directly below the organization: all, or those on this key's list.
    Users(Option<KeyId>),
    /// Tenant orgs and their users: all, or those on this key's list.
    Orgs(Option<KeyId>),
}

impl Managed {
    /// What this caller manages.
    #[must_use]
    pub fn by(grant: &Grant<ServersWrite>) -> Self {
        let Actor::Key(facts) = grant.actor() else { return Self::All };
        let list = facts.tenants.needs_list().then_some(facts.id);
        match facts.tenants {
            TenantRule::Owner => Self::All,
            TenantRule::Users { .. } => Self::Users(list),
            TenantRule::Orgs { .. } => Self::Orgs(list),
        }
    }
}

/// Which tenants a list shows; what is none does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantFilter {
    /// Of, or below, this tenant org.
    pub org: Option<TenantText>,
    /// This user.
    pub user: Option<TenantText>,
    /// Suspended ones, or those that are not.
    pub suspended: Option<bool>,
}

impl TenantFilter {
    /// Narrowed to the tenant that the request itself speaks for. None when nothing is left.
    fn within(mut self, grant: &Grant<ServersWrite>) -> Option<Self> {
        for (slot, spoken) in [(&mut self.org, grant.tenant().org()), (&mut self.user, grant.tenant().user())] {
            match (slot.as_ref(), spoken) {
                (_, None) => {}
                (Some(asked), Some(spoken)) if asked != spoken => return None,
                (_, Some(spoken)) => *slot = Some(spoken.clone()),
            }
        }
        Some(self)
    }
}

/// Keeps tenants.
#[async_trait]
pub trait TenantRegistry: Send + Sync {
    /// Makes a tenant org, or finds it.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn make_org(
        &self,
        grant: &Grant<ServersWrite>,
        org: &TenantText,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<Changed<TenantOrg>, StoreFault>;

    /// Makes a tenant user, or finds it. None when there is no such tenant org.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn make_user(
        &self,
        grant: &Grant<ServersWrite>,
        org: Option<&TenantText>,
        user: &TenantText,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<Option<Changed<TenantUser>>, StoreFault>;

    /// A page of tenant orgs, in the order of their making.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn orgs(
        &self,
        grant: &Grant<ServersWrite>,
        managed: Managed,
        filter: TenantFilter,
        page: PageRequest<TenantOrgId>,
    ) -> Result<Page<TenantOrg, TenantOrgId>, StoreFault>;

    /// A page of tenant users, in the order of their making.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn users(
        &self,
        grant: &Grant<ServersWrite>,
        managed: Managed,
        filter: TenantFilter,
        page: PageRequest<TenantUserId>,
    ) -> Result<Page<TenantUser, TenantUserId>, StoreFault>;

    /// Suspends a tenant org that the caller manages, or resumes it. When it returns, every request that starts sees it.
    /// None when there is no such tenant org, or the caller manages none of it.
    ///
    /// # Errors
    /// [`SuspendFault`]
    async fn suspend_org(
        &self,
        grant: &Grant<ServersWrite>,
        managed: Managed,
        id: TenantOrgId,
        suspended_at: Option<Timestamp>,
        event: AuditEvent,
    ) -> Result<Option<Changed<TenantOrg>>, SuspendFault>;

    /// The same for a tenant user.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn suspend_user(
        &self,
        grant: &Grant<ServersWrite>,
        managed: Managed,
        id: TenantUserId,
        suspended_at: Option<Timestamp>,
        event: AuditEvent,
    ) -> Result<Option<Changed<TenantUser>>, StoreFault>;
}

/// Why a tenant org was not suspended or resumed.
#[derive(Debug, thiserror::Error)]
pub enum SuspendFault {
    /// The key may speak for some of its users alone.
    #[error("only some of its users")]
    InPart,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Why a tenant could not be made, listed, suspended or resumed.
#[derive(Debug, thiserror::Error)]
pub enum TenantFault {
    /// Wrong fields.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// The caller does not manage that tenant.
    #[error(transparent)]
    Refused(#[from] TenantRefusal),
    /// There is none.
    #[error("no such tenant")]
    NotFound,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl From<SuspendFault> for TenantFault {
    fn from(fault: SuspendFault) -> Self {
        match fault {
            SuspendFault::InPart => Self::Refused(TenantRefusal::NotAllowed),
            SuspendFault::Store(fault) => fault.into(),
        }
    }
}

/// The use cases of tenants.
pub struct TenantService<D, C> {
    registry: Arc<dyn TenantRegistry>,
    directory: D,
    clock: C,
}

impl<D: TenantDirectory, C: Clock> TenantService<D, C> {
    /// Puts the service together.
    pub fn new(registry: Arc<dyn TenantRegistry>, directory: D, clock: C) -> Self {
        Self { registry, directory, clock }
    }

    /// Makes a tenant org before its first use. One that is there already stays as it is.
    ///
    /// # Errors
    /// [`TenantFault`]
    pub async fn make_org(
        &self,
        grant: &Grant<ServersWrite>,
        org: TenantText,
        event: AuditEvent,
    ) -> Result<Changed<TenantOrg>, TenantFault> {
        self.check(grant, Some(&org), None).await?;
        Ok(self.registry.make_org(grant, &org, self.clock.now(), event).await?)
    }

    /// Makes a tenant user before its first use. One that is there already stays as it is.
    ///
    /// # Errors
    /// [`TenantFault`]
    pub async fn make_user(
        &self,
        grant: &Grant<ServersWrite>,
        org: Option<TenantText>,
        user: TenantText,
        event: AuditEvent,
    ) -> Result<Changed<TenantUser>, TenantFault> {
        self.check(grant, org.as_ref(), Some(&user)).await?;
        let made = self.registry.make_user(grant, org.as_ref(), &user, self.clock.now(), event).await?;
        made.ok_or_else(|| FieldErrors::one("orgId", "there is no such tenant org; create it first").into())
    }

    /// A page of tenant orgs.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn orgs(
        &self,
        grant: &Grant<ServersWrite>,
        filter: TenantFilter,
        page: PageRequest<TenantOrgId>,
    ) -> Result<Page<TenantOrg, TenantOrgId>, StoreFault> {
        match filter.within(grant) {
            None => Ok(Page { items: vec![], next: None }),
            Some(filter) => self.registry.orgs(grant, Managed::by(grant), filter, page).await,
        }
    }

    /// A page of tenant users.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn users(
        &self,
        grant: &Grant<ServersWrite>,
        filter: TenantFilter,
        page: PageRequest<TenantUserId>,
    ) -> Result<Page<TenantUser, TenantUserId>, StoreFault> {
        match filter.within(grant) {
            None => Ok(Page { items: vec![], next: None }),
            Some(filter) => self.registry.users(grant, Managed::by(grant), filter, page).await,
        }
    }

    /// Suspends a tenant org and with it all of its users, or resumes it. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`TenantFault`]
    pub async fn suspend_org(
        &self,
        grant: &Grant<ServersWrite>,
        id: TenantOrgId,
        suspend: bool,
        event: AuditEvent,
    ) -> Result<Changed<TenantOrg>, TenantFault> {
        let at = suspend.then(|| self.clock.now());
        let changed = self.registry.suspend_org(grant, Managed::by(grant), id, at, event).await?;
        changed.ok_or(TenantFault::NotFound)
    }

    /// Suspends a tenant user, or resumes it. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`TenantFault`]
    pub async fn suspend_user(
        &self,
        grant: &Grant<ServersWrite>,
        id: TenantUserId,
        suspend: bool,
        event: AuditEvent,
    ) -> Result<Changed<TenantUser>, TenantFault> {
        let at = suspend.then(|| self.clock.now());
        let changed = self.registry.suspend_user(grant, Managed::by(grant), id, at, event).await?;
        changed.ok_or(TenantFault::NotFound)
    }

    /// Whether the caller may speak for the tenant that it names, known or not.
    async fn check(
        &self,
        grant: &Grant<ServersWrite>,
        org: Option<&TenantText>,
        user: Option<&TenantText>,
    ) -> Result<(), TenantFault> {
        let spoken = TenantFilter { org: org.cloned(), user: user.cloned(), suspended: None };
        let narrowed = spoken.clone().within(grant).is_none_or(|narrowed| narrowed != spoken);
        let Actor::Key(facts) = grant.actor() else { return Ok(()) };
        let fits = match facts.tenants {
            TenantRule::Owner => true,
            TenantRule::Users { .. } => org.is_none(),
            TenantRule::Orgs { .. } => org.is_some(),
        };
        if narrowed || !fits {
            return Err(TenantRefusal::NotAllowed.into());
        }
        if facts.tenants.needs_list() {
            let claim = TenantClaim::Below { org: org.cloned(), user: user.cloned() };
            if !self.directory.standing(facts, &claim).await?.listed {
                return Err(TenantRefusal::NotAllowed.into());
            }
        }
        Ok(())
    }
}
