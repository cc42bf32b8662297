//! The use cases of runs: asking for them, looking at them, ending and comparing them. Doing them is a node's.

use std::collections::HashMap;
use std::sync::Arc;

use super::actor::RunActor;
use super::compare::{Comparison, compare};
use super::model::Run;
use super::port::{Changed, Dispatched, NewRun, RunFilter, RunStore};
use super::status::Trigger;
use crate::access::decide::sees;
use crate::access::permission::{RunsDispatch, RunsRead, WorkflowsWrite};
use crate::access::{Grant, TenantScope};
use crate::audit::AuditEvent;
use crate::id::{RunId, WorkflowId};
use crate::idempotency::Claim;
use crate::page::{Page, PageRequest};
use crate::policy::Reach;
use crate::policy::port::AccessDirectory;
use crate::store::StoreFault;
use crate::time::Clock;
use crate::workflow::port::Definitions;

/// Why a run was not begun, found or changed.
#[derive(Debug, thiserror::Error)]
pub enum RunFault {
    /// No such run, or no such workflow.
    #[error("no such run or workflow")]
    NotFound,
    /// The workflow is put away.
    #[error("the workflow is archived; archived workflows are not run")]
    Archived,
    /// The name of the wish was used for another one.
    #[error("this idempotency key was used for another run; use a new one")]
    Reused,
    /// Too many wait.
    #[error(
        "as many runs of the organization wait as may (KEYRACK_RUNS_WAITING); cancel some, or come back when some have begun"
    )]
    Full,
    /// It is over.
    #[error("the run is over")]
    Over,
    /// Only a run that passed can be one that others are compared with.
    #[error("the run did not pass; only one that passed can be a baseline")]
    NotPassed,
    /// Nothing to compare with.
    #[error("the workflow has no baseline; PUT /workflows/{{id}}/baseline sets one")]
    NoBaseline,
    /// Two runs of different workflows have nothing to compare.
    #[error("the runs are of different workflows")]
    Different,
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// What a run is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// Another run.
    Run(RunId),
    /// The workflow's baseline.
    Baseline,
}

/// The use cases of runs.
pub struct RunService<C> {
    store: Arc<dyn RunStore>,
    definitions: Arc<dyn Definitions>,
    access: Arc<dyn AccessDirectory>,
    clock: C,
}

impl<C: Clock> RunService<C> {
    /// Puts the service together.
    pub fn new(
        store: Arc<dyn RunStore>,
        definitions: Arc<dyn Definitions>,
        access: Arc<dyn AccessDirectory>,
        clock: C,
    ) -> Self {
        Self { store, definitions, access, clock }
    }

    /// Asks for a run of the workflow's newest version; whether it was asked for before under the same name.
    ///
    /// # Errors
    /// [`RunFault`]
    pub async fn dispatch(
        &self,
        grant: &Grant<RunsDispatch>,
        id: WorkflowId,
        trigger: Trigger,
        once: Option<Claim>,
        event: AuditEvent,
    ) -> Result<(Run, bool), RunFault> {
        let workflow = self.definitions.to_run(grant, id).await?.ok_or(RunFault::NotFound)?;
        let archived = workflow.archived_at.is_some();
        let run = NewRun {
            id: RunId::new(),
            workflow: id,
            version: workflow.version,
            steps: workflow.definition.steps,
            trigger,
            actor: RunActor::of(grant),
            at: self.clock.now(),
        };
        let dispatched = match once {
            // It makes no new run. Those that it made are still found by their names.
            Some(once) if archived => self.store.asked_before(grant, &once).await?.ok_or(RunFault::Archived)?,
            None if archived => return Err(RunFault::Archived),
            once => self.store.dispatch(grant, run, once, event).await?,
        };
        let (run, again) = match dispatched {
            Dispatched::Made(run) => (run, false),
            Dispatched::Again(run) => (run, true),
            Dispatched::Other => return Err(RunFault::Reused),
            Dispatched::Full => return Err(RunFault::Full),
        };
        Ok((run.seen_by(&self.sees(grant).await?), again))
    }

