//! `POST /workflows/{id}/runs`

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, post};
use domain::access::permission::RunsDispatch;
use domain::access::{Grant, TenantScope};
use domain::audit::{AuditEvent, AuditTarget};
use domain::id::WorkflowId;
use domain::idempotency::{Asked, Claim, IdempotencyKey};
use domain::run::service::RunFault;
use domain::run::{Run, Trigger};
use domain::tenant::TenantText;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::RunShape;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::once::{Once, OnceHeader};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How a workflow is run.
#[derive(Debug, Default, Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewRun {
    /// A name of your own for this wish, such as a random UUID, as long as the run is kept: asking again under it gives the
    /// same run. The header `Idempotency-Key` is the same thing.
    #[schema(min_length = 1, max_length = 255, pattern = "^[!-~]{1,255}$")]
    idempotency_key: Option<String>,
}

/// The one name that was given for the wish, in header or body.
fn name(once: Once, body: &NewRun) -> Result<Option<IdempotencyKey>, Problem> {
    let header = once.key()?;
    let wrong = |fault| Problem::field(Code::ValidationFailed, "idempotencyKey", fault);
    let given = body.idempotency_key.as_deref().map(str::parse::<IdempotencyKey>).transpose().map_err(wrong)?;
    match (header, given) {
        (Some(header), Some(given)) if header != given => {
            let message = "must be what the header Idempotency-Key says, or left out";
            Err(Problem::field(Code::ValidationFailed, "idempotencyKey", message))
        }
        (header, given) => Ok(header.or(given)),
    }
}

/// The claim to a run of this workflow, for this tenant, under a name.
pub fn claim(services: &Services, scope: &TenantScope, workflow: WorkflowId, key: &IdempotencyKey) -> Claim {
    let text = |text: Option<&TenantText>| text.map_or("", TenantText::as_str).to_owned();
    let (org, user) = (text(scope.tenant().org()), text(scope.tenant().user()));
    let path = format!("/workflows/{workflow}/runs");
    // Neither can have the byte between them.
    let asked = Asked { method: "POST", path: &path, query: &format!("{org}\n{user}"), body: &[] };
    services.claims.claim(scope, key, asked)
}

/// Asks for a run, and lets this node know; whether it was asked for before.
///
/// # Errors
/// [`RunFault`]
pub async fn ask_for(
    services: &Services,
    grant: &Grant<RunsDispatch>,
    workflow: WorkflowId,
    trigger: Trigger,
    key: Option<&IdempotencyKey>,
    event: AuditEvent,
) -> Result<(Run, bool), RunFault> {
    let once = key.map(|key| claim(services, grant, workflow, key));
    let (run, again) = services.runs.dispatch(grant, workflow, trigger, once, event).await?;
    services.run_bell.ring();
    Ok((run, again))
}

/// Runs the workflow's newest version. The answer comes at once and the run goes on in the background, on your behalf:
/// before each step it is decided again what you may do. `GET /runs/{id}` and `GET /runs/{id}/events` show how it stands.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "create_run", tag = "runs", request_body = Option<NewRun>,
    params(("id" = String, Path, description = "The workflow's id."), OnceHeader, crate::openapi::TenantQuery),
    responses((status = 202, description = "The run: new, or the one that was asked for before under the same name.", body = RunShape), Refusals, BodyRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/workflows/{id}/runs")]
pub async fn create_run(
    allowed: Allowed<RunsDispatch>,
    services: Data<Services>,
    id: Path<String>,
    once: Once,
    body: Body<NewRun>,
) -> Result<HttpResponse, Problem> {
    let parsed = id.parse::<WorkflowId>().map_err(|_| RunFault::NotFound);
    let workflow = allowed.noted(&services, AuditTarget::Organization, parsed).await?;
    let key = name(once, &body.read_or_default().await?)?;
    let (run, again) = to_the_end(async move {
        let event = allowed.event("run.dispatch", AuditTarget::Organization);
        let asked = ask_for(&services, &allowed, workflow, Trigger::Api, key.as_ref(), event).await;
        allowed.noted(&services, AuditTarget::Organization, asked).await
    })
    .await?;
    let mut response = HttpResponse::Accepted().json(RunShape::whole(&run));
    if again {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}
