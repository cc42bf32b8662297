//! What runs ask of a store.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::actor::RunActor;
use super::evidence::Evidence;
use super::model::Run;
use super::status::{RunStatus, StepStatus, Trigger};
use crate::access::permission::{RunsDispatch, RunsRead, WorkflowsWrite};
use crate::access::rehearse::KeyStanding;
use crate::access::{Grant, MemberFacts, SystemScope, TenantScope};
use crate::audit::AuditEvent;
use crate::id::{OrganizationId, ProjectId, RunId, UserId, WorkflowId};
use crate::idempotency::Claim as Once;
use crate::key::KeyId;
use crate::page::{Page, PageRequest};
use crate::store::StoreFault;
use crate::time::Timestamp;
use crate::workflow::Step;

/// Reads how whoever began a run stands now. Never answers from memory: a run is nobody's request, and must know of a
/// revocation by itself.
#[async_trait]
pub trait Standings: Send + Sync {
    /// A key of the organization.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn key(&self, organization: OrganizationId, id: KeyId) -> Result<Option<KeyStanding>, StoreFault>;

    /// An active member of the organization.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn person(&self, organization: OrganizationId, id: UserId) -> Result<Option<MemberFacts>, StoreFault>;
}

/// A run that is asked for.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version to run.
    pub version: u32,
    /// That version's steps.
    pub steps: Vec<Step>,
    /// What begins it.
    pub trigger: Trigger,
    /// On whose behalf.
    pub actor: RunActor,
    /// When.
    pub at: Timestamp,
}

/// What became of the wish for a run.
#[derive(Debug, Clone)]
pub enum Dispatched {
    /// It waits for a node.
    Made(Run),
    /// It was asked for before, under the same name; as it stands now.
    Again(Run),
    /// The caller used the name for something else.
    Other,
    /// As many runs of the organization wait as may.
    Full,
}

/// Which runs: those that fit everything that is given.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Of this workflow.
    pub workflow: Option<WorkflowId>,
    /// Of the workflows that belong to this project now.
    pub project: Option<ProjectId>,
    /// That stand so.
    pub status: Option<RunStatus>,
    /// Begun by this.
    pub trigger: Option<Trigger>,
    /// Asked for at this time or later.
    pub from: Option<Timestamp>,
    /// Asked for before this time.
    pub to: Option<Timestamp>,
}

/// What became of the wish to end a run, or to take one as a baseline.
#[derive(Debug, Clone)]
pub enum Changed {
    /// Done, or nothing was left to do; as it stands now.
    Done(Run),
    /// There is no such run for the caller.
    NotFound,
    /// It is over, or is none that passed.
    Unfit(Run),
}

/// Runs, for those who ask for them and look at them. Everywhere a caller finds those alone that
/// [`super::actor::Whose::seen_by`] says.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// Keeps a run for a node to take. Of several wishes under one name, one makes it.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn dispatch(
        &self,
        grant: &Grant<RunsDispatch>,
        run: NewRun,
        once: Option<Once>,
        event: AuditEvent,
    ) -> Result<Dispatched, StoreFault>;

    /// What became of an earlier wish of the caller's under this name; none when there was none.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn asked_before(&self, grant: &Grant<RunsDispatch>, once: &Once) -> Result<Option<Dispatched>, StoreFault>;

    /// A run with its steps.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn get(&self, grant: &Grant<RunsRead>, id: RunId) -> Result<Option<Run>, StoreFault>;

    /// A page of runs without their steps, newest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn page(
        &self,
        grant: &Grant<RunsRead>,
        filter: &RunFilter,
        page: PageRequest<RunId>,
    ) -> Result<Page<Run, RunId>, StoreFault>;

    /// The revision that a run has; none when the caller has no such run.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn revision(&self, grant: &Grant<RunsRead>, id: RunId) -> Result<Option<i64>, StoreFault>;

    /// Ends a run that waits, or lets the node know that has it. A run that is over stays as it is.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn cancel(&self, grant: &Grant<RunsDispatch>, id: RunId, event: AuditEvent) -> Result<Changed, StoreFault>;

    /// Takes a run that passed as what others of its workflow are compared with.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn set_baseline(
        &self,
        grant: &Grant<WorkflowsWrite>,
        workflow: WorkflowId,
        run: RunId,
        event: AuditEvent,
    ) -> Result<Changed, StoreFault>;

    /// Takes the baseline away; whether there was one.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn remove_baseline(
        &self,
        grant: &Grant<WorkflowsWrite>,
        workflow: WorkflowId,
        event: AuditEvent,
    ) -> Result<bool, StoreFault>;

    /// The baselines of these workflows, as far as the caller sees them.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn baselines(
        &self,
        scope: &TenantScope,
        workflows: &[WorkflowId],
    ) -> Result<HashMap<WorkflowId, RunId>, StoreFault>;

    /// The run that others of a workflow are compared with.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn baseline(&self, grant: &Grant<RunsRead>, workflow: WorkflowId) -> Result<Option<RunId>, StoreFault>;
}

