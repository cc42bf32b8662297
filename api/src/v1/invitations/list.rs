//! `GET /org/invitations`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::MembersRead;

use super::shapes::InvitationShape;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Items, Refusals};

/// The invitations that were not accepted or revoked, newest first. One that was not used in time is shown for another
/// 30 days.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_invitations", tag = "organization",
    params(Paging),
    responses((status = 200, description = "A page of invitations.", body = Items<InvitationShape>), Refusals),
    security(("access_token" = []))
)]
#[get("/org/invitations")]
pub async fn list_invitations(
    allowed: Allowed<MembersRead>,
    services: Data<Services>,
    paging: Asked<Paging>,
) -> Result<HttpResponse, Problem> {
    let page = services.invitations.list(&allowed, paging.read()?.request(|cursor| cursor.parse().ok())?).await?;
    let next_cursor = page.next.map(|id| encode_cursor(&id.to_string()));
    Ok(HttpResponse::Ok().json(Items { items: page.items.iter().map(InvitationShape::from).collect(), next_cursor }))
}
