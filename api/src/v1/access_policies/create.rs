//! `POST /access-policies`

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use domain::access::permission::AccessAdminister;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::policy::service::PolicyRequest;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::{PolicyShape, ResourceShape, SubjectShape, parse_resources, parse_subjects};
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::once::{Made, Once, OnceHeader};
use crate::problem::Problem;
use crate::v1::{BodyRefusals, Refusals};

/// A policy to make.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewPolicy {
    /// The name, unique in the organization.
    #[schema(example = "Engineering", min_length = 1, max_length = 100)]
    name: String,
    /// Who.
    #[schema(max_items = 1000)]
    subjects: Vec<SubjectShape>,
    /// What they reach.
    #[schema(max_items = 1000)]
    resources: Vec<ResourceShape>,
}

impl NewPolicy {
    fn parse(self) -> Result<PolicyRequest, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.take("name", self.name.parse());
        let subjects = parse_subjects(&self.subjects, &mut errors);
        let resources = parse_resources(&self.resources, &mut errors);
        match name {
            Some(name) if errors.0.is_empty() => Ok(PolicyRequest { name, subjects, resources }),
            _ => Err(errors),
        }
    }
}

/// Makes a policy: its subjects reach its resources from the next request on.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "create_access_policy", tag = "access", request_body = NewPolicy,
    params(OnceHeader),
    responses((status = 201, description = "The policy.", body = PolicyShape), Refusals, BodyRefusals),
    security(("access_token" = []))
)]
#[post("/access-policies")]
pub async fn create_access_policy(
    allowed: Allowed<AccessAdminister>,
    services: Data<Services>,
    once: Once,
    body: Body<NewPolicy>,
) -> Result<HttpResponse, Problem> {
    let (body, bytes) = body.read_both().await?;
    let request = body.parse()?;
    let scope = (**allowed).clone();
    once.make(&services.clone(), &scope, &bytes, async move {
        let event = allowed.event("policy.create", AuditTarget::Organization);
        let policy = services.policies.create(&allowed, request, event).await?;
        Made::new(StatusCode::CREATED, &PolicyShape::from(&policy))
    })
    .await
}
