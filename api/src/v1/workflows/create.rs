//! `POST /workflows`

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use domain::access::permission::WorkflowsWrite;
use domain::audit::AuditTarget;
use domain::workflow::draft::Draft;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::input::{NewSchedule, NewStep};
use super::shapes::WorkflowShape;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::once::{Made, Once, OnceHeader};
use crate::problem::Problem;
use crate::v1::{BodyRefusals, Refusals};

/// A workflow to make.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewWorkflow {
    /// Name for people.
    #[schema(example = "Nightly", min_length = 1, max_length = 100)]
    name: String,
    /// A longer explanation.
    #[schema(max_length = 1000)]
    description: Option<String>,
    /// The steps, in order; all of their arguments and expected values at most 256 KiB.
    #[schema(min_items = 1, max_items = 100)]
    steps: Vec<NewStep>,
    /// How long a run may take; the installation's own limit when not given.
    #[schema(minimum = 1, maximum = 86_400)]
    timeout_seconds: Option<u32>,
    /// When it runs by itself; never when not given.
    schedule: Option<NewSchedule>,
    /// Id or slug of the project that it belongs to.
    #[schema(example = "checkout")]
    project_id: Option<String>,
}

impl From<NewWorkflow> for Draft {
    fn from(sent: NewWorkflow) -> Self {
        Self {
            name: Some(sent.name),
            description: Some(sent.description),
            steps: Some(sent.steps.into_iter().map(Into::into).collect()),
            timeout_seconds: Some(sent.timeout_seconds),
            schedule: Some(sent.schedule.map(Into::into)),
            project: Some(sent.project_id),
        }
    }
}

/// Makes a workflow, at version 1.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "create_workflow", tag = "workflows", request_body = NewWorkflow,
    params(OnceHeader, crate::openapi::TenantQuery),
    responses((status = 201, description = "The workflow.", body = WorkflowShape), Refusals, BodyRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/workflows")]
pub async fn create_workflow(
    allowed: Allowed<WorkflowsWrite>,
    services: Data<Services>,
    once: Once,
    body: Body<NewWorkflow>,
) -> Result<HttpResponse, Problem> {
    let (body, bytes) = body.read_both().await?;
    let scope = (**allowed).clone();
    once.make(&services.clone(), &scope, &bytes, async move {
        let event = allowed.event("workflow.create", AuditTarget::Organization);
        let created = services.workflows.create(&allowed, body.into(), event).await;
        let seen = allowed.noted(&services, AuditTarget::Organization, created).await?;
        Made::new(StatusCode::CREATED, &WorkflowShape::new(&seen, None))
    })
    .await
}
