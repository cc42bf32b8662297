//! Signing up, signing in, refreshing and signing out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use uuid::Uuid;

use super::feature::FeatureSet;
use super::model::{OrganizationRef, Password, UserRef};
use super::passwords::Passwords;
use super::port::{
    AccessTokens, AccountStore, Credentials, Members, NewOwner, NewRefresh, Rotation, SignUpProof, SignUpRefusal,
};
use super::session::AccessClaims;
use super::throttle::Throttled;
use super::token::{TokenDigests, new_token};
use crate::access::permission::OrganizationsUse;
use crate::access::{Actor, Grant, MemberFacts, Role};
use crate::audit::{AuditActor, AuditEvent, AuditTarget};
use crate::id::{OrganizationId, UserId};
use crate::invitation::Accepted;
use crate::key::token::NoRandomness;
use crate::root::RootSecret;
use crate::store::{StoreFault, WriteFault};
use crate::tenant::Tenant;
use crate::text::{Email, Name, Slug};
use crate::time::{Clock, Timestamp};

/// How long an access token lasts.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_mins(15);
/// How long a refresh token lasts when it is not used.
pub const REFRESH_TOKEN_LIFETIME: Duration = Duration::from_hours(720);

/// Who may create an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignUpMode {
    /// Whoever has the bootstrap token that the first start printed.
    Bootstrap,
    /// Anybody.
    Open,
}

/// What a new owner sends, parsed.
#[derive(Debug, Clone)]
pub struct SignUp {
    /// E-mail address.
    pub email: Email,
    /// Password.
    pub password: Password,
    /// What to call them.
    pub display_name: Option<Name>,
    /// The organization's name.
    pub organization_name: Name,
    /// The organization's slug.
    pub organization_slug: Slug,
    /// The bootstrap token, where the installation asks for one.
    pub bootstrap_token: Option<SecretString>,
}

/// Tokens of a session that was just opened or refreshed.
#[derive(Debug)]
pub struct OpenedSession {
    /// The short access token.
    pub access_token: SecretString,
    /// The rotating refresh token.
    pub refresh_token: SecretString,
    /// The person and their place.
    pub member: MemberFacts,
}

