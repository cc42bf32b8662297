//! What organizations and sign-in ask of the world outside.

use async_trait::async_trait;
use secrecy::SecretString;
use uuid::Uuid;

use super::model::Password;
use super::session::AccessClaims;
use crate::access::MemberFacts;
use crate::audit::{AuditActor, AuditEvent, AuditTarget};
use crate::id::{OrganizationId, UserId};
use crate::key::Digest;
use crate::store::{StoreFault, WriteFault};
use crate::tenant::Tenant;
use crate::text::{Email, Name, Slug};
use crate::time::Timestamp;

/// Signs and verifies access tokens.
pub trait AccessTokens: Send + Sync {
    /// A token for these claims that ends at `expires_at`.
    fn sign(&self, claims: AccessClaims, expires_at: Timestamp) -> SecretString;

    /// The claims of a token of ours that has not ended; none for anything else.
    fn verify(&self, token: &str) -> Option<AccessClaims>;
}

/// Hashes passwords, slowly, off the threads that serve requests.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// A hash in PHC string format.
    async fn hash(&self, password: &Password) -> String;

    /// Whether the password has this hash. Without a hash it takes as long and says no, so that the time of a refused
    /// sign-in does not tell whether the person exists.
    async fn verify(&self, password: SecretString, hash: Option<String>) -> bool;
}

/// Knows who is a member of what.
#[async_trait]
pub trait Members: Send + Sync {
    /// The membership, if the person is an active member.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn active(&self, organization: OrganizationId, user: UserId) -> Result<Option<MemberFacts>, StoreFault>;

    /// The person's active memberships, oldest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn of_person(&self, user: UserId) -> Result<Vec<MemberFacts>, StoreFault>;
}

/// A new organization and its first owner.
#[derive(Debug, Clone)]
pub struct NewOwner {
    /// The person's id.
    pub user: UserId,
    /// The person's e-mail address.
    pub email: Email,
    /// The hash of the person's password.
    pub password_hash: String,
    /// What the person wants to be called.
    pub display_name: Option<Name>,
    /// The organization's id.
    pub organization: OrganizationId,
    /// Its name.
    pub organization_name: Name,
    /// Its slug.
    pub organization_slug: Slug,
    /// When.
    pub at: Timestamp,
}

/// What a sign-up must show.
#[derive(Debug, Clone, Copy)]
pub enum SignUpProof {
    /// The bootstrap token of a fresh installation; the sign-up consumes it.
    Bootstrap(Digest),
    /// Nothing: the installation is open, or an operator acts on the machine itself.
    None,
}

/// Why a sign-up was not stored.
#[derive(Debug, thiserror::Error)]
pub enum SignUpRefusal {
    /// The bootstrap token is not the one that was printed, or it was used.
    #[error("the bootstrap token does not hold")]
    BootstrapToken,
    /// The slug or e-mail address is taken, or the store could not.
    #[error(transparent)]
    Write(#[from] WriteFault),
}

/// What a sign-in needs to know of a person.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The person.
    pub user: UserId,
    /// The hash of the person's password.
    pub password_hash: String,
    /// The person's organizations, oldest membership first.
    pub memberships: Vec<MemberFacts>,
}

/// A refresh token about to be stored. Only its digest is.
#[derive(Debug, Clone, Copy)]
pub struct NewRefresh {
    /// Keyed digest of the token.
    pub digest: Digest,
    /// Whose.
    pub user: UserId,
    /// For which organization.
    pub organization: OrganizationId,
    /// Issued when.
    pub at: Timestamp,
    /// Good until when.
    pub expires_at: Timestamp,
}

/// What comes of presenting a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// It was the newest of its family and is replaced.
    Rotated(AccessClaims),
    /// It had been replaced before: somebody else has a copy. The whole family is ended.
    Reused(AccessClaims),
    /// Unknown, ended or over, or its person is no active member any more.
    Refused,
}

impl Rotation {
    /// The event that records it; none for a token that told nobody's name.
    #[must_use]
    pub fn event(self, at: Timestamp, request_id: Option<Uuid>) -> Option<AuditEvent> {
        match self {
            Self::Rotated(claims) => Some(session_event(claims, "session.refresh", at, request_id)),
            Self::Reused(claims) => {
                Some(session_event(claims, "session.reuse", at, request_id).refused("unauthenticated"))
            }
            Self::Refused => None,
        }
    }
}

/// An event about a session that is known by its refresh token alone.
#[must_use]
pub fn session_event(
    claims: AccessClaims,
    action: &'static str,
    at: Timestamp,
    request_id: Option<Uuid>,
) -> AuditEvent {
    AuditEvent {
        organization: Some(claims.organization),
        target: AuditTarget::User(claims.user),
        tenant: Tenant::Owner,
        request_id,
        ..AuditEvent::unproven(AuditActor::User(claims.user), action, at)
    }
}

/// Keeps organizations, people and refresh tokens. Every change is stored together with the event that records it.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// Stores a new organization with its owner, in one transaction.
    ///
    /// # Errors
    /// [`SignUpRefusal`]
    async fn sign_up(&self, owner: NewOwner, proof: SignUpProof, event: AuditEvent) -> Result<(), SignUpRefusal>;

    /// What a sign-in with this e-mail address needs; none when nobody has it.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn credentials(&self, email: &Email) -> Result<Option<Credentials>, StoreFault>;

    /// Stores the first refresh token of a new family; false, and nothing stored, when the person is no active member of
    /// the organization.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn begin_refresh(&self, token: NewRefresh, event: AuditEvent) -> Result<bool, StoreFault>;

    /// Replaces a refresh token by its successor. Its event is [`Rotation::event`], since only the store finds out whose
    /// token it is.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn rotate_refresh(
        &self,
        presented: Digest,
        successor: Digest,
        at: Timestamp,
        expires_at: Timestamp,
        request_id: Option<Uuid>,
    ) -> Result<Rotation, StoreFault>;

    /// Ends the family of a refresh token, recorded as `session.close`, and begins another one for the same person in
    /// another organization: all of it or nothing. The claims are those of the session that ended; [`Rotation::Refused`]
    /// also for a token of somebody else, which stays.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn switch_refresh(
        &self,
        presented: Digest,
        next: NewRefresh,
        event: AuditEvent,
    ) -> Result<Rotation, StoreFault>;

    /// Ends the family of a refresh token, recorded as `session.close`; nothing when it is unknown.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn end_refresh(
        &self,
        presented: Digest,
        at: Timestamp,
        request_id: Option<Uuid>,
    ) -> Result<Option<AccessClaims>, StoreFault>;

    /// Makes the person with this e-mail address an instance admin, or no longer one; none when nobody has it. The event
    /// gets the person's id.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn set_instance_admin(
        &self,
        email: &Email,
        on: bool,
        event: AuditEvent,
    ) -> Result<Option<UserId>, StoreFault>;

    /// Makes `token` the installation's bootstrap token if nobody has signed up yet; else says false.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn arm_bootstrap(&self, token: Digest, at: Timestamp) -> Result<bool, StoreFault>;

    /// The installation's bootstrap token, while there is one.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn bootstrap(&self) -> Result<Option<Digest>, StoreFault>;
}
