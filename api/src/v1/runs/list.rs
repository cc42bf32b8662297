//! `GET /runs`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::RunsRead;
use domain::field::FieldErrors;
use domain::id::WorkflowId;
use domain::project::Narrowing;
use domain::run::port::RunFilter;
use domain::run::{RunStatus, Trigger};
use domain::time::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use super::shapes::RunShape;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, ProjectFilter, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Items, Refusals};

/// Which runs: those that fit everything that is given.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct RunQuery {
    /// Of this workflow, by id.
    #[param(example = "wf_01kafx5tgyf1na07m4q6nf1sgb")]
    pub workflow_id: Option<String>,
    /// `pending`, `running`, `pass`, `partial`, `fail`, `error` or `cancelled`.
    pub status: Option<String>,
    /// `api`, `tool` or `schedule`.
    pub trigger: Option<String>,
    /// RFC 3339: asked for at this time or later.
    #[param(format = DateTime, example = "2026-11-21T00:00:00Z")]
    pub from: Option<String>,
    /// RFC 3339: asked for before this time.
    #[param(format = DateTime, example = "2026-11-22T00:00:00Z")]
    pub to: Option<String>,
}

impl RunQuery {
    /// Reads it.
    ///
    /// # Errors
    /// Every field that cannot be read.
    pub fn filter(&self) -> Result<RunFilter, FieldErrors> {
        let mut errors = FieldErrors::default();
        let workflow = self.workflow_id.as_deref().map(str::parse::<WorkflowId>);
        let workflow = errors.take_optional("workflowId", workflow);
        let known = |names: &[&str]| format!("must be one of {}", names.join(", "));
        let status = self
            .status
            .as_deref()
            .map(|name| RunStatus::named(name).ok_or_else(|| known(&RunStatus::ALL.map(RunStatus::as_str))));
        let status = errors.take_optional("status", status);
        let trigger = self
            .trigger
            .as_deref()
            .map(|name| Trigger::named(name).ok_or_else(|| known(&Trigger::ALL.map(Trigger::as_str))));
        let trigger = errors.take_optional("trigger", trigger);
        let from = errors.take_optional("from", self.from.as_deref().map(Timestamp::parse));
        let to = errors.take_optional("to", self.to.as_deref().map(Timestamp::parse));
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            errors.add("to", "must be after from");
        }
        errors.check()?;
        Ok(RunFilter { workflow, project: None, status, trigger, from, to })
    }
}

/// The runs that you see, newest first and without their steps. A key that speaks for tenants sees those of the tenant that
/// the request names, and without one those of no tenant.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_runs", tag = "runs",
    params(Paging, RunQuery, ProjectFilter, crate::openapi::TenantQuery),
    responses((status = 200, description = "A page of runs.", body = Items<RunShape>), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/runs")]
pub async fn list_runs(
    allowed: Allowed<RunsRead>,
    services: Data<Services>,
    paging: Asked<Paging>,
    query: Asked<RunQuery>,
    project: Asked<ProjectFilter>,
) -> Result<HttpResponse, Problem> {
    let (page, filter) = (paging.read()?.request(|key| key.parse().ok())?, query.read()?.filter()?);
    let narrowing = project.read()?.read_by(&services, &allowed).await?;
    let filter = RunFilter { project: narrowing.as_ref().map(Narrowing::project), ..filter };
    let page = services.runs.list(&allowed, &filter, page).await?;
    Ok(HttpResponse::Ok().json(Items {
        items: page.items.iter().map(RunShape::listed).collect(),
        next_cursor: page.next.map(|id| encode_cursor(&id.to_string())),
    }))
}
