//! `GET /ready`: requests can be served.

use actix_web::web::Data;
use actix_web::{HttpResponse, get};

use super::health::StatusShape;
use crate::code::Code;
use crate::compose::Services;
use crate::problem::{ErrorBody, Problem};

/// The database answers and the node goes on, so requests can be served.
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
    services.database.ping().await?;
    Ok(HttpResponse::Ok().json(StatusShape { status: "ok" }))
}
