//! `GET /health`: the process answers.

use actix_web::{HttpResponse, get};
use serde::Serialize;
use utoipa::ToSchema;

/// A sign of life.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusShape {
    /// `ok`
    #[schema(example = "ok")]
    pub status: &'static str,
}

/// The process answers. Says nothing of what it depends on; `/ready` does.
#[utoipa::path(
    operation_id = "get_health", tag = "system",
    responses((status = 200, description = "Alive.", body = StatusShape))
)]
#[get("/health")]
pub async fn get_health() -> HttpResponse {
    HttpResponse::Ok().json(StatusShape { status: "ok" })
}
