//! `GET /api-keys`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::ApiKeysRead;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::key::KeyType;
use domain::key::port::{KeyFilter, KeyPosition};
use domain::time::{Clock, SystemClock, Timestamp};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::shapes::{ApiKeyShape, KeyTypeName};
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Items, Refusals};

/// Which keys. What is left out does not matter.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
pub struct KeysAsked {
    /// The revoked ones instead of the live ones.
    #[serde(default)]
    revoked: bool,
    /// Only of this type.
    #[serde(rename = "type")]
    #[param(inline)]
    kind: Option<KeyTypeName>,
    /// Only of this person.
    #[param(example = "usr_01kafx5tgyf1na07m4q6nf1sgb")]
    owner: Option<String>,
    /// Only with this in their name, in upper or lower case.
    #[param(max_length = 100)]
    q: Option<String>,
    /// Only those that have expired (`true`) or have not (`false`).
    expired: Option<bool>,
    /// Only those whose frozen role is more than their owner's role now (`true`) or is not (`false`).
    role_above_owner: Option<bool>,
}

impl KeysAsked {
    /// Checks the filter.
    ///
    /// # Errors
    /// 400
    pub fn parse(self) -> Result<KeyFilter, Problem> {
        let mut errors = FieldErrors::default();
        let owner = errors.take_optional("owner", self.owner.map(|id| id.parse()));
        if self.q.as_ref().is_some_and(|text| text.chars().count() > 100 || text.contains('\0')) {
            errors.add("q", "must be at most 100 characters of text");
        }
        errors.check()?;
        Ok(KeyFilter {
            revoked: self.revoked,
            kind: self.kind.map(KeyType::from),
            owner,
            name: self.q.filter(|text| !text.is_empty()),
            expired: self.expired.map(|expired| (expired, SystemClock.now())),
            role_above_owner: self.role_above_owner,
        })
    }
}

/// Whose keys to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ScopeAsked {
    /// `organization` for everybody's keys (admins); your own when not given.
    #[param(inline)]
    scope: Option<Scope>,
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

/// A position as a cursor.
#[must_use]
pub fn cursor(position: KeyPosition) -> String {
    encode_cursor(&format!("{} {}", position.created_at.as_micros(), position.id))
}

/// A cursor's position; none when it is not one of ours.
#[must_use]
pub fn position(cursor: &str) -> Option<KeyPosition> {
    let (at, id) = cursor.split_once(' ')?;
    Some(KeyPosition { created_at: Timestamp::from_micros(at.parse().ok()?), id: id.parse().ok()? })
}

/// Your keys, or with `scope=organization` everybody's, newest first.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_api_keys", tag = "api-keys",
    params(Paging, ScopeAsked, KeysAsked),
    responses((status = 200, description = "A page of keys.", body = Items<ApiKeyShape>), Refusals),
    security(("access_token" = []))
)]
#[get("/api-keys")]
pub async fn list_api_keys(
    allowed: Allowed<ApiKeysRead>,
    services: Data<Services>,
    paging: Asked<Paging>,
    scope: Asked<ScopeAsked>,
    filter: Asked<KeysAsked>,
) -> Result<HttpResponse, Problem> {
    let everybody = scope.read()?.scope == Some(Scope::Organization);
    let filter = filter.read()?.parse()?;
    let page = paging.read()?.request(position)?;
    let listed = services.keys.list(&allowed, everybody, &filter, page).await;
    let page = allowed.noted(&services, AuditTarget::Organization, listed).await?;
    let next_cursor = page.next.map(cursor);
    let views = services.keys.views(page.items).await?;
    Ok(HttpResponse::Ok().json(Items { items: views.iter().map(ApiKeyShape::from).collect(), next_cursor }))
}
