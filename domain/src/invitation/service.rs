//! The rules about invitations.
//!
//! Whoever has the link and the right e-mail address in it joins: an existing person by their password, a new one by
//! choosing it. Keyrack does not check that the mail was read. The link is handed to the admin as well, who may bring it
//! to the person in another way, and who could use it in their place if the address has no account yet.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::port::{Acceptance, InvitationRecord, InvitationStore, Joiner, NewInvitation, OpenInvitation};
use crate::access::permission::{MembersAdminister, MembersRead};
use crate::access::{Grant, Role};
use crate::audit::{AuditEvent, AuditTarget};
use crate::field::FieldErrors;
use crate::id::{InvitationId, UserId};
use crate::key::Digest;
use crate::key::token::NoRandomness;
use crate::mail::{Mail, Mailer};
use crate::organization::passwords::Passwords;
use crate::organization::service::AccountFault;
use crate::organization::token::{TokenDigests, new_token};
use crate::organization::{AccessClaims, Password};
use crate::page::{Page, PageRequest};
use crate::root::RootSecret;
use crate::store::{StoreFault, WriteFault};
use crate::text::{Email, Name};
use crate::time::Clock;

/// Hours that a link works when nobody says.
pub const LIFETIME_HOURS: u32 = 168;
/// Most hours that a link can work.
pub const LIFETIME_HOURS_MAX: u32 = 720;

/// What whoever invites sends, parsed.
#[derive(Debug, Clone)]
pub struct InvitationRequest {
    /// Who is invited.
    pub email: Email,
    /// As what.
    pub role: Role,
    /// How long the link works, in hours; [`LIFETIME_HOURS`] when not given.
    pub hours: Option<u32>,
}

/// An invitation and its link, as whoever invited gets them: once.
#[derive(Debug)]
pub struct CreatedInvitation {
    /// The invitation.
    pub record: InvitationRecord,
    /// The token.
    pub token: SecretString,
    /// The address to open; the token stands behind its `#`, which browsers do not send.
    pub link: SecretString,
    /// Whether a mail server took a letter with the link.
    pub mailed: bool,
}

/// What whoever accepts sends.
#[derive(Debug)]
pub struct AcceptRequest {
    /// The token of the link.
    pub token: SecretString,
    /// The password: the right one of an existing person, the first one of a new person.
    pub password: SecretString,
    /// What a new person wants to be called.
    pub display_name: Option<Name>,
}

/// The proof that an invitation was accepted just now: a session can be opened on it. Made only by
/// [`InvitationService::accept`].
#[derive(Debug)]
pub struct Accepted(AccessClaims);

impl Accepted {
    /// Who joined what.
    #[must_use]
    pub const fn claims(&self) -> AccessClaims {
        self.0
    }
}

