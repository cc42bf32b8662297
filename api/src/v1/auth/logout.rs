//! `POST /auth/logout`

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};

use super::cookie;
use super::login::record_claims;
use crate::compose::Services;
use crate::problem::Problem;
use crate::v1::PublicRefusals;

/// Ends the session of the cookie's refresh token, and removes the cookie. Without one it changes nothing.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "log_out", tag = "auth",
    responses((status = 204, description = "Signed out."), PublicRefusals)
)]
#[post("/auth/logout")]
pub async fn log_out(request: HttpRequest, services: Data<Services>) -> Result<HttpResponse, Problem> {
    if let Some(token) = cookie::presented(&request) {
        let ended = services.accounts.logout(&token).await?;
        if let Some(claims) = ended {
            record_claims(&services, &request, claims, "session.close", false).await?;
        }
    }
    Ok(HttpResponse::NoContent().cookie(cookie::cleared(services.names.secure())).finish())
}
