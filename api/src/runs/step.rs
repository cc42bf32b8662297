//! One step: what it is given, the call of its tool, and the verdict.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::run::StepStatus;
use domain::run::evidence::Evidence;
use domain::run::fold::verdict;
use domain::run::judge::judge;
use domain::run::port::{Carried, StepEnd};
use domain::run::resolve::wanted;
use domain::time::{Clock, SystemClock};
use domain::workflow::{STEP_TIMEOUT_DEFAULT, Step};
use infra::mcp_client::CallToolResponse;
use serde_json::{Map, Value};
use tokio::time::{Instant as Moment, timeout_at};

use super::behalf::{self, Nobody};
use super::run::{Lost, UnderWay, kept_trying};
use crate::code::Code;
use crate::platform::NotCalled;
use crate::platform::step::Ready;
use crate::problem::Problem;

/// Most of what later steps refer to in one answer, and of a step's arguments, in bytes of JSON.
const CARRIED_MAX: usize = 1024 * 1024;
/// How long a step waits before its second try; twice as long before each after that.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The codes of steps that no caller gets.
const REFERENCE_NOT_FOUND: &str = "reference_not_found";
const INPUT_REQUIRED: &str = "input_required";
pub const OUTCOME_UNKNOWN: &str = "outcome_unknown";
pub const TIME_OVER: &str = "run_timeout";
const CANCELLED: &str = "cancelled";

/// How a step ended.
pub struct Outcome {
    /// What is written down.
    pub end: StepEnd,
    /// Whether the run ends with it, required or not.
    pub fatal: bool,
}

/// Why a try came to nothing.
struct Failed {
    code: &'static str,
    message: String,
    /// Whether another try may do better.
    again: bool,
    fatal: bool,
    cancelled: bool,
}

impl Failed {
    const fn of(code: &'static str, message: String) -> Self {
        Self { code, message, again: false, fatal: false, cancelled: false }
    }

    /// What a fault of servers or stores may be over soon; a refusal is one the next time, too.
    fn called(problem: &Problem) -> Self {
        let again = problem.code().status().is_server_error() || problem.code() == Code::RateLimited;
        problem.log(None);
        Self { again, ..Self::of(problem.code().as_str(), problem.message().to_owned()) }
    }
}

impl From<Nobody> for Failed {
    fn from(nobody: Nobody) -> Self {
        Self { fatal: nobody.gone, ..Self::called(&nobody.problem) }
    }
}

