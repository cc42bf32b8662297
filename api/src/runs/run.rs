//! One run, from the moment when this node has it to its end, or until it goes to another.

use std::sync::Arc;
use std::time::Duration;

use domain::audit::{AuditEvent, Outcome as AuditOutcome};
use domain::run::evidence::Evidence;
use domain::run::fold::{Ended, goes_on, status};
use domain::run::port::{Carried, Claim, Claimed, RunEnd, StepEnd};
use domain::run::reason::{Told, reason};
use domain::run::resolve::Answers;
use domain::run::takeover::{Found, Takeover, takeover, worn_out};
use domain::run::{Run, RunStatus, Seen, StepStatus};
use domain::store::StoreFault;
use domain::time::{Clock, SystemClock};
use domain::workflow::Definition;
use tokio::time::Instant as Moment;
use tokio_util::sync::CancellationToken;

use super::step::{self, OUTCOME_UNKNOWN};
use crate::compose::Services;

/// How long a node waits before it asks a store again that did not answer; twice as long each time.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What a run under way is told.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// Somebody asked for its end.
    pub cancelled: CancellationToken,
    /// It is this node's no longer.
    pub lost: CancellationToken,
    /// The node stops.
    pub stopping: CancellationToken,
}

/// The run is this node's no longer: nothing may be written or called for it any more.
#[derive(Debug, Clone, Copy)]
pub struct Lost;

/// A run that this node has.
pub struct UnderWay {
    pub services: Arc<Services>,
    pub run: Run,
    pub definition: Arc<Definition>,
    pub signals: Signals,
    pub deadline: Moment,
    pub answers: Answers,
    pub seen: Seen,
    claim: Claim,
}

/// Does a run, to its end or until it goes to another node.
pub async fn go(services: Arc<Services>, claimed: Claimed, signals: Signals) {
    let id = claimed.run.id;
    if let Err(Lost) = done(services, claimed, signals).await {
        tracing::info!(run = %id, "a run went to another node");
    }
}

async fn done(services: Arc<Services>, claimed: Claimed, signals: Signals) -> Result<(), Lost> {
    let began = Moment::now();
    let Claimed { claim, run, carried } = claimed;
    // Before anything else is done with it: whatever it is may be what ends the nodes.
    let worn_out = worn_out(claim.number, run.steps.iter().map(|step| (step.status, step.tries)));
    let definition = if worn_out { None } else { definition(&services, &run, &signals).await? };
    let limit = definition.as_ref().and_then(|it| it.timeout).unwrap_or(services.settings.run_timeout);
    let reason = match (&definition, &carried) {
        _ if worn_out => Some("nodes took the run again and again, and were lost before they began a step of it"),
        (None, _) => Some("the version of the workflow that the run is of is not there"),
        (_, None) => Some("what its steps carry was sealed under a root secret that is not there any more"),
        (Some(definition), Some(_)) if definition.steps.len() != run.steps.len() => {
            Some("the run does not have the steps of its version of the workflow")
        }
        (Some(_), Some(_)) => None,
    };
    let definition = Arc::new(definition.unwrap_or(Definition { steps: vec![], timeout: None }));
    let mut under_way = UnderWay {
        deadline: deadline(began, &claim, &run, limit.min(services.settings.run_timeout)),
        services,
        run,
        definition,
        signals,
        answers: Answers::default(),
        seen: Seen::default(),
        claim,
    };
    if let Some(reason) = reason {
        let open = under_way.open_step();
        return under_way.finish(RunStatus::Error, Some(reason.to_owned()), open).await;
    }
    for (at, carried) in carried.unwrap_or_default().into_iter().enumerate() {
        let name = under_way.definition.steps[at].name.clone();
        under_way.answers.restore(&name, carried.answers);
        under_way.seen.add(carried.seen);
    }
    match under_way.taken_over() {
        TakenOver::GoesOn => under_way.go_on().await,
        TakenOver::Ends(last) => under_way.finish(RunStatus::Error, None, last.map(|last| *last)).await,
    }
}

/// What becomes of a run that another node may have had before.
enum TakenOver {
    GoesOn,
    /// It is an error; with the end of the step that the other node left open.
    Ends(Option<Box<StepEnd>>),
}

/// The number of a run's first claim.
const FIRST: i64 = 1;

/// What the run does; none when the version is not there.
async fn definition(services: &Services, run: &Run, signals: &Signals) -> Result<Option<Definition>, Lost> {
    let scope = domain::access::SystemScope::new(run.organization, "a node reads what the run is of");
    let found = kept_trying(signals, || services.definitions.version(scope, run.workflow, run.version)).await?;
    Ok(found.map(|version| version.definition))
}

/// Until when the run may take, counted from its first begin on whichever node. This node began with it at `now`.
fn deadline(now: Moment, claim: &Claim, run: &Run, limit: Duration) -> Moment {
    if claim.number == FIRST {
        // That is its first begin, whatever became of the clock since.
        return now + limit;
    }
    let gone = run.started_at.map_or(0, |began| SystemClock.now().as_micros().saturating_sub(began.as_micros()));
    now + limit.saturating_sub(Duration::from_micros(u64::try_from(gone).unwrap_or(0)))
}