/// A node's right to a run. Everything that it writes names it, so that a node whose claim went to another writes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The run.
    pub run: RunId,
    /// Its organization.
    pub organization: OrganizationId,
    /// Counts the nodes that had it.
    pub number: i64,
}

/// What is carried from a step to those that come after it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Carried {
    /// What they refer to in its answer, by pointer.
    pub answers: Map<String, Value>,
    /// The secrets that were seen with it.
    pub seen: Vec<String>,
}

/// A run that a node took.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The right to it.
    pub claim: Claim,
    /// The run with its steps.
    pub run: Run,
    /// What its steps carry, by their place; none when it was sealed under a root secret that is not there any more.
    pub carried: Option<Vec<Carried>>,
}

/// A run that a node has, as the store knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The right to it.
    pub claim: Claim,
    /// Whether somebody asked for its end.
    pub cancelling: bool,
}

/// How a step ended.
#[derive(Debug, Clone)]
pub struct StepEnd {
    /// Its place.
    pub position: usize,
    /// How.
    pub status: StepStatus,
    /// How long it took; none when it was never begun.
    pub duration: Option<Duration>,
    /// What is kept of it.
    pub evidence: Evidence,
    /// What is carried to the steps after it.
    pub carried: Carried,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct RunEnd {
    /// How.
    pub status: RunStatus,
    /// Why, in a sentence.
    pub reason: String,
    /// What becomes of the steps that were not begun.
    pub rest: StepStatus,
    /// The end of the step that it ended with, when that was not noted before. Both are noted or neither: else the next node
    /// could go on after a step that ended the run.
    pub last: Option<StepEnd>,
}

/// The runs of all nodes, for the nodes that do them.
///
/// What returns a bool says whether the claim still held. If not, nothing was written, and the run is another node's.
#[async_trait]
pub trait RunQueue: Send + Sync {
    /// A node begins: what no living node can have is free at once.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn begin(&self) -> Result<(), StoreFault>;

    /// Keeps a run that nobody's request asks for: a schedule's. Of several wishes under one name, one makes it. False when
    /// as many runs of the organization wait as may.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn schedule(
        &self,
        scope: &SystemScope,
        run: &NewRun,
        once: &Once,
        event: AuditEvent,
    ) -> Result<bool, StoreFault>;

    /// Takes a run for a node until `lease` has passed: one whose node is gone, else one that waits, of the organization
    /// with the fewest under way.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn claim(&self, node: Uuid, lease: Duration) -> Result<Option<Claimed>, StoreFault>;

    /// Holds these runs for a node for another `lease`, as far as they are still its.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn renew(&self, node: Uuid, runs: &[RunId], lease: Duration) -> Result<(), StoreFault>;

    /// What a node has.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn held(&self, node: Uuid) -> Result<Vec<Held>, StoreFault>;

    /// Gives a run back that is between two steps: another node may take it at once.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn hand_back(&self, claim: &Claim) -> Result<bool, StoreFault>;

    /// Notes that a step's tool is about to be called, and how often it was begun. Committed before the call.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn begin_step(
        &self,
        claim: &Claim,
        position: usize,
        evidence: &Evidence,
        at: Timestamp,
    ) -> Result<bool, StoreFault>;

    /// Notes how a step ended.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn end_step(&self, claim: &Claim, end: StepEnd) -> Result<bool, StoreFault>;

    /// Notes how the run ended. What its steps carried is forgotten.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn finish(&self, claim: &Claim, end: RunEnd, event: AuditEvent) -> Result<bool, StoreFault>;
}
