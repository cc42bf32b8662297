//! This node's part in the queue: it takes runs while it has room, holds them, and lets go of them when it stops.
//!
//! A lease is renewed several times before it ends. When it cannot be, everything that depends on it is dropped here before
//! another node can begin: by this node's own clock, counted from before the last renewal that went well.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::run::port::{Claim, Held};
use domain::store::StoreFault;
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::run::{self, Signals};
use super::schedules;
use crate::compose::Services;

/// For how long a node has a run without renewing.
const LEASE: Duration = Duration::from_secs(10);
/// How often it renews.
const RENEWAL: Duration = Duration::from_millis(2500);
/// How long after the last renewal that went well a node still acts as if it had its runs.
const TRUST: Duration = Duration::from_millis(7500);
/// How often a node looks at its runs, and for others.
const LOOK: Duration = Duration::from_millis(500);
/// How long a node waits for the store in between: nothing may keep it from letting go in time.
const PATIENCE: Duration = Duration::from_secs(2);
/// What of the grace period is left to write down what became of runs that did not come to a pause.
const RESERVE_MAX: Duration = Duration::from_secs(2);

/// Rings when a run was asked for on this node, so that it need not wait until the node looks.
#[derive(Debug, Default)]
pub struct RunBell(Notify);

impl RunBell {
    /// A run waits.
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// This node's runs.
pub struct Runner {
    stopping: CancellationToken,
    task: JoinHandle<()>,
    schedules: JoinHandle<()>,
}

impl Runner {
    /// Begins to take runs.
    #[must_use]
    pub fn start(services: &Arc<Services>) -> Self {
        let stopping = CancellationToken::new();
        let work = Work {
            services: Arc::clone(services),
            id: Uuid::now_v7(),
            stopping: stopping.clone(),
            under_way: HashMap::new(),
            tasks: JoinSet::new(),
            task_of: HashMap::new(),
            renewed: Instant::now(),
        };
        let schedules = tokio::spawn(schedules::run(Arc::clone(services), stopping.clone()));
        Self { stopping, task: tokio::spawn(work.run()), schedules }
    }

