//! `POST /org/transfer-ownership`

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};
use domain::access::permission::{MembersRead, OrganizationTransfer};
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::id::{InvalidId, UserId};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::MemberShape;
use crate::client_address;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals, ThrottleRefusals};

/// Who becomes the owner.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransferRequest {
    /// `usr_…`, a member who is not disabled.
    #[schema(example = "usr_01kafx5tgyf1na07m4q6nf1sgb")]
    user_id: String,
    /// Your password.
    #[schema(value_type = String, format = Password, example = "correct horse battery")]
    password: SecretString,
}

/// Hands the organization over: the member becomes its owner and you an admin of it. Only the owner can.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "transfer_ownership", tag = "organization", request_body = TransferRequest,
    responses((status = 200, description = "The new owner.", body = MemberShape), Refusals, BodyRefusals, ThrottleRefusals),
    security(("access_token" = []))
)]
#[post("/org/transfer-ownership")]
pub async fn transfer_ownership(
    allowed: Allowed<OrganizationTransfer>,
    request: HttpRequest,
    services: Data<Services>,
    body: Body<TransferRequest>,
) -> Result<HttpResponse, Problem> {
    let TransferRequest { user_id, password } = body.read().await?;
    let to: UserId = user_id.parse().map_err(|error: InvalidId| FieldErrors::one("userId", error))?;
    let from = client_address::of(&request, &services.settings.trusted_proxies);
    let owner = to_the_end(async move {
        let event = allowed.event("ownership.transfer", AuditTarget::User(to));
        let transferred = services.members.transfer(&allowed, to, password, from, event).await;
        allowed.noted(&services, AuditTarget::User(to), transferred).await?;
        let read = (**allowed).clone().grant::<MembersRead>()?;
        Ok(services.members.get(&read, to).await?)
    })
    .await?;
    Ok(HttpResponse::Ok().json(MemberShape::from(&owner)))
}
