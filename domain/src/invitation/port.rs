//! What invitations ask of a store.

use async_trait::async_trait;
use uuid::Uuid;

use crate::access::permission::{MembersAdminister, MembersRead};
use crate::access::{Grant, Role};
use crate::audit::AuditEvent;
use crate::id::{InvitationId, UserId};
use crate::key::Digest;
use crate::organization::{AccessClaims, UserRef};
use crate::page::{Page, PageRequest};
use crate::store::{StoreFault, WriteFault};
use crate::text::{Email, Name};
use crate::time::Timestamp;

/// An invitation, as admins see it. Never holds the token, nor its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationRecord {
    /// The id.
    pub id: InvitationId,
    /// Who is invited.
    pub email: Email,
    /// As what.
    pub role: Role,
    /// By whom.
    pub invited_by: UserRef,
    /// When.
    pub created_at: Timestamp,
    /// Until when the link works.
    pub expires_at: Timestamp,
}

/// An invitation about to be stored. Of its token only the digest is.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// The id.
    pub id: InvitationId,
    /// Who is invited.
    pub email: Email,
    /// As what.
    pub role: Role,
    /// Keyed digest of the token.
    pub digest: Digest,
    /// When.
    pub at: Timestamp,
    /// Until when the link works.
    pub expires_at: Timestamp,
}

/// What an invitation that works says to whoever presents it.
#[derive(Debug, Clone)]
pub struct OpenInvitation {
    /// Who is invited.
    pub email: Email,
    /// The person who has that address already, and the hash of their password.
    pub person: Option<(UserId, String)>,
}

/// Who accepts.
#[derive(Debug, Clone)]
pub enum Joiner {
    /// Somebody who has an account; the password was right.
    Known(UserId),
    /// Somebody new.
    New {
        /// The person's id.
        user: UserId,
        /// The hash of the person's password.
        password_hash: String,
        /// What the person wants to be called.
        display_name: Option<Name>,
    },
}

/// What came of accepting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// The person is a member now, and the link no longer works.
    Joined(AccessClaims),
    /// The link does not work, or somebody was quicker.
    Gone,
    /// The person is a member already, perhaps a disabled one; nothing was changed.
    Member,
}

/// Keeps invitations. Every change is stored together with the event that records it, or not at all.
#[async_trait]
pub trait InvitationStore: Send + Sync {
    /// Stores an invitation. An earlier one for the same address in the organization ends.
    ///
    /// # Errors
    /// [`WriteFault::Taken`] when a member has the address.
    async fn insert(
        &self,
        grant: &Grant<MembersAdminister>,
        invitation: NewInvitation,
        event: AuditEvent,
    ) -> Result<InvitationRecord, WriteFault>;

    /// A page of invitations that were not accepted or revoked, newest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn list(
        &self,
        grant: &Grant<MembersRead>,
        page: PageRequest<InvitationId>,
    ) -> Result<Page<InvitationRecord, InvitationId>, StoreFault>;

    /// Ends an invitation; false when there is none.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn revoke(
        &self,
        grant: &Grant<MembersAdminister>,
        id: InvitationId,
        event: AuditEvent,
    ) -> Result<bool, StoreFault>;

    /// The invitation with this digest, if it works at `at`.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn open(&self, digest: Digest, at: Timestamp) -> Result<Option<OpenInvitation>, StoreFault>;

    /// Makes the person a member and ends the invitation, in one transaction: of two at once, one finds it gone. Recorded
    /// as `invitation.accept`, since only the store finds out into which organization.
    ///
    /// # Errors
    /// [`WriteFault::Taken`] when somebody else took the address of a new person meanwhile.
    async fn accept(
        &self,
        digest: Digest,
        joiner: Joiner,
        at: Timestamp,
        request_id: Option<Uuid>,
    ) -> Result<Acceptance, WriteFault>;
}
