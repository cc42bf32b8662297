//! The dry run: what would be decided about a key, without its token and without doing anything.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::Actor;
use super::decide::{DecisionFault, Gate, Question, Refusal, Verdict};
use super::permission::Permission;
use super::trail::{Check, Step, WrittenTrail};
use crate::guard::{AllowedFields, Refused, inspect};
use crate::key::verify::expired;
use crate::key::{KeyFacts, TokenKeys};
use crate::policy::port::AccessDirectory;
use crate::server::port::ServerDirectory;
use crate::store::StoreFault;
use crate::tenant::Surface;
use crate::tenant::port::TenantDirectory;
use crate::time::Timestamp;

/// A key, and whether the store would let its token verify.
#[derive(Debug, Clone)]
pub struct KeyStanding {
    /// The key.
    pub facts: Arc<KeyFacts>,
    /// Why no token of it verifies any more; none when it does.
    pub ended: Option<Ended>,
}

/// Why a key no longer verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// It was revoked.
    #[error("the key is revoked")]
    Revoked,
    /// Its owner was disabled or removed.
    #[error("the key's owner is no active member")]
    OwnerGone,
}

/// How the decision would end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// In the caller's favour.
    Allowed,
    /// No token of the key verifies.
    Unauthenticated,
    /// A rule says no.
    Refused(Refusal),
    /// The arguments would not be sent on.
    Message(Refused),
}

/// The arguments of a tool call, and what our own keys are recognized by.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a> {
    /// The arguments.
    pub json: &'a RawValue,
    /// The keys of tokens.
    pub keys: &'a TokenKeys,
}

impl Arguments<'_> {
    fn judge(self, verdict: &Verdict, trail: &mut WrittenTrail) -> Ruling {
        let none = AllowedFields::default();
        let allowed = verdict.server.as_ref().map_or(&none, |server| &server.record().allowed_secret_fields);
        let refused = inspect(self.json, allowed, self.keys).err();
        trail.0.push(Step { check: Check::Arguments, refused: refused.as_ref().map(ToString::to_string) });
        refused.map_or(Ruling::Allowed, Ruling::Message)
    }
}

/// The surface on which a permission is used.
#[must_use]
pub const fn surface_of(permission: Permission) -> Surface {
    match permission {
        Permission::McpConnect | Permission::ConnectionsRead | Permission::ConnectionsWrite => Surface::Tenant,
        _ => Surface::Elsewhere,
    }
}

impl<T: TenantDirectory, S: ServerDirectory, A: AccessDirectory> Gate<T, S, A> {
    /// Decides as [`Gate::admit`] would about a request with a token of this key, and writes down how. A tenant that
    /// would be made on first use is not made.
    ///
    /// # Errors
    /// [`StoreFault`] when a store could not answer: there is no ruling then.
    pub async fn rehearse(
        &self,
        key: &KeyStanding,
        question: Question<'_>,
        arguments: Option<Arguments<'_>>,
        now: Timestamp,
    ) -> Result<(Ruling, WrittenTrail), StoreFault> {
        let mut trail = WrittenTrail::default();
        let over = match key.ended {
            Some(ended) => Some(ended.to_string()),
            None => expired(&key.facts, now).then(|| "the key is expired".to_owned()),
        };
        let refused = over.is_some();
        trail.0.push(Step { check: Check::Key, refused: over });
        if refused {
            return Ok((Ruling::Unauthenticated, trail));
        }
        let actor = Actor::Key(Arc::clone(&key.facts));
        match self.decide(&actor, question, &mut trail).await {
            Ok(verdict) => Ok((arguments.map_or(Ruling::Allowed, |it| it.judge(&verdict, &mut trail)), trail)),
            Err(DecisionFault::Refused(refusal)) => Ok((Ruling::Refused(refusal), trail)),
            Err(DecisionFault::Store(fault)) => Err(fault),
        }
    }
}
