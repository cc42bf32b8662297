//! What members ask of a store.

use async_trait::async_trait;

use crate::access::permission::{MembersAdminister, MembersLeave, MembersRead, OrganizationTransfer};
use crate::access::{Grant, Role};
use crate::audit::AuditEvent;
use crate::id::UserId;
use crate::organization::UserRef;
use crate::page::{Page, PageRequest};
use crate::store::StoreFault;
use crate::time::Timestamp;

/// A member, as admins see one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    /// The person.
    pub user: UserRef,
    /// The role.
    pub role: Role,
    /// When the person joined.
    pub joined_at: Timestamp,
    /// Since when the member is disabled.
    pub disabled_at: Option<Timestamp>,
}

/// Which members a list shows.
#[derive(Debug, Clone, Default)]
pub struct MemberFilter {
    /// Those with this role.
    pub role: Option<Role>,
    /// The disabled ones, or those who are not.
    pub disabled: Option<bool>,
    /// Those whose e-mail address or name has this in it, in any case.
    pub text: Option<String>,
}

/// Where a page of members begins: they are listed in the order in which they joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberPosition {
    /// When the last member on the page before joined.
    pub joined_at: Timestamp,
    /// Who it is, for those of the same instant.
    pub user: UserId,
}

/// What is to change; what is absent stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemberChange {
    /// The role; never owner.
    pub role: Option<Role>,
    /// Whether the member is disabled.
    pub disabled: Option<bool>,
}

/// A member before and after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedMember {
    /// As it was.
    pub before: MemberRecord,
    /// As it is.
    pub after: MemberRecord,
}

impl ChangedMember {
    /// What is recorded of it: an event like this one for each thing that is another now.
    #[must_use]
    pub fn events(&self, event: &AuditEvent) -> Vec<AuditEvent> {
        let (before, after) = (&self.before, &self.after);
        let mut events = Vec::new();
        if before.role != after.role {
            let reason = Some(format!("role {} to {}", before.role.as_str(), after.role.as_str()));
            events.push(AuditEvent { reason, ..event.one_of_many("member.change", event.target) });
        }
        match (before.disabled_at.is_some(), after.disabled_at.is_some()) {
            (false, true) => events.push(event.one_of_many("member.disable", event.target)),
            (true, false) => events.push(event.one_of_many("member.enable", event.target)),
            _ => {}
        }
        events
    }
}

/// What came of a change or removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberOutcome<T> {
    /// It was made.
    Done(T),
    /// There is no such member.
    Unknown,
    /// It is the owner, to whom it is not done.
    Owner,
}

/// What came of handing the organization over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfer {
    /// It was.
    Done,
    /// There is no such active member.
    Unknown,
    /// The caller is no longer the owner.
    NotOwner,
}

/// Keeps members. Every change takes the event that records it: the store writes both or neither, and no event when
/// nothing changed. What ends somebody's membership for now or for good has ended their keys and sessions when it returns:
/// no request that starts later is accepted, and what is under way with their keys is cut.
#[async_trait]
pub trait MemberStore: Send + Sync {
    /// A page of members.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn list(
        &self,
        grant: &Grant<MembersRead>,
        filter: MemberFilter,
        page: PageRequest<MemberPosition>,
    ) -> Result<Page<MemberRecord, MemberPosition>, StoreFault>;

    /// One member.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn get(&self, grant: &Grant<MembersRead>, user: UserId) -> Result<Option<MemberRecord>, StoreFault>;

    /// Changes a member who is not the owner. Who loses power (disabled, or with a lower role) is signed out; who is no
    /// longer an active admin takes back the invitations that they made. What is recorded is [`ChangedMember::events`].
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn change(
        &self,
        grant: &Grant<MembersAdminister>,
        user: UserId,
        change: MemberChange,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<MemberOutcome<ChangedMember>, StoreFault>;

    /// Removes a member who is not the owner: keys are revoked, sessions and invitations of theirs are ended, in the same
    /// transaction. The event is told how many keys that were, and each of them has a `key.revoke` of its own before it.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn remove(
        &self,
        grant: &Grant<MembersLeave>,
        user: UserId,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<MemberOutcome<()>, StoreFault>;

    /// Makes another active member the owner and the caller an admin, both or neither.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn transfer(
        &self,
        grant: &Grant<OrganizationTransfer>,
        to: UserId,
        event: AuditEvent,
    ) -> Result<Transfer, StoreFault>;
}
