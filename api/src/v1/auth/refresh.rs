//! `POST /auth/refresh`

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};
use domain::audit::AuditTarget;
use domain::organization::service::AccountFault;

use super::cookie;
use super::login::{record, record_claims};
use super::shapes::{SessionShape, respond};
use crate::authenticate::request_id;
use crate::code::Code;
use crate::compose::Services;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::PublicRefusals;

/// Gives a new access token for the cookie's refresh token, which is replaced. Presenting a replaced one ends the
/// session everywhere.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "refresh", tag = "auth",
    responses((status = 200, description = "A new access token.", body = SessionShape), PublicRefusals)
)]
#[post("/auth/refresh")]
pub async fn refresh(request: HttpRequest, services: Data<Services>) -> Result<HttpResponse, Problem> {
    let token = cookie::presented(&request).ok_or_else(|| Problem::new(Code::Unauthenticated))?;
    let (id, inside) = (request_id(&request), services.clone());
    let session = to_the_end(async move {
        let refreshed = inside.accounts.refresh(&token).await;
        match &refreshed {
            Ok(session) => {
                let target = AuditTarget::User(session.member.user.id);
                record(&inside, id, &session.member, "session.refresh", target).await?;
            }
            Err(AccountFault::Reused(claims)) => record_claims(&inside, id, *claims, "session.reuse", true).await?,
            Err(AccountFault::Unauthenticated) => {
                inside.audit.count_anonymous("session.refresh", "unknown or ended refresh token");
            }
            Err(
                AccountFault::BootstrapToken
                | AccountFault::Throttled(_)
                | AccountFault::NoSuchOrganization
                | AccountFault::Write(_)
                | AccountFault::NoRandomness(_),
            ) => {}
        }
        Ok(refreshed?)
    })
    .await?;
    Ok(respond(&services, StatusCode::OK, &session))
}
