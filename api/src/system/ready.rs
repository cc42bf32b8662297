//! `GET /ready`: requests can be served.

use actix_web::web::Data;
use actix_web::{HttpResponse, get};

use super::health::StatusShape;
use crate::code::Code;
use crate::compose::Services;
use crate::problem::{ErrorBody, Problem};

/// The database answers, the node may trust what it remembers, and it goes on: requests can be served.
///
/// # Errors
/// 503 when not.
#[utoipa::path(
    operation_id = "get_ready", tag = "system",
    responses(
        (status = 200, description = "Ready.", body = StatusShape),
        (status = 503, description = "`unavailable`, with `Retry-After`", body = ErrorBody),
    )
)]
#[get("/ready")]
pub async fn get_ready(services: Data<Services>) -> Result<HttpResponse, Problem> {
    if services.stopping.begun() {
        return Err(Problem::because(Code::Unavailable, "this node stops"));
    }
    if !services.lease.holds() {
        return Err(Problem::because(Code::Unavailable, "this node has no lease; others serve better"));
    }
    services.database.ping().await?;
    Ok(HttpResponse::Ok().json(StatusShape { status: "ok" }))
}
