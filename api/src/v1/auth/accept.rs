//! `POST /auth/invitations/accept`

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};
use domain::field::FieldErrors;
use domain::invitation::InvitationFault;
use domain::invitation::service::AcceptRequest;
use domain::organization::service::AccountFault;
use domain::text::{InvalidText, Name};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::{SessionShape, respond};
use crate::authenticate::request_id;
use crate::client_address;
use crate::compose::Services;
use crate::extract::Body;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, PublicRefusals, ThrottleRefusals};

/// Who joins.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcceptInvitation {
    /// The token of the link.
    #[schema(value_type = String, example = "kri_…")]
    token: SecretString,
    /// Your password; 12 to 128 characters if you have no account yet.
    #[schema(value_type = String, format = Password, example = "correct horse battery")]
    password: SecretString,
    /// What to call you, if you have no account yet.
    #[schema(example = "Bob", max_length = 100)]
    display_name: Option<String>,
}

/// Joins an organization by an invitation, and signs you in there. Somebody who has an account with the invited e-mail
/// address proves it by the password; somebody new gets one.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "accept_invitation", tag = "auth", request_body = AcceptInvitation,
    responses((status = 200, description = "You are a member and signed in.", body = SessionShape), PublicRefusals, BodyRefusals, ThrottleRefusals)
)]
#[post("/auth/invitations/accept")]
pub async fn accept_invitation(
    request: HttpRequest,
    services: Data<Services>,
    body: Body<AcceptInvitation>,
) -> Result<HttpResponse, Problem> {
    let AcceptInvitation { token, password, display_name } = body.read().await?;
    let display_name: Option<Name> = display_name
        .map(|name| name.parse())
        .transpose()
        .map_err(|error: InvalidText| FieldErrors::one("displayName", error))?;
    let asked = AcceptRequest { token, password, display_name };
    let (id, inside) = (request_id(&request), services.clone());
    let from = client_address::of(&request, &services.settings.trusted_proxies);
    let session = to_the_end(async move {
        let accepted = inside.invitations.accept(asked, from, id).await;
        let audit = &inside.audit;
        match &accepted {
            Err(InvitationFault::Token) => audit.count_anonymous("invitation.accept", "the invitation does not hold"),
            Err(InvitationFault::Account(AccountFault::Unauthenticated)) => {
                audit.count_anonymous("invitation.accept", "wrong password");
            }
            Err(InvitationFault::Account(AccountFault::Throttled(_))) => audit.count_throttled("invitation.accept"),
            _ => {}
        }
        // Whether or not a session can be opened: the person is a member now.
        Ok(inside.accounts.enter(&accepted?, id).await?)
    })
    .await?;
    Ok(respond(&services, StatusCode::OK, &session))
}