/// Does a step: as often as it may be tried. What it began is written down before its tool is called.
///
/// # Errors
/// [`Lost`] when the run is this node's no longer.
pub async fn run(run: &mut UnderWay, at: usize) -> Result<Outcome, Lost> {
    let definition = Arc::clone(&run.definition);
    let step = &definition.steps[at];
    let began = Instant::now();
    let (mut tries, mut pause) = (0, PAUSE);
    let mut evidence = Evidence::default();
    let (mut begun, mut seen) = (false, Vec::new());
    let failed = loop {
        match once(run, at, step, &mut evidence, &mut begun, &mut seen).await? {
            Ok(answer) => return Ok(answered(run, at, step, &answer, evidence, began.elapsed(), seen)),
            Err(failed) => {
                tries += 1;
                let retried = step.safe && failed.again && tries <= u32::from(step.retries);
                if !retried || Moment::now() + pause >= run.deadline {
                    break failed;
                }
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = run.signals.cancelled.cancelled() => break cancelled(),
                    () = run.signals.lost.cancelled() => return Err(Lost),
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    };
    let status = if failed.cancelled { StepStatus::Cancelled } else { StepStatus::Error };
    let evidence = evidence.failed(failed.code, &failed.message, &run.seen);
    let duration = begun.then(|| began.elapsed());
    let carried = Carried { answers: Map::new(), seen };
    Ok(Outcome { end: StepEnd { position: at, status, duration, evidence, carried }, fatal: failed.fatal })
}

async fn once(
    run: &mut UnderWay,
    at: usize,
    step: &Step,
    evidence: &mut Evidence,
    begun: &mut bool,
    seen: &mut Vec<String>,
) -> Result<Result<Value, Failed>, Lost> {
    let arguments = match run.answers.fields(&step.arguments) {
        Ok(arguments) => arguments,
        Err(unresolved) => return Ok(Err(Failed::of(REFERENCE_NOT_FOUND, unresolved.to_string()))),
    };
    if length(&Value::Object(arguments.clone())) > CARRIED_MAX {
        let message = format!("the arguments are longer than {CARRIED_MAX} bytes");
        return Ok(Err(Failed::of(Code::PayloadTooLarge.as_str(), message)));
    }
    seen.extend(run.seen.note(&Value::Object(arguments.clone())));
    *evidence = Evidence::of_arguments(&arguments, &run.seen);
    let asker = match kept_trying(&run.signals, || behalf::asker(&run.services, &run.run)).await? {
        Ok(asker) => asker,
        Err(nobody) => return Ok(Err(nobody.into())),
    };
    let ready = tokio::select! {
        ready = Ready::find(&asker, run.run.id, step.server, &step.tool) => ready,
        () = run.signals.cancelled.cancelled() => return Ok(Err(cancelled())),
        () = run.signals.lost.cancelled() => return Err(Lost),
        () = tokio::time::sleep_until(run.deadline) => return Ok(Err(run_over())),
    };
    let ready = match ready.and_then(|ready| ready.guard(&arguments).map(|()| ready)) {
        Ok(ready) => ready,
        Err(problem) => return Ok(Err(Failed::called(&problem))),
    };
    // From here on nobody can say that the tool was not called.
    run.begin_step(at, evidence).await?;
    *begun = true;
    let patience = step.timeout.unwrap_or(STEP_TIMEOUT_DEFAULT);
    let until = (Moment::now() + patience).min(run.deadline);
    let call = timeout_at(until, ready.call(arguments));
    let called = tokio::select! {
        biased;
        () = run.signals.lost.cancelled() => return Err(Lost),
        () = run.signals.cancelled.cancelled() => return Ok(Err(cancelled())),
        called = call => called,
        problem = behalf::gone(&run.services, &run.run, &asker) => {
            return Ok(Err(Failed { fatal: true, ..Failed::of(problem.code().as_str(), problem.message().to_owned()) }));
        }
    };
    Ok(match called {
        Err(_) if until == run.deadline => Err(run_over()),
        Err(_) => {
            let message = format!("the tool did not answer within {} seconds", patience.as_secs());
            Err(Failed { again: true, ..Failed::of(Code::UpstreamTimeout.as_str(), message) })
        }
        Ok(Ok(CallToolResponse::Complete(result))) => match serde_json::to_value(&result) {
            Ok(answer) => Ok(answer),
            Err(error) => Err(Failed::of(Code::UpstreamError.as_str(), format!("the answer cannot be read: {error}"))),
        },
        Ok(Ok(_)) => {
            let message = "the tool asks for input, which a run cannot give".to_owned();
            Err(Failed::of(INPUT_REQUIRED, message))
        }
        Ok(Err(NotCalled::Answered(error))) => {
            let message = format!("the server answered with an error ({}): {}", error.code.0, error.message);
            Err(Failed::of(Code::UpstreamError.as_str(), message))
        }
        Ok(Err(NotCalled::Failed(problem) | NotCalled::Denied(problem))) => Err(Failed::called(&problem)),
        Ok(Err(NotCalled::Unknown)) => Err(Failed::of(Code::NotFound.as_str(), "there is no such tool".to_owned())),
    })
}

fn answered(
    run: &mut UnderWay,
    at: usize,
    step: &Step,
    answer: &Value,
    evidence: Evidence,
    took: Duration,
    mut seen: Vec<String>,
) -> Outcome {
    seen.extend(run.seen.note(answer));
    let end = |status, evidence, carried| StepEnd { position: at, status, duration: Some(took), evidence, carried };
    let failed = |evidence: Evidence, code, message: &str, run: &UnderWay, seen| {
        let evidence = evidence.answered(answer, &[], &run.seen).failed(code, message, &run.seen);
        Outcome { end: end(StepStatus::Error, evidence, Carried { answers: Map::new(), seen }), fatal: false }
    };
    let expected = match run.answers.expected(&step.expect) {
        Ok(expected) => expected,
        Err(unresolved) => {
            return failed(evidence, REFERENCE_NOT_FOUND, &unresolved.to_string(), run, seen);
        }
    };
    run.answers.keep(&step.name, &wanted(&run.definition.steps, &step.name), answer);
    let answers = run.answers.of(&step.name);
    if length(&Value::Object(answers.clone())) > CARRIED_MAX {
        let message = format!("what later steps refer to is longer than {CARRIED_MAX} bytes");
        return failed(evidence, Code::PayloadTooLarge.as_str(), &message, run, seen);
    }
    let judged = judge(&expected, answer);
    let evidence = evidence.answered(answer, &judged, &run.seen);
    Outcome { end: end(verdict(&judged), evidence, Carried { answers, seen }), fatal: false }
}

fn cancelled() -> Failed {
    Failed { cancelled: true, fatal: true, ..Failed::of(CANCELLED, "the run was cancelled".to_owned()) }
}

fn run_over() -> Failed {
    Failed { fatal: true, ..Failed::of(TIME_OVER, "the time of the whole run is over".to_owned()) }
}

fn length(value: &Value) -> usize {
    serde_json::to_vec(value).map_or(0, |text| text.len())
}

/// The time now, as steps are marked with it.
pub fn now() -> domain::time::Timestamp {
    SystemClock.now()
}
