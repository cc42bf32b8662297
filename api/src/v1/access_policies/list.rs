//! `GET /access-policies`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::AccessAdminister;

use super::shapes::PolicyShape;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Items, Refusals};

/// The organization's policies, oldest first.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_access_policies", tag = "access", params(Paging),
    responses((status = 200, description = "A page of policies.", body = Items<PolicyShape>), Refusals),
    security(("access_token" = []))
)]
#[get("/access-policies")]
pub async fn list_access_policies(
    allowed: Allowed<AccessAdminister>,
    services: Data<Services>,
    paging: Asked<Paging>,
) -> Result<HttpResponse, Problem> {
    let page = services.policies.list(&allowed, paging.read()?.request(|key| key.parse().ok())?).await?;
    Ok(HttpResponse::Ok().json(Items {
        items: page.items.iter().map(PolicyShape::from).collect(),
        next_cursor: page.next.map(|id| encode_cursor(&id.to_string())),
    }))
}
