//! `PATCH /org/members/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, patch};
use domain::access::permission::MembersAdminister;
use domain::audit::AuditTarget;
use domain::member::MemberChange;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::get::named;
use super::shapes::{GivenRole, MemberShape};
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals};

/// What is to change; what is absent stays.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ChangeMember {
    /// The role from now on. Keys keep the role that was frozen in them.
    role: Option<GivenRole>,
    /// `true` ends the member's sessions and stops their keys in this organization, `false` makes the keys work again.
    disabled: Option<bool>,
}

/// Changes a member's role, disables or enables it. Nobody changes themselves, and nobody the owner.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "change_member", tag = "organization", request_body = ChangeMember,
    params(("id" = String, Path, description = "`usr_…`", example = "usr_01kafx5tgyf1na07m4q6nf1sgb")),
    responses((status = 200, description = "The member.", body = MemberShape), Refusals, BodyRefusals),
    security(("access_token" = []))
)]
#[patch("/org/members/{id}")]
pub async fn change_member(
    allowed: Allowed<MembersAdminister>,
    services: Data<Services>,
    id: Path<String>,
    body: Body<ChangeMember>,
) -> Result<HttpResponse, Problem> {
    let user = named(&id)?;
    let ChangeMember { role, disabled } = body.read().await?;
    let change = MemberChange { role: role.map(Into::into), disabled };
    let changed = to_the_end(async move {
        let event = allowed.event("member.change", AuditTarget::User(user));
        let changed = services.members.change(&allowed, user, change, event).await;
        allowed.noted(&services, AuditTarget::User(user), changed).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(MemberShape::from(&changed.after)))
}