/// Why nobody was invited, or nobody joined.
#[derive(Debug, thiserror::Error)]
pub enum InvitationFault {
    /// Wrong fields.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// There is no such invitation in the organization.
    #[error("no such invitation")]
    NotFound,
    /// The link does not work: never made, used, revoked, replaced or over; never says which.
    #[error("the invitation does not hold")]
    Token,
    /// The person is a member already.
    #[error("is a member already")]
    Member,
    /// The password of an existing person was wrong, or tried too often.
    #[error(transparent)]
    Account(#[from] AccountFault),
    /// The address is taken, or the store could not.
    #[error(transparent)]
    Write(#[from] WriteFault),
    /// No random bytes.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl From<StoreFault> for InvitationFault {
    fn from(fault: StoreFault) -> Self {
        Self::Write(fault.into())
    }
}

/// The use cases of invitations.
pub struct InvitationService<C> {
    store: Arc<dyn InvitationStore>,
    passwords: Arc<Passwords<C>>,
    mailer: Option<Arc<dyn Mailer>>,
    digests: TokenDigests,
    page: String,
    clock: C,
}

impl<C: Clock> InvitationService<C> {
    /// Puts the service together. Links lead to `page`; letters are sent where there is a mailer.
    pub fn new(
        store: Arc<dyn InvitationStore>,
        passwords: Arc<Passwords<C>>,
        mailer: Option<Arc<dyn Mailer>>,
        root: &RootSecret,
        page: String,
        clock: C,
    ) -> Self {
        Self { store, passwords, mailer, digests: TokenDigests::derive(root), page, clock }
    }

    /// The same, and good for links that were made under another root secret.
    #[must_use]
    pub fn with_other(self, root: Option<&RootSecret>) -> Self {
        Self { digests: self.digests.with_other(root), ..self }
    }

    /// Invites somebody. An earlier invitation of the same address ends. That the letter could not be sent is told, and
    /// does not take the invitation back.
    ///
    /// # Errors
    /// [`InvitationFault`]
    pub async fn invite(
        &self,
        grant: &Grant<MembersAdminister>,
        request: InvitationRequest,
        event: AuditEvent,
    ) -> Result<CreatedInvitation, InvitationFault> {
        let mut errors = FieldErrors::default();
        if request.role >= Role::Owner || request.role > grant.role() {
            errors.add("role", "must be viewer, editor or admin; POST /org/transfer-ownership makes an owner");
        }
        let hours = request.hours.unwrap_or(LIFETIME_HOURS);
        if !(1..=LIFETIME_HOURS_MAX).contains(&hours) {
            errors.add("expiresInHours", format!("must be between 1 and {LIFETIME_HOURS_MAX}"));
        }
        errors.check()?;
        let token = new_token("kri")?;
        let now = self.clock.now();
        let new = NewInvitation {
            id: InvitationId::new(),
            email: request.email,
            role: request.role,
            digest: self.digests.of(&token),
            at: now,
            expires_at: now.after(Duration::from_secs(u64::from(hours) * 3600)),
        };
        let reason = Some(format!("{} as {}", new.email, new.role.as_str()));
        let event = AuditEvent { reason, ..event.about(AuditTarget::Invitation(new.id)) };
        let record = self.store.insert(grant, new, event).await?;
        let link = SecretString::from(format!("{}#token={}", self.page, token.expose_secret()));
        let mailed = self.mail(&record, &grant.organization().name, &link).await;
        Ok(CreatedInvitation { record, token, link, mailed })
    }

    /// A page of invitations.
    ///
    /// # Errors
    /// [`InvitationFault`]
    pub async fn list(
        &self,
        grant: &Grant<MembersRead>,
        page: PageRequest<InvitationId>,
    ) -> Result<Page<InvitationRecord, InvitationId>, InvitationFault> {
        Ok(self.store.list(grant, page).await?)
    }

    /// Ends an invitation.
    ///
    /// # Errors
    /// [`InvitationFault`]
    pub async fn revoke(
        &self,
        grant: &Grant<MembersAdminister>,
        id: InvitationId,
        event: AuditEvent,
    ) -> Result<(), InvitationFault> {
        if self.store.revoke(grant, id, event).await? { Ok(()) } else { Err(InvitationFault::NotFound) }
    }

    /// Accepts an invitation. `from` is the address of whoever does.
    ///
    /// # Errors
    /// [`InvitationFault`]
    pub async fn accept(
        &self,
        request: AcceptRequest,
        from: Option<IpAddr>,
        request_id: Option<Uuid>,
    ) -> Result<Accepted, InvitationFault> {
        let (digest, open) = self.open(&request.token).await?;
        let joiner = if let Some((user, hash)) = open.person {
            if !self.passwords.check(&open.email, request.password, Some(hash), from).await? {
                return Err(AccountFault::Unauthenticated.into());
            }
            Joiner::Known(user)
        } else {
            let password = Password::new(request.password).map_err(|error| FieldErrors::one("password", error))?;
            Joiner::New {
                user: UserId::new(),
                password_hash: self.passwords.hash(&password).await,
                display_name: request.display_name,
            }
        };
        match self.store.accept(digest, joiner, self.clock.now(), request_id).await? {
            Acceptance::Joined(claims) => Ok(Accepted(claims)),
            Acceptance::Gone => Err(InvitationFault::Token),
            Acceptance::Member => Err(InvitationFault::Member),
        }
    }

    async fn open(&self, token: &SecretString) -> Result<(Digest, OpenInvitation), InvitationFault> {
        for digest in self.digests.all(token) {
            if let Some(open) = self.store.open(digest, self.clock.now()).await? {
                return Ok((digest, open));
            }
        }
        Err(InvitationFault::Token)
    }

    async fn mail(&self, record: &InvitationRecord, organization: &str, link: &SecretString) -> bool {
        let Some(mailer) = &self.mailer else { return false };
        let text = format!(
            "{} invites you to join {organization} on Keyrack as {}.\n\n\
             Open this link to accept. It works once, until {}:\n\n{}\n\n\
             If you did not expect this letter, ignore it: nothing happens.\n",
            record.invited_by.display_name,
            record.role.as_str(),
            record.expires_at,
            link.expose_secret(),
        );
        let subject = format!("Invitation to {organization} on Keyrack");
        mailer.send(Mail { to: record.email.clone(), subject, text: text.into() }).await
    }
}
