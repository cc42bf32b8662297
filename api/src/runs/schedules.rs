//! Schedules: when a workflow's time has come, one run of it is asked for, whatever the number of nodes.
//!
//! The wish has a name made of the workflow and the time that came, so that of several nodes that make it one makes a run; and
//! only after that the next time is set. A node that is lost in between leaves nothing out and nothing doubled. Times that were
//! missed while no node was there become one run, and the next time is counted from now.

use std::sync::Arc;
use std::time::Duration;

use domain::access::SystemScope;
use domain::id::RunId;
use domain::run::Trigger;
use domain::run::actor::{RunActor, Who};
use domain::run::port::NewRun;
use domain::run::schedule::wish;
use domain::store::StoreFault;
use domain::time::{Clock, SystemClock};
use domain::workflow::port::Due;
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
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = look.tick() => {}
        }
        if let Err(fault) = begin(&services).await {
            tracing::warn!(error = &fault as &dyn std::error::Error, "schedules wait for the store");
        }
    }
}

async fn begin(services: &Services) -> Result<(), StoreFault> {
    for due in services.schedules.due(SystemClock.now(), AT_ONCE).await? {
        match ask_for(services, &due).await {
            // One that cannot be read must not stop everybody else's clock. Its own time waits until somebody mends it.
            Err(fault @ StoreFault::Corrupt(_)) => {
                let (workflow, error) = (due.workflow, &fault as &dyn std::error::Error);
                tracing::error!(%workflow, error, "a schedule is left out");
                continue;
            }
            asked => asked?,
        }
        services.schedules.take(&due, due.schedule.next_after(SystemClock.now())).await?;
        services.run_bell.ring();
    }
    Ok(())
}

async fn ask_for(services: &Services, due: &Due) -> Result<(), StoreFault> {
    let scope = SystemScope::new(due.organization, "a workflow's time has come");
    let Some(version) = services.definitions.version(scope, due.workflow, due.version).await? else { return Ok(()) };
    let name = services.standings.person(due.organization, due.set_by).await?;
    let name = name.map_or_else(|| due.set_by.to_string(), |person| person.user.email.to_string());
    let actor = RunActor { who: Who::Person(due.set_by), name, org: None, user: None };
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
    services.run_queue.schedule(&scope, &new, &wish(due), event).await?;
    Ok(())
}
