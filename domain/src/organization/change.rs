//! Changing an organization itself, and founding another one.

use std::sync::Arc;

use async_trait::async_trait;

use super::feature::Feature;
use super::model::OrganizationRef;
use super::port::Members;
use super::service::SignUpMode;
use crate::access::permission::{OrganizationAdminister, OrganizationsUse};
use crate::access::{Denied, Grant, MemberFacts, Role};
use crate::audit::AuditEvent;
use crate::id::OrganizationId;
use crate::store::{StoreFault, WriteFault};
use crate::text::{Name, Slug};
use crate::time::{Clock, Timestamp};

/// What is to change; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct OrganizationChange {
    /// The name.
    pub name: Option<Name>,
    /// The slug. The one before stays the organization's: it may take it again, and nobody else can.
    pub slug: Option<Slug>,
    /// Features to switch on or off.
    pub features: Vec<(Feature, bool)>,
}

/// What of an organization is another now, for the log; empty when nothing is.
#[must_use]
pub fn differences(before: &OrganizationRef, after: &OrganizationRef) -> Vec<String> {
    let name = (before.name != after.name).then(|| "name".to_owned());
    let slug = (before.slug != after.slug).then(|| format!("slug {}", after.slug));
    let switched = |feature: &Feature| before.features.contains(*feature) != after.features.contains(*feature);
    let features = Feature::ALL
        .into_iter()
        .filter(switched)
        .map(|feature| format!("{} {}", feature.as_str(), if after.features.contains(feature) { "on" } else { "off" }));
    name.into_iter().chain(slug).chain(features).collect()
}

/// An organization about to be stored, with the person who founds it as its owner.
#[derive(Debug, Clone)]
pub struct NewOrganization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name.
    pub name: Name,
    /// Its slug.
    pub slug: Slug,
    /// When.
    pub at: Timestamp,
}

/// Why an organization was not changed or founded.
#[derive(Debug, thiserror::Error)]
pub enum OrganizationFault {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The slug is taken, or the store could not.
    #[error(transparent)]
    Write(#[from] WriteFault),
}

impl From<StoreFault> for OrganizationFault {
    fn from(fault: StoreFault) -> Self {
        Self::Write(fault.into())
    }
}

/// Keeps organizations. Every change takes the event that records it: the store writes both or neither, and no event when
/// nothing changed.
#[async_trait]
pub trait OrganizationStore: Send + Sync {
    /// Changes the organization; what it is now. When it returns, every request that starts sees the change. The event is
    /// told the [`differences`].
    ///
    /// # Errors
    /// [`WriteFault`]
    async fn change(
        &self,
        grant: &Grant<OrganizationAdminister>,
        change: OrganizationChange,
        event: AuditEvent,
    ) -> Result<OrganizationRef, WriteFault>;

    /// Stores a new organization that the caller owns.
    ///
    /// # Errors
    /// [`WriteFault`]
    async fn found(
        &self,
        grant: &Grant<OrganizationsUse>,
        new: NewOrganization,
        event: AuditEvent,
    ) -> Result<(), WriteFault>;
}

/// The use cases of organizations.
pub struct OrganizationService<C> {
    store: Arc<dyn OrganizationStore>,
    members: Arc<dyn Members>,
    mode: SignUpMode,
    clock: C,
}

impl<C: Clock> OrganizationService<C> {
    /// Puts the service together.
    pub fn new(store: Arc<dyn OrganizationStore>, members: Arc<dyn Members>, mode: SignUpMode, clock: C) -> Self {
        Self { store, members, mode, clock }
    }

    /// Renames the organization or switches its features.
    ///
    /// # Errors
    /// [`OrganizationFault`]
    pub async fn change(
        &self,
        grant: &Grant<OrganizationAdminister>,
        change: OrganizationChange,
        event: AuditEvent,
    ) -> Result<OrganizationRef, OrganizationFault> {
        Ok(self.store.change(grant, change, event).await?)
    }

    /// Founds another organization, in whose log the event stands. Where sign-up is not open, whoever owns the one that
    /// they are in may.
    ///
    /// # Errors
    /// [`OrganizationFault`]
    pub async fn found(
        &self,
        grant: &Grant<OrganizationsUse>,
        name: Name,
        slug: Slug,
        event: AuditEvent,
    ) -> Result<MemberFacts, OrganizationFault> {
        if self.mode != SignUpMode::Open && grant.role() < Role::Owner {
            return Err(Denied::Role { needed: Role::Owner }.into());
        }
        let new = NewOrganization { id: OrganizationId::new(), name, slug, at: self.clock.now() };
        let organization = OrganizationRef {
            id: new.id,
            slug: new.slug.as_str().into(),
            name: new.name.as_str().into(),
            features: super::FeatureSet::default(),
        };
        let event = AuditEvent { organization: Some(new.id), ..event };
        self.store.found(grant, new, event).await?;
        Ok(MemberFacts { organization, user: grant.user().clone(), role: Role::Owner, instance_admin: false })
    }

    /// The caller's organizations, oldest membership first; those that disabled the caller are not among them.
    ///
    /// # Errors
    /// [`OrganizationFault`]
    pub async fn of_person(&self, grant: &Grant<OrganizationsUse>) -> Result<Vec<MemberFacts>, OrganizationFault> {
        Ok(self.members.of_person(grant.user().id).await?)
    }
}
