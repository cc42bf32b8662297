//! `POST /organizations`

use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use domain::access::permission::OrganizationsUse;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;

use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::auth::{MembershipShape, NewOrganization};
use crate::v1::{BodyRefusals, Refusals};

/// Creates another organization with you as its owner; `POST /auth/switch` takes you there. Where sign-up is not open,
/// only whoever owns the organization that they are in can.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "create_organization", tag = "identity", request_body = NewOrganization,
    responses((status = 201, description = "The organization.", body = MembershipShape), Refusals, BodyRefusals),
    security(("access_token" = []))
)]
#[post("/organizations")]
pub async fn create_organization(
    allowed: Allowed<OrganizationsUse>,
    services: Data<Services>,
    body: Body<NewOrganization>,
) -> Result<HttpResponse, Problem> {
    let asked = body.read().await?;
    let mut errors = FieldErrors::default();
    let name = errors.take("name", asked.name.parse());
    let slug = errors.take("slug", asked.slug.parse());
    let (Some(name), Some(slug)) = (name, slug) else { return Err(errors.into()) };
    let founded = to_the_end(async move {
        let event = allowed.event("organization.create", AuditTarget::Organization);
        let founded = services.organizations.found(&allowed, name, slug, event).await;
        allowed.noted(&services, AuditTarget::Organization, founded).await
    })
    .await?;
    Ok(HttpResponse::Created().json(MembershipShape::from(&founded)))
}
