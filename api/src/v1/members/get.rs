//! `GET /org/members/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::MembersRead;
use domain::audit::AuditTarget;
use domain::id::UserId;

use super::shapes::MemberShape;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::v1::Refusals;

/// The person that a path names; a text that is no person's id names none.
///
/// # Errors
/// 404
pub(super) fn named(id: &str) -> Result<UserId, Problem> {
    id.parse().map_err(|_| Problem::new(Code::NotFound))
}

/// One member.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_member", tag = "organization",
    params(("id" = String, Path, description = "`usr_…`", example = "usr_01kafx5tgyf1na07m4q6nf1sgb")),
    responses((status = 200, description = "The member.", body = MemberShape), Refusals),
    security(("access_token" = []))
)]
#[get("/org/members/{id}")]
pub async fn get_member(
    allowed: Allowed<MembersRead>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    let user = named(&id)?;
    let found = services.members.get(&allowed, user).await;
    let member = allowed.noted(&services, AuditTarget::User(user), found).await?;
    Ok(HttpResponse::Ok().json(MemberShape::from(&member)))
}