    /// Takes no more runs. Each that it has comes to the end of its step, and goes back to the queue there; what takes longer
    /// than the grace period is dropped, and found by whoever takes it over.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Returns when it has let go of everything.
    pub async fn stopped(self) {
        self.stopping.cancel();
        for task in [self.task, self.schedules] {
            if let Err(error) = task.await {
                tracing::error!(%error, "this node's runs ended badly");
            }
        }
    }
}

struct Work {
    services: Arc<Services>,
    id: Uuid,
    stopping: CancellationToken,
    // By claim and not by run: one that was lost here can come back before its old task has noticed.
    under_way: HashMap<Claim, Signals>,
    tasks: JoinSet<()>,
    task_of: HashMap<Id, Claim>,
    renewed: Instant,
}

impl Work {
    async fn run(mut self) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut begun = false;
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => break,
                _ = look.tick() => self.hold().await,
                () = self.services.run_bell.0.notified() => {}
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended).await,
            }
            if !begun {
                begun = self.begin().await;
            }
            if begun {
                self.take().await;
            }
        }
        self.drain(look).await;
    }

    async fn begin(&self) -> bool {
        let begun = self.services.run_queue.begin().await;
        if let Err(fault) = &begun {
            tracing::warn!(error = fault as &dyn std::error::Error, "the queue of runs cannot be read yet");
        }
        begun.is_ok()
    }

    /// Takes runs while there is room.
    async fn take(&mut self) {
        // Nothing is waited for here past the time at which it must let go.
        if !self.under_way.is_empty() && self.renewed.elapsed() + PATIENCE >= TRUST {
            return;
        }
        while self.tasks.len() < self.services.settings.runs_at_once && !self.stopping.is_cancelled() {
            // Counted from before the lease begins.
            let before = Instant::now();
            match in_time(self.services.run_queue.claim(self.id, LEASE)).await {
                Ok(Some(claimed)) => {
                    if self.under_way.is_empty() {
                        self.renewed = before;
                    }
                    let signals = Signals { stopping: self.stopping.clone(), ..Signals::default() };
                    if claimed.run.cancelling {
                        signals.cancelled.cancel();
                    }
                    let claim = claimed.claim;
                    self.under_way.insert(claim, signals.clone());
                    let task = self.tasks.spawn(run::go(Arc::clone(&self.services), claimed, signals));
                    self.task_of.insert(task.id(), claim);
                }
                Ok(None) => return,
                Err(fault) => {
                    tracing::warn!(error = &fault as &dyn std::error::Error, "no run could be taken");
                    return;
                }
            }
        }
    }

    async fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let (task, error) = match ended {
            Ok((task, ())) => (task, None),
            Err(error) => (error.id(), Some(error)),
        };
        let Some(claim) = self.task_of.remove(&task) else { return };
        self.under_way.remove(&claim);
        if let Some(error) = error {
            tracing::error!(%error, run = %claim.run, "a run ended badly; it goes back to the queue");
            if let Err(fault) = in_time(self.services.run_queue.hand_back(&claim)).await {
                tracing::warn!(error = &fault as &dyn std::error::Error, "it is free when its lease is over");
            }
        }
    }

    /// Holds what this node has, and tells its runs what became of their claims.
    async fn hold(&mut self) {
        if self.under_way.is_empty() || self.let_go() {
            return;
        }
        // A database that hangs answers neither question: waiting for both must not be longer than it may act.
        let until = self.renewed + TRUST;
        let _ = timeout_at(until.into(), self.hold_on()).await;
        self.let_go();
    }

    async fn hold_on(&mut self) {
        if self.renewed.elapsed() >= RENEWAL {
            let (before, runs) = (Instant::now(), self.under_way.keys().map(|claim| claim.run).collect::<Vec<_>>());
            match in_time(self.services.run_queue.renew(self.id, &runs, LEASE)).await {
                Ok(()) => self.renewed = before,
                Err(fault) => {
                    tracing::warn!(error = &fault as &dyn std::error::Error, "this node's runs could not be held");
                }
            }
        }
        match in_time(self.services.run_queue.held(self.id)).await {
            Ok(held) => self.compare(&held),
            Err(fault) => tracing::warn!(error = &fault as &dyn std::error::Error, "no look at this node's runs"),
        }
    }

    /// Lets go of everything when it could not be held for too long; whether it did.
    fn let_go(&self) -> bool {
        let too_long = self.renewed.elapsed() >= TRUST;
        if too_long {
            tracing::error!("this node's runs are let go: they could not be held for too long");
            self.under_way.values().for_each(|signals| signals.lost.cancel());
        }
        too_long
    }

    fn compare(&self, held: &[Held]) {
        for (claim, signals) in &self.under_way {
            match held.iter().find(|held| held.claim == *claim) {
                Some(held) if held.cancelling => signals.cancelled.cancel(),
                Some(_) => {}
                // It is over, which its task knows, or another node's.
                None => signals.lost.cancel(),
            }
        }
    }

    /// Waits for the ends of steps, for as long as the grace period is.
    async fn drain(&mut self, mut look: tokio::time::Interval) {
        let grace = self.services.settings.shutdown_timeout;
        let until = tokio::time::Instant::now() + grace.saturating_sub(RESERVE_MAX.min(grace / 2));
        while !self.tasks.is_empty() {
            tokio::select! {
                () = tokio::time::sleep_until(until) => {
                    tracing::warn!(runs = self.tasks.len(), "runs are dropped in the middle of a step");
                    self.tasks.shutdown().await;
                }
                _ = look.tick() => self.hold().await,
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended).await,
            }
        }
    }
}

/// What the store answers, if it does so soon.
async fn in_time<T>(answer: impl Future<Output = Result<T, StoreFault>>) -> Result<T, StoreFault> {
    timeout(PATIENCE, answer).await.unwrap_or_else(|late| Err(StoreFault::Unavailable(Box::new(late))))
}
