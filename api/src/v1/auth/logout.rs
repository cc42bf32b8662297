//! `POST /auth/logout`

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};

use super::cookie;
use crate::authenticate::request_id;
use crate::compose::Services;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
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
        let (id, inside) = (request_id(&request), services.clone());
        to_the_end(async move {
            inside.accounts.logout(&token, id).await?;
            Ok(())
        })
        .await?;
    }
    Ok(HttpResponse::NoContent().cookie(cookie::cleared(services.names.secure())).finish())
}
