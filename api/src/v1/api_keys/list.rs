//! `GET /api-keys`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::ApiKeysRead;
use domain::audit::AuditTarget;
use domain::key::port::KeyPosition;
use domain::time::Timestamp;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::shapes::ApiKeyShape;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Items, Refusals};

/// Which keys.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct KeyFilter {
    /// `organization` for everybody's keys (admins); your own when not given.
    #[param(inline)]
    scope: Option<Scope>,
    /// The revoked ones instead of the live ones.
    #[serde(default)]
    revoked: bool,
}

/// Whose keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Your own.
    Own,
    /// Everybody's.
    Organization,
}

fn cursor(position: KeyPosition) -> String {
    encode_cursor(&format!("{} {}", position.created_at.as_micros(), position.id))
}

fn position(cursor: &str) -> Option<KeyPosition> {
    let (at, id) = cursor.split_once(' ')?;
    Some(KeyPosition { created_at: Timestamp::from_micros(at.parse().ok()?), id: id.parse().ok()? })
}

/// Your keys, or with `scope=organization` everybody's, newest first.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_api_keys", tag = "api-keys",
    params(Paging, KeyFilter),
    responses((status = 200, description = "A page of keys.", body = Items<ApiKeyShape>), Refusals),
    security(("access_token" = []))
)]
#[get("/api-keys")]
pub async fn list_api_keys(
    allowed: Allowed<ApiKeysRead>,
    services: Data<Services>,
    paging: Asked<Paging>,
    filter: Asked<KeyFilter>,
) -> Result<HttpResponse, Problem> {
    let filter = filter.read()?;
    let everybody = filter.scope == Some(Scope::Organization);
    let page = paging.read()?.request(position)?;
    let listed = services.keys.list(&allowed, everybody, filter.revoked, page).await;
    let page = allowed.noted(&services, AuditTarget::Organization, listed).await?;
    let next_cursor = page.next.map(cursor);
    let views = services.keys.views(&allowed, page.items).await?;
    Ok(HttpResponse::Ok().json(Items { items: views.iter().map(ApiKeyShape::from).collect(), next_cursor }))
}
