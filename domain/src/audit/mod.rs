//! The audit log: who did what, and how it ended. Every decision, allowed or refused, and every change is one event.
//!
//! The two ways into the log: a decision goes to [`AuditLog`], which writes in batches; a change hands its event to the
//! port that makes it, whose store writes both in one transaction.

pub mod chain;
pub mod checkpoint;
pub mod entry;
pub mod port;
pub mod verify;

use async_trait::async_trait;

use crate::access::{Actor, TenantScope};
use crate::id::{
    ConnectionId, EventId, GroupId, InvitationId, OrganizationId, PolicyId, ProjectId, RunId, ServerId, TenantOrgId,
    TenantUserId, TopicId, UserId, WorkflowId,
};
use crate::key::KeyId;
use crate::tenant::Tenant;
use crate::time::Timestamp;

/// Who an event is about, in the words of the time when it happened.
#[derive(Debug, Clone)]
pub enum AuditActor {
    /// A caller whose scope was proven.
    Proven(Actor),
    /// A key that was recognized, but refused.
    Key(KeyId),
    /// A person, known by id alone.
    User(UserId),
    /// Nobody that could be told.
    Anonymous,
    /// Keyrack itself, or an operator on its machine.
    System,
}

/// What an event was done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditTarget {
    /// The organization as a whole.
    Organization,
    /// A key.
    Key(KeyId),
    /// A server.
    Server(ServerId),
    /// A person.
    User(UserId),
    /// An access policy.
    Policy(PolicyId),
    /// A group.
    Group(GroupId),
    /// A project.
    Project(ProjectId),
    /// The tenant of the event.
    Tenant,
    /// A tenant org, as it is managed.
    TenantOrg(TenantOrgId),
    /// A tenant user, as it is managed.
    TenantUser(TenantUserId),
    /// An invitation.
    Invitation(InvitationId),
    /// A connection.
    Connection(ConnectionId),
    /// A workflow.
    Workflow(WorkflowId),
    /// A run of a workflow.
    Run(RunId),
    /// A topic.
    Topic(TopicId),
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was allowed and done.
    Allowed,
    /// It was refused.
    Refused,
    /// It was allowed and failed.
    Error,
}

impl Outcome {
    /// The outcome with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Allowed, Self::Refused, Self::Error].into_iter().find(|outcome| outcome.as_str() == name)
    }

    /// The outcome's name in JSON and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
            Self::Error => "error",
        }
    }
}

/// One event. Holds no secret and nothing of a call's content. Cheap to make: the names are shared, not copied.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// Its id.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// The organization; none when the caller could not be told.
    pub organization: Option<OrganizationId>,
    /// Who.
    pub actor: AuditActor,
    /// What, as `noun.verb`.
    pub action: &'static str,
    /// To what.
    pub target: AuditTarget,
    /// On whose behalf.
    pub tenant: Tenant,
    /// How it ended.
    pub outcome: Outcome,
    /// The code that the caller got, when not done.
    pub code: Option<&'static str>,
    /// More than the caller was told, for admins.
    pub reason: Option<String>,
    /// The request that caused it.
    pub request_id: Option<uuid::Uuid>,
}

impl AuditEvent {
    /// An event of somebody who has no scope; change the fields that differ.
    #[must_use]
    pub fn unproven(actor: AuditActor, action: &'static str, at: Timestamp) -> Self {
        Self {
            id: EventId::new(),
            at,
            organization: None,
            actor,
            action,
            target: AuditTarget::Organization,
            tenant: Tenant::Organization,
            outcome: Outcome::Allowed,
            code: None,
            reason: None,
            request_id: None,
        }
    }

    /// One event of many that one request causes: the same, with an id, an action and a target of its own.
    #[must_use]
    pub fn one_of_many(&self, action: &'static str, target: AuditTarget) -> Self {
        Self { id: EventId::new(), action, target, ..self.clone() }
    }

    /// The same event, about a thing whose id was not known before.
    #[must_use]
    pub fn about(self, target: AuditTarget) -> Self {
        Self { target, ..self }
    }

    /// The same event, refused with a code.
    #[must_use]
    pub fn refused(self, code: &'static str) -> Self {
        Self { outcome: Outcome::Refused, code: Some(code), ..self }
    }

    /// An event of a proven scope that went well; change the fields that differ.
    #[must_use]
    pub fn allowed(scope: &TenantScope, action: &'static str, target: AuditTarget, at: Timestamp) -> Self {
        Self {
            id: EventId::new(),
            at,
            organization: Some(scope.organization().id),
            actor: AuditActor::Proven(scope.actor().clone()),
            action,
            target,
            tenant: scope.tenant().clone(),
            outcome: Outcome::Allowed,
            code: None,
            reason: None,
            request_id: None,
        }
    }
}

/// The log did not take the event in time: what it belongs to must not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit log does not keep up")]
pub struct Saturated;

/// Takes events. Nothing is dropped: when the log does not keep up, callers wait, and then get [`Saturated`].
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Takes an event that will be written with the next batch, if there is room at once.
    ///
    /// # Errors
    /// The event itself, when the queue is full; [`AuditLog::record`] waits for room. Boxed, since it is large and rare.
    fn try_record(&self, event: AuditEvent) -> Result<(), Box<AuditEvent>>;

    /// Takes an event, waiting for room.
    ///
    /// # Errors
    /// [`Saturated`] when there is no room in time.
    async fn record(&self, event: AuditEvent) -> Result<(), Saturated>;

    /// Returns when every event that was taken before is on disk, for those who are about to read the log.
    ///
    /// # Errors
    /// [`Saturated`] when that takes too long.
    async fn settle(&self) -> Result<(), Saturated>;

    /// Counts a refusal of somebody unknown. Such refusals are written as one event per reason and interval with their
    /// number, so that a flood of guesses cannot fill the log.
    fn count_anonymous(&self, action: &'static str, reason: &'static str);

    /// Counts a try of somebody unknown that was not looked at, after too many failures.
    fn count_throttled(&self, action: &'static str);
}
