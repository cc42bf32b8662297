//! `GET /runs/{id}/events`: how a run stands, and then what changes, until it is over.
//!
//! It is read from the store, so that any node can tell of any run. An event has no more than what `GET /runs/{id}` shows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get};
use bytes::Bytes;
use domain::access::decide::Question;
use domain::access::permission::RunsRead;
use domain::access::{Grant, Permission};
use domain::id::RunId;
use domain::run::actor::RunActor;
use domain::run::service::RunFault;
use futures_util::stream;
use serde::Serialize;

use super::get::named;
use super::shapes::{RunShape, RunStepShape};
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::runs::behalf;
use crate::v1::Refusals;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// How often it is looked whether the run has changed.
const LOOK: Duration = Duration::from_millis(300);
/// How often it is looked whether whoever listens still may, when there is nothing to tell; else it is each time.
const STANDING: Duration = Duration::from_secs(1);
/// How long nothing is sent at most, so that nobody in between takes the stream for dead.
const SILENCE: Duration = Duration::from_secs(15);

/// Server-sent events: `step`, whose data is a step as `GET /runs/{id}` has it, for each step that changed, and then `run`,
/// whose data is the run without its steps. First the present state, then changes; the stream ends with the run. The `id`
/// of a `run` is the state that was told up to it: with it in `Last-Event-ID`, only later changes are told. When nothing is
/// left to tell, the answer is 204, at which browsers stop asking.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "watch_run", tag = "runs",
    params(
        ("id" = String, Path, description = "The run's id."),
        ("Last-Event-ID" = Option<String>, Header, description = "The `id` of the last event that was received."),
        crate::openapi::TenantQuery
    ),
    responses(
        (status = 200, description = "The events.", body = String, content_type = "text/event-stream"),
        (status = 204, description = "The run is over, and all was told."),
        Refusals
    ),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/runs/{id}/events")]
pub async fn watch_run(
    allowed: Allowed<RunsRead>,
    services: Data<Services>,
    request: HttpRequest,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let run = named(&services, &allowed, &id).await?;
    let told = request.headers().get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    if run.status.is_over() && told == Some(run.revision) {
        return Ok(HttpResponse::NoContent().finish());
    }
    let watch = Watch {
        services: services.into_inner(),
        grant: (*allowed).clone(),
        run: run.id,
        told: told.unwrap_or(-1),
        first: true,
        over: false,
        looked: Instant::now(),
    };
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((ACCEL_BUFFERING, "no"))
        .streaming(stream::try_unfold(watch, Watch::next)))
}

struct Watch {
    services: Arc<Services>,
    grant: Grant<RunsRead>,
    run: RunId,
    // The revision up to which all was told.
    told: i64,
    first: bool,
    over: bool,
    looked: Instant,
}

impl Watch {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, actix_web::Error> {
        let since = Instant::now();
        while !self.over && !self.services.stopping.begun() {
            let news = match self.news().await {
                Ok(news) => news,
                // Cleared out in the middle.
                Err(RunFault::NotFound) => break,
                Err(fault) => return Err(Problem::from(fault).into()),
            };
            // The request was decided a moment ago.
            let decided = self.first || !(news || self.looked.elapsed() >= STANDING);
            if !decided && !self.decide_anew().await? {
                break;
            }
            if news {
                match self.tell().await {
                    Ok(text) => return Ok(Some((text, self))),
                    Err(RunFault::NotFound) => break,
                    Err(fault) => return Err(Problem::from(fault).into()),
                }
            }
            if since.elapsed() >= SILENCE {
                return Ok(Some((Bytes::from_static(b":\n\n"), self)));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(None)
    }

    /// Decides anew, like a request of theirs, what whoever listens sees; false when they may not read runs any more.
    async fn decide_anew(&mut self) -> Result<bool, Problem> {
        self.looked = Instant::now();
        if self.services.suspended.covers(self.grant.tenant()) {
            return Ok(false);
        }
        let (who, organization) = (RunActor::of(&self.grant), self.grant.organization().id);
        let question = Question { permission: Some(Permission::RunsRead), ..who.question() };
        let granted = behalf::decided::<RunsRead>(&self.services, &who, organization, question).await?;
        let Ok(grant) = granted else { return Ok(false) };
        self.grant = grant;
        Ok(true)
    }

    /// Whether there is something to tell.
    async fn news(&self) -> Result<bool, RunFault> {
        Ok(self.first || self.services.runs.revision(&self.grant, self.run).await? > self.told)
    }

    async fn tell(&mut self) -> Result<Bytes, RunFault> {
        self.first = false;
        let run = self.services.runs.get(&self.grant, self.run).await?;
        let mut text = String::new();
        for step in run.steps.iter().filter(|step| step.revision > self.told) {
            event(&mut text, "step", None, &RunStepShape::from(step));
        }
        event(&mut text, "run", Some(run.revision), &RunShape::listed(&run));
        (self.told, self.over) = (run.revision, run.status.is_over());
        Ok(text.into())
    }
}

fn event(text: &mut String, name: &str, id: Option<i64>, data: &impl Serialize) {
    use std::fmt::Write;
    // JSON has no line breaks of its own.
    let Ok(data) = serde_json::to_string(data) else { return };
    let _ = writeln!(text, "event: {name}");
    if let Some(id) = id {
        let _ = writeln!(text, "id: {id}");
    }
    let _ = writeln!(text, "data: {data}\n");
}