/// Why no session was opened.
#[derive(Debug, thiserror::Error)]
pub enum AccountFault {
    /// Wrong e-mail address, password, organization or refresh token; never says which.
    #[error("not signed in")]
    Unauthenticated,
    /// A refresh token that was replaced before: its family was ended. The caller is told the same as above.
    #[error("a replaced refresh token was presented again")]
    Reused(AccessClaims),
    /// Too many failures before; the password was not looked at.
    #[error(transparent)]
    Throttled(#[from] Throttled),
    /// The person has no such organization, or may not enter it.
    #[error("no such organization")]
    NoSuchOrganization,
    /// The installation takes no sign-up without its bootstrap token.
    #[error("the bootstrap token is missing, wrong or used")]
    BootstrapToken,
    /// Something unique is taken, or the store could not.
    #[error(transparent)]
    Write(#[from] WriteFault),
    /// No random bytes.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

impl From<StoreFault> for AccountFault {
    fn from(fault: StoreFault) -> Self {
        Self::Write(fault.into())
    }
}

impl From<SignUpRefusal> for AccountFault {
    fn from(refusal: SignUpRefusal) -> Self {
        match refusal {
            SignUpRefusal::BootstrapToken => Self::BootstrapToken,
            SignUpRefusal::Write(fault) => Self::Write(fault),
        }
    }
}

/// The use cases of sign-in.
pub struct AccountService<C> {
    store: Arc<dyn AccountStore>,
    members: Arc<dyn Members>,
    passwords: Arc<Passwords<C>>,
    tokens: Arc<dyn AccessTokens>,
    digests: TokenDigests,
    mode: SignUpMode,
    clock: C,
}

impl<C: Clock> AccountService<C> {
    /// Puts the service together.
    pub fn new(
        store: Arc<dyn AccountStore>,
        members: Arc<dyn Members>,
        passwords: Arc<Passwords<C>>,
        tokens: Arc<dyn AccessTokens>,
        root: &RootSecret,
        mode: SignUpMode,
        clock: C,
    ) -> Self {
        Self { store, members, passwords, tokens, digests: TokenDigests::derive(root), mode, clock }
    }

    /// The same, and good for refresh tokens that were issued under another root secret.
    #[must_use]
    pub fn with_other(self, root: Option<&RootSecret>) -> Self {
        Self { digests: self.digests.with_other(root), ..self }
    }

    /// Creates an organization and signs its owner in. `from` is the address of whoever asks.
    ///
    /// # Errors
    /// [`AccountFault`]
    pub async fn sign_up(
        &self,
        request: SignUp,
        from: Option<IpAddr>,
        request_id: Option<Uuid>,
    ) -> Result<OpenedSession, AccountFault> {
        let proof = match (self.mode, &request.bootstrap_token) {
            (SignUpMode::Open, _) => SignUpProof::None,
            (SignUpMode::Bootstrap, Some(token)) => self.bootstrap_proof(token, from).await?,
            (SignUpMode::Bootstrap, None) => return Err(AccountFault::BootstrapToken),
        };
        let facts = owner_to_be(&request);
        let event = self.by_person(&facts, "organization.create", AuditTarget::Organization, request_id);
        self.found(&facts, request, proof, event).await?;
        self.open(&facts, request_id).await
    }

    /// Creates an organization and its owner on behalf of an operator on the machine itself.
    ///
    /// # Errors
    /// [`AccountFault`]
    pub async fn create_owner(&self, request: SignUp, proof: SignUpProof) -> Result<AccessClaims, AccountFault> {
        let facts = owner_to_be(&request);
        let event = AuditEvent {
            organization: Some(facts.organization.id),
            ..AuditEvent::unproven(AuditActor::System, "organization.create", self.clock.now())
        };
        self.found(&facts, request, proof, event).await?;
        Ok(AccessClaims { user: facts.user.id, organization: facts.organization.id })
    }

    /// Looks at a bootstrap token before anything else, since hashing a password is work that no stranger may ask for. The
    /// store looks again when it consumes it.
    async fn bootstrap_proof(&self, token: &SecretString, from: Option<IpAddr>) -> Result<SignUpProof, AccountFault> {
        let presented = self.digests.of(token);
        let holds = self.passwords.is_bootstrap(presented, from).await?;
        if holds { Ok(SignUpProof::Bootstrap(presented)) } else { Err(AccountFault::BootstrapToken) }
    }

    async fn found(
        &self,
        facts: &MemberFacts,
        request: SignUp,
        proof: SignUpProof,
        event: AuditEvent,
    ) -> Result<(), AccountFault> {
        let owner = NewOwner {
            user: facts.user.id,
            password_hash: self.passwords.hash(&request.password).await,
            email: request.email,
            display_name: request.display_name,
            organization: facts.organization.id,
            organization_name: request.organization_name,
            organization_slug: request.organization_slug,
            at: event.at,
        };
        Ok(self.store.sign_up(owner, proof, event).await?)
    }

    /// Signs a person in, in the named organization (slug or id) or the one they joined first. `from` is the address of
    /// whoever asks.
    ///
    /// # Errors
    /// [`AccountFault::Unauthenticated`] for every wrong part alike.
    pub async fn login(
        &self,
        email: &Email,
        password: SecretString,
        organization: Option<&str>,
        from: Option<IpAddr>,
        request_id: Option<Uuid>,
    ) -> Result<OpenedSession, AccountFault> {
        let credentials = self.store.credentials(email).await?;
        let hash = credentials.as_ref().map(|credentials| credentials.password_hash.clone());
        if !self.passwords.check(email, password, hash, from).await? {
            return Err(AccountFault::Unauthenticated);
        }
        let Some(Credentials { memberships, .. }) = credentials else {
            return Err(AccountFault::Unauthenticated);
        };
        let chosen = memberships.iter().find(|member| organization.is_none_or(|name| is_named(member, name)));
        self.open(chosen.ok_or(AccountFault::Unauthenticated)?, request_id).await
    }

    /// Takes a session to another of its person's organizations, by slug or id: the session of the refresh token
    /// `presented` ends, and one there begins. An access token alone is not enough, since it is over in minutes and must not
    /// become a session that lasts.
    ///
    /// # Errors
    /// [`AccountFault::NoSuchOrganization`] for one that does not exist and one that the person may not enter alike;
    /// [`AccountFault::Unauthenticated`] when the refresh token does not hold or is somebody else's.
    pub async fn switch(
        &self,
        grant: &Grant<OrganizationsUse>,
        organization: &str,
        presented: &SecretString,
        request_id: Option<Uuid>,
    ) -> Result<OpenedSession, AccountFault> {
        let memberships = self.members.of_person(grant.user().id).await?;
        let chosen = memberships.iter().find(|member| is_named(member, organization));
        let member = chosen.ok_or(AccountFault::NoSuchOrganization)?;
        let (refresh, token, event) = self.beginning(member, request_id)?;
        let mut rotation = Rotation::Refused;
        for digest in self.digests.all(presented) {
            rotation = self.store.switch_refresh(digest, token, event.clone()).await?;
            if rotation != Rotation::Refused {
                break;
            }
        }
        match rotation {
            Rotation::Rotated(_) => {
                self.opened(AccessClaims { user: token.user, organization: token.organization }, refresh).await
            }
            Rotation::Reused(claims) => Err(AccountFault::Reused(claims)),
            Rotation::Refused => Err(AccountFault::Unauthenticated),
        }
    }

    /// Signs in whoever has just accepted an invitation.
    ///
    /// # Errors
    /// [`AccountFault`]
    pub async fn enter(&self, accepted: &Accepted, request_id: Option<Uuid>) -> Result<OpenedSession, AccountFault> {
        let AccessClaims { user, organization } = accepted.claims();
        let member = self.members.active(organization, user).await?;
        self.open(&member.ok_or(AccountFault::Unauthenticated)?, request_id).await
    }

    /// Replaces a refresh token and gives a new access token.
    ///
    /// # Errors
    /// [`AccountFault::Unauthenticated`] when the token is unknown, over, or was replaced before.
    pub async fn refresh(
        &self,
        presented: &SecretString,
        request_id: Option<Uuid>,
    ) -> Result<OpenedSession, AccountFault> {
        let successor = new_token("krr")?;
        let now = self.clock.now();
        let (new, end) = (self.digests.of(&successor), now.after(REFRESH_TOKEN_LIFETIME));
        let mut rotation = Rotation::Refused;
        for digest in self.digests.all(presented) {
            rotation = self.store.rotate_refresh(digest, new, now, end, request_id).await?;
            if rotation != Rotation::Refused {
                break;
            }
        }
        match rotation {
            Rotation::Rotated(claims) => self.opened(claims, successor).await,
            Rotation::Reused(claims) => Err(AccountFault::Reused(claims)),
            Rotation::Refused => Err(AccountFault::Unauthenticated),
        }
    }

    /// Ends the session that a refresh token belongs to.
    ///
    /// # Errors
    /// [`AccountFault`] when the store cannot.
    pub async fn logout(
        &self,
        presented: &SecretString,
        request_id: Option<Uuid>,
    ) -> Result<Option<AccessClaims>, AccountFault> {
        let now = self.clock.now();
        for digest in self.digests.all(presented) {
            let ended = self.store.end_refresh(digest, now, request_id).await?;
            if ended.is_some() {
                return Ok(ended);
            }
        }
        Ok(None)
    }

    /// Makes a person an instance admin, or no longer one, on behalf of an operator on the machine itself; none when nobody
    /// has the e-mail address. Counts from the person's next request on.
    ///
    /// # Errors
    /// [`AccountFault`] when the store cannot.
    pub async fn set_instance_admin(&self, email: &Email, on: bool) -> Result<Option<UserId>, AccountFault> {
        let action = if on { "instance_admin.grant" } else { "instance_admin.revoke" };
        let event = AuditEvent::unproven(AuditActor::System, action, self.clock.now());
        Ok(self.store.set_instance_admin(email, on, event).await?)
    }

    /// Makes a bootstrap token if nobody has signed up yet and the installation asks for one.
    ///
    /// # Errors
    /// [`AccountFault`]
    pub async fn arm_bootstrap(&self) -> Result<Option<SecretString>, AccountFault> {
        if self.mode == SignUpMode::Open {
            return Ok(None);
        }
        let token = new_token("krb")?;
        let armed = self.store.arm_bootstrap(self.digests.of(&token), self.clock.now()).await?;
        Ok(armed.then_some(token))
    }

    async fn open(&self, member: &MemberFacts, request_id: Option<Uuid>) -> Result<OpenedSession, AccountFault> {
        let (refresh, token, event) = self.beginning(member, request_id)?;
        if !self.store.begin_refresh(token, event).await? {
            return Err(AccountFault::Unauthenticated);
        }
        self.opened(AccessClaims { user: token.user, organization: token.organization }, refresh).await
    }

    /// The refresh token of a session that is to begin, what is stored of it, and the event that records it.
    fn beginning(
        &self,
        member: &MemberFacts,
        request_id: Option<Uuid>,
    ) -> Result<(SecretString, NewRefresh, AuditEvent), NoRandomness> {
        let refresh = new_token("krr")?;
        let event = self.by_person(member, "session.open", AuditTarget::User(member.user.id), request_id);
        let token = NewRefresh {
            digest: self.digests.of(&refresh),
            user: member.user.id,
            organization: member.organization.id,
            at: event.at,
            expires_at: event.at.after(REFRESH_TOKEN_LIFETIME),
        };
        Ok((refresh, token, event))
    }

    /// An event of somebody who has no scope yet.
    fn by_person(
        &self,
        member: &MemberFacts,
        action: &'static str,
        target: AuditTarget,
        request_id: Option<Uuid>,
    ) -> AuditEvent {
        let actor = AuditActor::Proven(Actor::Member(Arc::new(member.clone())));
        AuditEvent {
            organization: Some(member.organization.id),
            target,
            tenant: Tenant::Owner,
            request_id,
            ..AuditEvent::unproven(actor, action, self.clock.now())
        }
    }

    async fn opened(&self, claims: AccessClaims, refresh_token: SecretString) -> Result<OpenedSession, AccountFault> {
        let member = self.members.active(claims.organization, claims.user).await?;
        let member = member.ok_or(AccountFault::Unauthenticated)?;
        let access_token = self.tokens.sign(claims, self.access_token_end());
        Ok(OpenedSession { access_token, refresh_token, member })
    }

    fn access_token_end(&self) -> Timestamp {
        self.clock.now().after(ACCESS_TOKEN_LIFETIME)
    }
}

/// The owner that a sign-up will make, with ids of their own.
fn owner_to_be(request: &SignUp) -> MemberFacts {
    let email = request.email.as_str();
    MemberFacts {
        organization: OrganizationRef {
            id: OrganizationId::new(),
            slug: request.organization_slug.as_str().into(),
            name: request.organization_name.as_str().into(),
            features: FeatureSet::default(),
        },
        user: UserRef {
            id: UserId::new(),
            email: email.into(),
            display_name: request.display_name.as_ref().map_or(email, Name::as_str).into(),
        },
        role: Role::Owner,
        instance_admin: false,
    }
}

fn is_named(member: &MemberFacts, name: &str) -> bool {
    member.organization.slug.as_ref() == name || member.organization.id.to_string() == name
}
