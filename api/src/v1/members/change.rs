//! `PATCH /org/members/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, patch};
use domain::access::permission::MembersAdminister;
use domain::audit::AuditTarget;
use domain::member::MemberChange;
use domain::member::port::ChangedMember;
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
        let changed = services.members.change(&allowed, user, change).await;
        let changed = allowed.noted(&services, AuditTarget::User(user), changed).await?;
        for (action, reason) in events(&changed) {
            let mut event = allowed.event(action, AuditTarget::User(user));
            event.reason = reason;
            services.audit.record_durably(event).await?;
        }
        Ok(changed)
    })
    .await?;
    Ok(HttpResponse::Ok().json(MemberShape::from(&changed.after)))
}

/// What is recorded of a change: one event for each thing that is another now.
fn events(changed: &ChangedMember) -> Vec<(&'static str, Option<String>)> {
    let (before, after) = (&changed.before, &changed.after);
    let mut events = Vec::new();
    if before.role != after.role {
        events.push(("member.change", Some(format!("role {} to {}", before.role.as_str(), after.role.as_str()))));
    }
    match (before.disabled_at.is_some(), after.disabled_at.is_some()) {
        (false, true) => events.push(("member.disable", None)),
        (true, false) => events.push(("member.enable", None)),
        _ => {}
    }
    events
}
