//! How a decision came about, check by check. A live request leaves no trail and pays nothing for it; a dry run writes
//! one down.

use super::decide::DecisionFault;

/// A check of the decision, in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// The key is known, not revoked, not expired, and its owner is an active member.
    Key,
    /// `org_id` and `user_id` can be tenant ids.
    TenantSyntax,
    /// The key may speak for that tenant.
    Tenant,
    /// The organization has the feature that the permission needs.
    Feature,
    /// The role is high enough.
    Role,
    /// The key has the permission.
    Permission,
    /// The server exists, takes calls, and the key's owner reaches it.
    Resource,
    /// The key includes the server.
    Server,
    /// No argument of the tool call is a secret.
    Arguments,
}

impl Check {
    /// Every check, in their order.
    pub const ALL: [Self; 9] = [
        Self::Key,
        Self::TenantSyntax,
        Self::Tenant,
        Self::Feature,
        Self::Role,
        Self::Permission,
        Self::Resource,
        Self::Server,
        Self::Arguments,
    ];

    /// The check's name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::TenantSyntax => "tenant_syntax",
            Self::Tenant => "tenant",
            Self::Feature => "feature",
            Self::Role => "role",
            Self::Permission => "permission",
            Self::Resource => "resource",
            Self::Server => "server",
            Self::Arguments => "arguments",
        }
    }
}

/// Takes down checks as they are made.
pub trait Trail {
    /// Notes how a check ended, and passes its result on.
    ///
    /// # Errors
    /// The result's own.
    fn note<T, E: Into<DecisionFault>>(&mut self, check: Check, result: Result<T, E>) -> Result<T, DecisionFault>;
}

impl Trail for () {
    fn note<T, E: Into<DecisionFault>>(&mut self, _: Check, result: Result<T, E>) -> Result<T, DecisionFault> {
        result.map_err(Into::into)
    }
}

/// A check that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub check: Check,
    /// Why it refused; none when it passed.
    pub refused: Option<String>,
}

/// A trail that was written down. Checks after the one that refused are not on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenTrail(pub Vec<Step>);

impl Trail for WrittenTrail {
    fn note<T, E: Into<DecisionFault>>(&mut self, check: Check, result: Result<T, E>) -> Result<T, DecisionFault> {
        let result = result.map_err(Into::into);
        match &result {
            Ok(_) => self.0.push(Step { check, refused: None }),
            Err(DecisionFault::Refused(refusal)) => self.0.push(Step { check, refused: Some(refusal.to_string()) }),
            // No verdict: the check was not made.
            Err(DecisionFault::Store(_)) => {}
        }
        result
    }
}
