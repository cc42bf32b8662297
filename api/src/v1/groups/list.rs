//! `GET /groups`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::GroupsAdminister;

use super::shapes::GroupShape;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Items, Refusals};

/// The organization's groups, oldest first.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_groups", tag = "access", params(Paging),
    responses((status = 200, description = "A page of groups.", body = Items<GroupShape>), Refusals),
    security(("access_token" = []))
)]
#[get("/groups")]
pub async fn list_groups(
    allowed: Allowed<GroupsAdminister>,
    services: Data<Services>,
    paging: Asked<Paging>,
) -> Result<HttpResponse, Problem> {
    let page = services.policies.list_groups(&allowed, paging.read()?.request(|key| key.parse().ok())?).await?;
    Ok(HttpResponse::Ok().json(Items {
        items: page.items.iter().map(GroupShape::from).collect(),
        next_cursor: page.next.map(|id| encode_cursor(&id.to_string())),
    }))
}
