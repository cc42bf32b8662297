//! The rules about members.
//!
//! Admins set any role below owner, also each other's, and nobody's own. The owner is never changed, disabled or removed:
//! the organization is handed over first. Everybody else may leave.

use std::net::IpAddr;
use std::sync::Arc;

use secrecy::SecretString;

use super::port::{
    ChangedMember, MemberChange, MemberFilter, MemberOutcome, MemberPosition, MemberRecord, MemberStore, Transfer,
};
use crate::access::permission::{MembersAdminister, MembersLeave, MembersRead, OrganizationTransfer};
use crate::access::{Denied, Grant, Role};
use crate::audit::AuditEvent;
use crate::field::FieldErrors;
use crate::id::UserId;
use crate::organization::passwords::Passwords;
use crate::organization::service::AccountFault;
use crate::page::{Page, PageRequest};
use crate::store::StoreFault;
use crate::time::Clock;

/// Why a member was not found or changed.
#[derive(Debug, thiserror::Error)]
pub enum MemberFault {
    /// Wrong fields.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// No such member.
    #[error("no such member")]
    NotFound,
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// It would be done to the owner.
    #[error("not done to the owner; hand the organization over first")]
    Owner,
    /// It would be done to oneself.
    #[error("not done to oneself; another admin can")]
    Oneself,
    /// The password of the caller was wrong, or tried too often.
    #[error(transparent)]
    Account(#[from] AccountFault),
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl<T> MemberOutcome<T> {
    fn done(self) -> Result<T, MemberFault> {
        match self {
            Self::Done(value) => Ok(value),
            Self::Unknown => Err(MemberFault::NotFound),
            Self::Owner => Err(MemberFault::Owner),
        }
    }
}

/// The use cases of members.
pub struct MemberService<C> {
    store: Arc<dyn MemberStore>,
    passwords: Arc<Passwords<C>>,
    clock: C,
}

impl<C: Clock> MemberService<C> {
    /// Puts the service together.
    pub fn new(store: Arc<dyn MemberStore>, passwords: Arc<Passwords<C>>, clock: C) -> Self {
        Self { store, passwords, clock }
    }

    /// A page of members.
    ///
    /// # Errors
    /// [`MemberFault::Store`]
    pub async fn list(
        &self,
        grant: &Grant<MembersRead>,
        filter: MemberFilter,
        page: PageRequest<MemberPosition>,
    ) -> Result<Page<MemberRecord, MemberPosition>, MemberFault> {
        Ok(self.store.list(grant, filter, page).await?)
    }

    /// One member.
    ///
    /// # Errors
    /// [`MemberFault`]
    pub async fn get(&self, grant: &Grant<MembersRead>, user: UserId) -> Result<MemberRecord, MemberFault> {
        self.store.get(grant, user).await?.ok_or(MemberFault::NotFound)
    }

    /// Changes a member's role, disables or enables it.
    ///
    /// # Errors
    /// [`MemberFault`]
    pub async fn change(
        &self,
        grant: &Grant<MembersAdminister>,
        user: UserId,
        change: MemberChange,
        event: AuditEvent,
    ) -> Result<ChangedMember, MemberFault> {
        if change.role == Some(Role::Owner) {
            let how = "must be viewer, editor or admin; POST /org/transfer-ownership makes an owner";
            return Err(FieldErrors::one("role", how).into());
        }
        if user == grant.user().id {
            return Err(if grant.role() == Role::Owner { MemberFault::Owner } else { MemberFault::Oneself });
        }
        self.store.change(grant, user, change, self.clock.now(), event).await?.done()
    }

    /// Removes a member. Everybody may remove themselves; admins remove others.
    ///
    /// # Errors
    /// [`MemberFault`]
    pub async fn remove(
        &self,
        grant: &Grant<MembersLeave>,
        user: UserId,
        event: AuditEvent,
    ) -> Result<(), MemberFault> {
        if user != grant.user().id {
            (**grant).clone().grant::<MembersAdminister>()?;
        }
        self.store.remove(grant, user, self.clock.now(), event).await?.done()
    }

    /// Hands the organization to another member, who must be active. It takes the owner's password, so that a stolen
    /// access token is not enough.
    ///
    /// # Errors
    /// [`MemberFault`]
    pub async fn transfer(
        &self,
        grant: &Grant<OrganizationTransfer>,
        to: UserId,
        password: SecretString,
        from: Option<IpAddr>,
        event: AuditEvent,
    ) -> Result<(), MemberFault> {
        if to == grant.user().id {
            return Err(FieldErrors::one("userId", "must be another member").into());
        }
        if !self.passwords.prove(grant.user(), password, from).await? {
            return Err(FieldErrors::one("password", "is not your password").into());
        }
        match self.store.transfer(grant, to, event).await? {
            Transfer::Done => Ok(()),
            Transfer::Unknown => Err(MemberFault::NotFound),
            Transfer::NotOwner => Err(Denied::Role { needed: Role::Owner }.into()),
        }
    }
}