    /// One run with its steps.
    ///
    /// # Errors
    /// [`RunFault`]
    pub async fn get(&self, grant: &Grant<RunsRead>, id: RunId) -> Result<Run, RunFault> {
        let run = self.store.get(grant, id).await?.ok_or(RunFault::NotFound)?;
        Ok(run.seen_by(&self.sees(grant).await?))
    }

    /// A page of runs without their steps, newest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn list(
        &self,
        grant: &Grant<RunsRead>,
        filter: &RunFilter,
        page: PageRequest<RunId>,
    ) -> Result<Page<Run, RunId>, StoreFault> {
        self.store.page(grant, filter, page).await
    }

    /// The revision that a run has.
    ///
    /// # Errors
    /// [`RunFault`]
    pub async fn revision(&self, grant: &Grant<RunsRead>, id: RunId) -> Result<i64, RunFault> {
        self.store.revision(grant, id).await?.ok_or(RunFault::NotFound)
    }

    /// Ends a run.
    ///
    /// # Errors
    /// [`RunFault`]
    pub async fn cancel(&self, grant: &Grant<RunsDispatch>, id: RunId, event: AuditEvent) -> Result<Run, RunFault> {
        match self.store.cancel(grant, id, event).await? {
            Changed::Done(run) => Ok(run.seen_by(&self.sees(grant).await?)),
            Changed::NotFound => Err(RunFault::NotFound),
            Changed::Unfit(_) => Err(RunFault::Over),
        }
    }

    /// Compares a run with another of its workflow: the run that is compared with, and what changed since.
    ///
    /// # Errors
    /// [`RunFault`]
    pub async fn compare(
        &self,
        grant: &Grant<RunsRead>,
        id: RunId,
        with: With,
    ) -> Result<(RunId, Comparison), RunFault> {
        let after = self.get(grant, id).await?;
        let other = match with {
            With::Run(other) => other,
            With::Baseline => self.store.baseline(grant, after.workflow).await?.ok_or(RunFault::NoBaseline)?,
        };
        let before = self.get(grant, other).await?;
        if before.workflow != after.workflow {
            return Err(RunFault::Different);
        }
        Ok((other, compare(&before, &after)))
    }

    /// The baselines of workflows that the caller was given, as far as these are runs that they see.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn baselines(
        &self,
        scope: &TenantScope,
        workflows: &[WorkflowId],
    ) -> Result<HashMap<WorkflowId, RunId>, StoreFault> {
        self.store.baselines(scope, workflows).await
    }

    /// Takes a run that passed as what others of its workflow are compared with.
    ///
    /// # Errors
    /// [`RunFault`]
    pub async fn set_baseline(
        &self,
        grant: &Grant<WorkflowsWrite>,
        workflow: WorkflowId,
        run: RunId,
        event: AuditEvent,
    ) -> Result<Run, RunFault> {
        match self.store.set_baseline(grant, workflow, run, event).await? {
            Changed::Done(run) => Ok(run),
            Changed::NotFound => Err(RunFault::NotFound),
            Changed::Unfit(_) => Err(RunFault::NotPassed),
        }
    }

    /// Takes a workflow's baseline away.
    ///
    /// # Errors
    /// [`RunFault::NotFound`] when it has none.
    pub async fn remove_baseline(
        &self,
        grant: &Grant<WorkflowsWrite>,
        workflow: WorkflowId,
        event: AuditEvent,
    ) -> Result<(), RunFault> {
        if self.store.remove_baseline(grant, workflow, event).await? { Ok(()) } else { Err(RunFault::NotFound) }
    }

    async fn sees(&self, scope: &TenantScope) -> Result<Reach, StoreFault> {
        let organization = scope.organization().id;
        let access = match self.access.cached(organization) {
            Some(access) => access,
            None => self.access.load(organization).await?,
        };
        Ok(sees(scope.actor(), &access))
    }
}