impl UnderWay {
    /// Decides about a step that another node began and did not end.
    fn taken_over(&mut self) -> TakenOver {
        let found = |(step, as_written): (&domain::run::RunStep, &domain::workflow::Step)| Found {
            status: step.status,
            safe: step.safe,
            tries: step.tries,
            allowed: u32::from(as_written.retries) + 1,
            unknown: step.evidence.error.as_ref().is_some_and(|error| error.code == OUTCOME_UNKNOWN),
        };
        let steps: Vec<Found> = self.run.steps.iter().zip(&self.definition.steps).map(found).collect();
        let (at, message) = match takeover(&steps) {
            Takeover::GoesOn => return TakenOver::GoesOn,
            Takeover::WasOver => return TakenOver::Ends(None),
            Takeover::Again(at) => {
                self.run.steps[at].status = StepStatus::Pending;
                return TakenOver::GoesOn;
            }
            Takeover::Unknown(at) => (
                at,
                "the node that called the tool is gone, and nobody knows whether the step took place; it is not marked as \
                 safe to be called again",
            ),
            Takeover::TooOften(at) => {
                (at, "the nodes that called the tool were lost each time; the step is not tried any more")
            }
        };
        TakenOver::Ends(Some(Box::new(self.unknown(at, message))))
    }

    /// The end of the step that another node began and did not end, in a run that cannot be gone on with.
    fn open_step(&self) -> Option<StepEnd> {
        let open = self.run.steps.iter().position(|step| step.status == StepStatus::Running)?;
        Some(self.unknown(open, "the run ended before it was known whether the step took place"))
    }

    fn unknown(&self, at: usize, message: &str) -> StepEnd {
        let evidence = self.run.steps[at].evidence.clone().failed(OUTCOME_UNKNOWN, message, &self.seen);
        StepEnd { position: at, status: StepStatus::Error, duration: None, evidence, carried: Carried::default() }
    }

    async fn go_on(mut self) -> Result<(), Lost> {
        for at in 0..self.run.steps.len() {
            let before = Ended { required: self.run.steps[at].required, status: self.run.steps[at].status };
            if before.status != StepStatus::Pending {
                if goes_on(before) {
                    continue;
                }
                break;
            }
            if self.signals.cancelled.is_cancelled() {
                return self.finish(RunStatus::Cancelled, None, None).await;
            }
            if self.signals.stopping.is_cancelled() {
                return self.hand_back().await;
            }
            let outcome = step::run(&mut self, at).await?;
            let ended = outcome.end.status;
            if ended == StepStatus::Cancelled {
                return self.finish(RunStatus::Cancelled, None, Some(outcome.end)).await;
            }
            if outcome.fatal {
                return self.finish(RunStatus::Error, None, Some(outcome.end)).await;
            }
            self.end_step(outcome.end).await?;
            if !goes_on(Ended { required: before.required, status: ended }) {
                break;
            }
        }
        let ended = self.run.steps.iter().map(|step| Ended { required: step.required, status: step.status });
        let status = status(ended);
        self.finish(status, None, None).await
    }

    /// Notes that a step's tool is about to be called.
    pub async fn begin_step(&mut self, at: usize, evidence: &Evidence) -> Result<(), Lost> {
        let (queue, claim, now) = (Arc::clone(&self.services.run_queue), self.claim, step::now());
        let held = kept_trying(&self.signals, || queue.begin_step(&claim, at, evidence, now)).await?;
        self.run.steps[at].status = StepStatus::Running;
        if held { Ok(()) } else { Err(Lost) }
    }

    async fn end_step(&mut self, end: StepEnd) -> Result<(), Lost> {
        let (queue, claim) = (Arc::clone(&self.services.run_queue), self.claim);
        self.note(&end);
        let held = kept_trying(&self.signals, || queue.end_step(&claim, end.clone())).await?;
        if held { Ok(()) } else { Err(Lost) }
    }

    fn note(&mut self, end: &StepEnd) {
        let step = &mut self.run.steps[end.position];
        (step.status, step.evidence) = (end.status, end.evidence.clone());
    }

    async fn hand_back(self) -> Result<(), Lost> {
        let (queue, claim) = (Arc::clone(&self.services.run_queue), self.claim);
        // Another node takes it when its lease is over, if this cannot be written.
        if let Err(fault) = queue.hand_back(&claim).await {
            tracing::warn!(error = &fault as &dyn std::error::Error, run = %self.run.id, "a run waits for its lease");
        }
        Ok(())
    }

    async fn finish(mut self, status: RunStatus, because: Option<String>, last: Option<StepEnd>) -> Result<(), Lost> {
        if let Some(end) = &last {
            self.note(end);
        }
        let told = self.run.steps.iter().map(|step| Told {
            name: &step.name,
            required: step.required,
            status: step.status,
            evidence: &step.evidence,
        });
        let reason = self.seen.text(&because.unwrap_or_else(|| reason(status, told)));
        let rest = if status == RunStatus::Cancelled { StepStatus::Cancelled } else { StepStatus::Skipped };
        let event = self.run.actor.event(self.run.organization, self.run.id, "run.finish", SystemClock.now());
        let event = AuditEvent {
            outcome: if status == RunStatus::Error { AuditOutcome::Error } else { AuditOutcome::Allowed },
            reason: Some(format!("{}: {reason}", status.as_str())),
            ..event
        };
        let (queue, claim) = (Arc::clone(&self.services.run_queue), self.claim);
        let end = RunEnd { status, reason, rest, last };
        let held = kept_trying(&self.signals, || queue.finish(&claim, end.clone(), event.clone())).await?;
        if held { Ok(()) } else { Err(Lost) }
    }
}

/// Asks a store until it answers, or the run is this node's no longer: its lease ends when nothing can be written.
pub async fn kept_trying<T, F: Future<Output = Result<T, StoreFault>>>(
    signals: &Signals,
    ask: impl Fn() -> F,
) -> Result<T, Lost> {
    let mut pause = PAUSE;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(fault) => {
                tracing::warn!(error = &fault as &dyn std::error::Error, "a run waits for the store");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = signals.lost.cancelled() => return Err(Lost),
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}
