//! A person's session: an access token that verifies, and a membership read for this request.

use std::sync::Arc;

use super::port::{AccessTokens, Members};
use crate::access::MemberFacts;
use crate::id::{OrganizationId, UserId};
use crate::store::StoreFault;

/// What an access token says, once its signature and time were checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessClaims {
    /// Who signed in.
    pub user: UserId,
    /// In which organization.
    pub organization: OrganizationId,
}

/// The proof that a person is signed in and still a member. Made only by [`SessionReader`].
#[derive(Debug)]
pub struct Session(Arc<MemberFacts>);

impl Session {
    /// Whose it is.
    #[must_use]
    pub const fn member(&self) -> &Arc<MemberFacts> {
        &self.0
    }
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum SessionFault {
    /// The access token does not verify or is over, or its person is no longer an active member.
    #[error("not signed in")]
    Unauthenticated,
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// Reads sessions. The role is the one that the member has now, not the one at sign-in.
#[derive(Clone)]
pub struct SessionReader {
    tokens: Arc<dyn AccessTokens>,
    members: Arc<dyn Members>,
}

impl SessionReader {
    /// Puts a reader together.
    pub fn new(tokens: Arc<dyn AccessTokens>, members: Arc<dyn Members>) -> Self {
        Self { tokens, members }
    }

    /// Verifies an access token and reads its person's membership.
    ///
    /// # Errors
    /// [`SessionFault`]
    pub async fn read(&self, access_token: &str) -> Result<Session, SessionFault> {
        let claims = self.tokens.verify(access_token).ok_or(SessionFault::Unauthenticated)?;
        let member = self.members.active(claims.organization, claims.user).await?;
        member.map(|member| Session(Arc::new(member))).ok_or(SessionFault::Unauthenticated)
    }
}
