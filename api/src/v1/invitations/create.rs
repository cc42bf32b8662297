//! `POST /org/invitations`

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use domain::access::permission::MembersAdminister;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::invitation::service::InvitationRequest;
use domain::text::InvalidText;
use secrecy::ExposeSecret;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::{CreatedInvitationShape, InvitationShape};
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::members::GivenRole;
use crate::v1::{BodyRefusals, Refusals};

/// Who is invited.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewInvitationRequest {
    /// E-mail address. Only a person with this address can accept.
    #[schema(example = "bob@example.com", max_length = 254)]
    email: String,
    /// As what.
    role: GivenRole,
    /// How long the link works.
    #[schema(minimum = 1, maximum = 720, default = 168)]
    expires_in_hours: Option<u32>,
}

/// Invites a person by a link that works once. The link is shown this once, and mailed where a mail server is configured.
/// An earlier invitation of the same address ends.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "create_invitation", tag = "organization", request_body = NewInvitationRequest,
    responses((status = 201, description = "The invitation and its link.", body = CreatedInvitationShape), Refusals, BodyRefusals),
    security(("access_token" = []))
)]
#[post("/org/invitations")]
pub async fn create_invitation(
    allowed: Allowed<MembersAdminister>,
    services: Data<Services>,
    body: Body<NewInvitationRequest>,
) -> Result<HttpResponse, Problem> {
    let NewInvitationRequest { email, role, expires_in_hours } = body.read().await?;
    let email = email.parse().map_err(|error: InvalidText| FieldErrors::one("email", error))?;
    let request = InvitationRequest { email, role: role.into(), hours: expires_in_hours };
    let created = to_the_end(async move {
        let event = allowed.event("invitation.create", AuditTarget::Organization);
        let created = services.invitations.invite(&allowed, request, event).await;
        allowed.noted(&services, AuditTarget::Organization, created).await
    })
    .await?;
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store"))).json(
        CreatedInvitationShape {
            invitation: InvitationShape::from(&created.record),
            token: created.token.expose_secret().to_owned(),
            link: created.link.expose_secret().to_owned(),
            mailed: created.mailed,
        },
    ))
}
