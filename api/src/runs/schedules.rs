//! Schedules: when a workflow's time has come, one run of it is asked for, whatever the number of nodes.
//!
//! The wish has a name made of the workflow and the time that came, so that of several nodes that make it one makes a run; and
//! only after that the next time is set. A node that is lost in between leaves nothing out and nothing doubled. Times that were
//! missed while no node was there become one run, and the next time is counted from now.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::access::SystemScope;
use domain::id::{RunId, WorkflowId};
use domain::run::Trigger;
use domain::run::actor::RunActor;
use domain::run::port::NewRun;
use domain::run::schedule::wish;
use domain::store::StoreFault;
use domain::time::{Clock, SystemClock};
use domain::workflow::ScheduleOwner;
use domain::workflow::port::{Come, Due};
use tokio_util::sync::CancellationToken;

use crate::compose::Services;

/// How often a node looks whether a time has come.
const LOOK: Duration = Duration::from_secs(1);
/// Most workflows that a node looks at in one go.
const AT_ONCE: u16 = 100;

/// Looks until the node stops.
pub async fn run(services: Arc<Services>, stopping: CancellationToken) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut left_out = LeftOut::default();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = look.tick() => {}
        }
        match begin(&services).await {
            Ok(unreadable) => {
                for (workflow, fault) in left_out.news(unreadable) {
                    tracing::error!(%workflow, fault, "a schedule is left out until somebody mends it");
                }
            }
            Err(fault) => tracing::warn!(error = &fault as &dyn std::error::Error, "schedules wait for the store"),
        }
    }
}

/// The schedules that cannot be read, so that each is told of once, and again when something else is wrong with it.
#[derive(Debug, Default)]
struct LeftOut(HashMap<WorkflowId, String>);

impl LeftOut {
    /// Of all that a look found, what was not found by the one before.
    fn news(&mut self, found: HashMap<WorkflowId, String>) -> Vec<(WorkflowId, String)> {
        let before = std::mem::replace(&mut self.0, found);
        let new = self.0.iter().filter(|(workflow, fault)| before.get(*workflow) != Some(*fault));
        new.map(|(workflow, fault)| (*workflow, fault.clone())).collect()
    }
}

/// Asks for the runs whose time has come. What could not be read: it must not stop everybody else's clock, and its own time
/// waits.
async fn begin(services: &Services) -> Result<HashMap<WorkflowId, String>, StoreFault> {
    let (now, mut last, mut unreadable) = (SystemClock.now(), None, HashMap::new());
    loop {
        let come = services.schedules.due(now, last, AT_ONCE).await?;
        let more = come.len() == usize::from(AT_ONCE);
        for Come { at, workflow, due } in come {
            last = Some((at, workflow));
            match ask(services, due).await {
                Ok(()) => {}
                Err(StoreFault::Corrupt(fault)) => drop(unreadable.insert(workflow, fault)),
                Err(fault) => return Err(fault),
            }
        }
        if !more {
            return Ok(unreadable);
        }
    }
}

async fn ask(services: &Services, due: Result<Due, StoreFault>) -> Result<(), StoreFault> {
    let due = due?;
    // Without room its time waits with it.
    if ask_for(services, &due).await? {
        services.schedules.take(&due, due.schedule.next_after(SystemClock.now())).await?;
        services.run_bell.ring();
    }
    Ok(())
}

/// Asks for the run; false when the organization has no room for one more that waits.
async fn ask_for(services: &Services, due: &Due) -> Result<bool, StoreFault> {
    let scope = SystemScope::new(due.organization, "a workflow's time has come");
    let Some(version) = services.definitions.version(scope, due.workflow, due.version).await? else { return Ok(true) };
    let ScheduleOwner { who, org, user } = due.owner.clone();
    let actor = RunActor { who, name: who.name(due.organization, &*services.standings).await?, org, user };
    let new = NewRun {
        id: RunId::new(),
        workflow: due.workflow,
        version: due.version,
        steps: version.definition.steps,
        trigger: Trigger::Schedule,
        at: SystemClock.now(),
        actor,
    };
    let event = new.actor.event(due.organization, new.id, "run.dispatch", SystemClock.now());
    services.run_queue.schedule(&scope, &new, &wish(due), event).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_told_once_and_again_when_it_changed_or_came_back() {
        let (one, two) = (WorkflowId::new(), WorkflowId::new());
        let found = |all: &[(WorkflowId, &str)]| all.iter().map(|(id, fault)| (*id, (*fault).to_owned())).collect();
        let mut left_out = LeftOut::default();
        assert_eq!(left_out.news(found(&[(one, "a")])), [(one, "a".to_owned())]);
        assert_eq!(left_out.news(found(&[(one, "a")])), []);
        assert_eq!(left_out.news(found(&[(one, "a"), (two, "a")])), [(two, "a".to_owned())]);
        assert_eq!(left_out.news(found(&[(one, "b"), (two, "a")])), [(one, "b".to_owned())]);
        assert_eq!(left_out.news(found(&[])), []);
        assert_eq!(left_out.news(found(&[(two, "a")])), [(two, "a".to_owned())]);
    }
}
