//! `POST /auth/login`

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};
use domain::field::FieldErrors;
use domain::organization::service::AccountFault;
use domain::text::{Email, InvalidText};
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

/// Who you are.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// E-mail address.
    #[schema(example = "ann@example.com")]
    email: String,
    /// Password.
    #[schema(value_type = String, format = Password, example = "correct horse battery")]
    password: SecretString,
    /// Slug or id, for people in several organizations; the one joined first when not given.
    #[schema(example = "acme")]
    organization: Option<String>,
}

/// Signs you in. Failures are counted per e-mail address and per client address; after too many, tries have to wait.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "log_in", tag = "auth", request_body = LoginRequest,
    responses((status = 200, description = "You are signed in.", body = SessionShape), PublicRefusals, BodyRefusals, ThrottleRefusals)
)]
#[post("/auth/login")]
pub async fn log_in(
    request: HttpRequest,
    services: Data<Services>,
    body: Body<LoginRequest>,
) -> Result<HttpResponse, Problem> {
    let LoginRequest { email, password, organization } = body.read().await?;
    let email: Email = email.parse().map_err(|error: InvalidText| FieldErrors::one("email", error))?;
    let (id, inside) = (request_id(&request), services.clone());
    let from = client_address::of(&request, &services.settings.trusted_proxies);
    let session = to_the_end(async move {
        let opened = inside.accounts.login(&email, password, organization.as_deref(), from, id).await;
        match &opened {
            Err(AccountFault::Unauthenticated) => {
                inside.audit.count_anonymous("session.open", "wrong e-mail address, password or organization");
            }
            Err(AccountFault::Throttled(_)) => inside.audit.count_throttled("session.open"),
            _ => {}
        }
        Ok(opened?)
    })
    .await?;
    Ok(respond(&services, StatusCode::OK, &session))
}
