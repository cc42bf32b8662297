//! `GET /me/organizations`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::OrganizationsUse;

use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::v1::auth::MembershipShape;
use crate::v1::{Items, Refusals};

/// Your organizations, the one that you joined first at the top. One that disabled you is not among them.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_my_organizations", tag = "identity",
    responses((status = 200, description = "All of them, on one page.", body = Items<MembershipShape>), Refusals),
    security(("access_token" = []))
)]
#[get("/me/organizations")]
pub async fn list_my_organizations(
    allowed: Allowed<OrganizationsUse>,
    services: Data<Services>,
) -> Result<HttpResponse, Problem> {
    let memberships = services.organizations.of_person(&allowed).await?;
    let items = memberships.iter().map(MembershipShape::from).collect();
    Ok(HttpResponse::Ok().json(Items { items, next_cursor: None }))
}
