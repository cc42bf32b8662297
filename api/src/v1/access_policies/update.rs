//! `PATCH /access-policies/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, patch};
use domain::access::permission::AccessAdminister;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::policy::port::PolicyChange;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::get::named;
use super::shapes::{PolicyShape, ResourceShape, SubjectShape, parse_resources, parse_subjects};
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals};

/// What changes in a policy; what is absent stays.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct PolicyPatch {
    /// A new name.
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// Other subjects instead.
    #[schema(max_items = 1000)]
    subjects: Option<Vec<SubjectShape>>,
    /// Other resources instead.
    #[schema(max_items = 1000)]
    resources: Option<Vec<ResourceShape>>,
}

impl PolicyPatch {
    fn parse(self) -> Result<PolicyChange, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.take_optional("name", self.name.map(|name| name.parse()));
        let subjects = self.subjects.map(|subjects| parse_subjects(&subjects, &mut errors));
        let resources = self.resources.map(|resources| parse_resources(&resources, &mut errors));
        errors.check()?;
        Ok(PolicyChange { name, subjects, resources })
    }
}

/// Changes a policy. Whoever loses a server by it is refused at the next request, also with a key that lists it.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "update_access_policy", tag = "access", request_body = PolicyPatch,
    params(("id" = String, Path, description = "`pol_…`", example = "pol_01kafx5tgyf1na07m4q6nf1sgb")),
    responses((status = 200, description = "The policy as it is now.", body = PolicyShape), Refusals, BodyRefusals),
    security(("access_token" = []))
)]
#[patch("/access-policies/{id}")]
pub async fn update_access_policy(
    allowed: Allowed<AccessAdminister>,
    services: Data<Services>,
    id: Path<String>,
    body: Body<PolicyPatch>,
) -> Result<HttpResponse, Problem> {
    let id = named(&id)?;
    let change = body.read().await?.parse()?;
    let policy = to_the_end(async move {
        let event = allowed.event("policy.change", AuditTarget::Policy(id));
        let done = services.policies.change(&allowed, id, change, event).await;
        allowed.noted(&services, AuditTarget::Policy(id), done).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(PolicyShape::from(&policy)))
}
