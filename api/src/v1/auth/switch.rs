//! `POST /auth/switch`

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};
use domain::access::permission::OrganizationsUse;
use domain::audit::AuditTarget;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::cookie;
use super::shapes::{SessionShape, respond};
use crate::authenticate::request_id;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals};

/// Where to.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct SwitchRequest {
    /// Slug or id of another of your organizations.
    #[schema(example = "globex")]
    organization: String,
}

/// Takes your session to another of your organizations. It needs the refresh token of your session's cookie, which is
/// replaced by one for the other organization; without it, or with somebody else's, it answers 401. The access token that
/// you have goes on working where it is from until it is over.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "switch_organization", tag = "identity", request_body = SwitchRequest,
    responses((status = 200, description = "You are signed in there.", body = SessionShape), Refusals, BodyRefusals),
    security(("access_token" = []))
)]
#[post("/auth/switch")]
pub async fn switch_organization(
    allowed: Allowed<OrganizationsUse>,
    request: HttpRequest,
    services: Data<Services>,
    body: Body<SwitchRequest>,
) -> Result<HttpResponse, Problem> {
    let SwitchRequest { organization } = body.read().await?;
    let presented = cookie::presented(&request).ok_or_else(|| Problem::new(Code::Unauthenticated))?;
    let (id, inside) = (request_id(&request), services.clone());
    let session = to_the_end(async move {
        let switched = inside.accounts.switch(&allowed, &organization, &presented, id).await;
        allowed.noted(&inside, AuditTarget::Organization, switched).await
    })
    .await?;
    Ok(respond(&services, StatusCode::OK, &session))
}
