//! `GET /runs/{id}/compare`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::RunsRead;
use domain::audit::AuditTarget;
use domain::id::RunId;
use domain::run::compare::{Both, Change, Comparison, StepComparison};
use domain::run::service::{RunFault, With};
use domain::run::{RunStatus, StepStatus};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::shapes::millis;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::{Allowed, Asked};
use crate::problem::Problem;
use crate::v1::{ConflictRefusals, Refusals};

/// With what.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WithQuery {
    /// Another run of the same workflow, by id, or `baseline`.
    #[param(example = "baseline", required = false)]
    with: Option<String>,
}

/// Two runs of a workflow side by side.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComparisonShape {
    /// The run that is looked at.
    run_id: String,
    /// The run that it is compared with.
    with_run_id: String,
    /// How they ended.
    status: BothText,
    /// The versions of the workflow.
    version: BothNumber,
    /// How long they took, in milliseconds.
    duration_ms: BothNumber,
    /// Their steps, by name.
    steps: Vec<StepComparisonShape>,
}

/// Before and after.
#[derive(Debug, Serialize, ToSchema)]
pub struct BothText {
    /// In the run that is compared with.
    before: Option<String>,
    /// In the run that is looked at.
    after: Option<String>,
}

/// Before and after.
#[derive(Debug, Serialize, ToSchema)]
pub struct BothNumber {
    /// In the run that is compared with.
    before: Option<u64>,
    /// In the run that is looked at.
    after: Option<u64>,
}

/// Before and after.
#[derive(Debug, Serialize, ToSchema)]
pub struct BothVerdict {
    /// In the run that is compared with.
    before: Option<bool>,
    /// In the run that is looked at.
    after: Option<bool>,
}

/// A step of both runs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepComparisonShape {
    /// Its name.
    name: String,
    /// `same`, `changed`, `added` or `removed`; null when both runs have it and it is `withheld`.
    #[schema(example = "changed")]
    change: Option<&'static str>,
    /// Whether what it answered is kept back, since you do not reach its server: nothing is said of its results and
    /// expectations.
    withheld: bool,
    /// How it ended.
    status: BothText,
    /// How long it took, in milliseconds.
    duration_ms: BothNumber,
    /// Where the results, as they are kept, differ: JSON Pointers, at most 20.
    #[schema(example = json!(["/structuredContent/total"]))]
    result_changes: Vec<String>,
    /// Whether they differ in more places.
    more_result_changes: bool,
    /// The expectations whose verdict is another.
    expectations: Vec<TurnedShape>,
}

/// An expectation whose verdict is another.
#[derive(Debug, Serialize, ToSchema)]
pub struct TurnedShape {
    /// JSON Pointer into the result.
    path: String,
    /// How what stands there is compared.
    op: String,
    /// Whether it holds.
    passed: BothVerdict,
}

fn text<T>(both: Both<T>, name: impl Fn(T) -> &'static str) -> BothText {
    BothText { before: both.before.map(|it| name(it).to_owned()), after: both.after.map(|it| name(it).to_owned()) }
}

fn time(both: Both<std::time::Duration>) -> BothNumber {
    BothNumber { before: both.before.map(millis), after: both.after.map(millis) }
}

impl ComparisonShape {
    /// As JSON has it.
    #[must_use]
    pub fn new(run: RunId, with: RunId, comparison: Comparison) -> Self {
        let Comparison { status, version, duration, steps } = comparison;
        Self {
            run_id: run.to_string(),
            with_run_id: with.to_string(),
            status: text(status, RunStatus::as_str),
            version: BothNumber { before: version.before.map(u64::from), after: version.after.map(u64::from) },
            duration_ms: time(duration),
            steps: steps.into_iter().map(StepComparisonShape::from).collect(),
        }
    }
}

impl From<StepComparison> for StepComparisonShape {
    fn from(step: StepComparison) -> Self {
        Self {
            name: step.name,
            change: step.change.map(Change::as_str),
            withheld: step.withheld,
            status: text(step.status, StepStatus::as_str),
            duration_ms: time(step.duration),
            result_changes: step.places,
            more_result_changes: step.more,
            expectations: step
                .expectations
                .into_iter()
                .map(|it| TurnedShape {
                    path: it.path,
                    op: it.op,
                    passed: BothVerdict { before: it.passed.before, after: it.passed.after },
                })
                .collect(),
        }
    }
}

/// What a run is compared with, as it is written.
///
/// # Errors
/// 400
pub fn with(text: Option<&str>) -> Result<With, Problem> {
    match text {
        None | Some("baseline") => Ok(With::Baseline),
        Some(id) => id
            .parse()
            .map(With::Run)
            .map_err(|_| Problem::field(Code::ValidationFailed, "with", "must be a run's id, or baseline")),
    }
}

/// Compares a run with another of its workflow, or with the workflow's baseline: what changed in status, results and
/// durations.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "compare_run", tag = "runs",
    params(("id" = String, Path, description = "The run's id."), WithQuery, crate::openapi::TenantQuery),
    responses((status = 200, description = "What changed.", body = ComparisonShape), Refusals, ConflictRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/runs/{id}/compare")]
pub async fn compare_run(
    allowed: Allowed<RunsRead>,
    services: Data<Services>,
    id: Path<String>,
    query: Asked<WithQuery>,
) -> Result<HttpResponse, Problem> {
    let parsed = id.parse::<RunId>().map_err(|_| RunFault::NotFound);
    let id = allowed.noted(&services, AuditTarget::Organization, parsed).await?;
    let with = with(query.read()?.with.as_deref())?;
    let compared = services.runs.compare(&allowed, id, with).await;
    let (other, comparison) = allowed.noted(&services, AuditTarget::Organization, compared).await?;
    Ok(HttpResponse::Ok().json(ComparisonShape::new(id, other, comparison)))
}
