//! `GET /usage`

use std::time::Duration;

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::UsageRead;
use domain::field::FieldErrors;
use domain::id::ServerId;
use domain::key::KeyId;
use domain::project::Narrowing;
use domain::time::{Clock, SystemClock, Timestamp};
use domain::usage::port::{HOURS_MAX, UsageItem, UsagePosition, UsageQuery, UsageStore};
use domain::usage::{Hour, UsageOf};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, ProjectFilter, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Refusals, time};

/// How much is shown when the caller does not say from when on.
const DAY: i64 = 24 * 3_600_000_000;

/// Which calls.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct UsageFilter {
    /// From when on, RFC 3339; a day before `to` when not given. The beginning of its hour counts.
    #[param(format = DateTime, example = "2026-11-20T12:00:00Z")]
    from: Option<String>,
    /// Until when, RFC 3339; now when not given. The end of its hour counts. At most 31 days after `from`.
    #[param(format = DateTime, example = "2026-11-21T12:00:00Z")]
    to: Option<String>,
    /// Of this key alone, `key_…`.
    api_key_id: Option<String>,
    /// Of this server alone, `mcp_…`.
    server_id: Option<String>,
}

/// Calls and errors in whole hours.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageShape {
    /// The beginning of the first hour, RFC 3339 UTC.
    #[schema(example = "2026-11-20T12:00:00.000Z")]
    from: String,
    /// The end of the last hour.
    #[schema(example = "2026-11-21T13:00:00.000Z")]
    to: String,
    /// One line for each key and server with calls in that time.
    items: Vec<UsageItemShape>,
    /// Give it as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
}

/// One key's calls to one server.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageItemShape {
    /// `key_…`; it may be revoked by now.
    #[schema(example = "key_7Gk2mQ0xZt4Rv9Ab")]
    api_key_id: String,
    /// `mcp_…`; it may be archived by now.
    #[schema(example = "mcp_01kafx5tgyf1na07m4q6nf1sgb")]
    server_id: String,
    /// Requests that the gateway let through to the server.
    #[schema(example = 1200)]
    calls: u64,
    /// Those that got no answer or one with a status of 500 or more, or whose caller left before. An error inside a
    /// JSON-RPC answer is not looked for.
    #[schema(example = 3)]
    errors: u64,
    /// Half of the answers began within this many milliseconds.
    #[schema(example = 12.5)]
    p50_ms: f64,
    /// 95 % of the answers began within this many milliseconds.
    #[schema(example = 48.0)]
    p95_ms: f64,
    /// 99 % of the answers began within this many milliseconds.
    #[schema(example = 110.0)]
    p99_ms: f64,
}

impl From<&UsageItem> for UsageItemShape {
    fn from(item: &UsageItem) -> Self {
        let ms = |percent| item.tally.latencies.percentile(percent).unwrap_or(Duration::ZERO).as_secs_f64() * 1000.0;
        Self {
            api_key_id: item.key.to_string(),
            server_id: item.server.to_string(),
            calls: item.tally.calls,
            errors: item.tally.errors,
            p50_ms: ms(50),
            p95_ms: ms(95),
            p99_ms: ms(99),
        }
    }
}

impl UsageFilter {
    fn parse(self, of: UsageOf, within: Option<Narrowing>, now: Timestamp) -> Result<UsageQuery, FieldErrors> {
        let mut errors = FieldErrors::default();
        let to = errors.take_optional("to", self.to.map(|text| Timestamp::parse(&text)));
        let from = errors.take_optional("from", self.from.map(|text| Timestamp::parse(&text)));
        let key: Option<KeyId> = errors.take_optional("apiKeyId", self.api_key_id.map(|text| text.parse()));
        let server: Option<ServerId> = errors.take_optional("serverId", self.server_id.map(|text| text.parse()));
        let to = to.unwrap_or(now);
        let from = from.unwrap_or(Timestamp::from_micros(to.as_micros().saturating_sub(DAY)));
        let (from, to) = (Hour::of(from), Hour::from(to));
        let hours = to.begins().as_micros().saturating_sub(from.begins().as_micros()) / 3_600_000_000;
        if errors.0.is_empty() && hours < 1 {
            errors.add("from", "must be before to");
        } else if errors.0.is_empty() && hours > HOURS_MAX {
            errors.add("from", format!("must be at most {} days before to", HOURS_MAX / 24));
        }
        errors.check()?;
        Ok(UsageQuery { of, from, to, key, server, within })
    }
}

fn cursor(position: UsagePosition) -> String {
    encode_cursor(&format!("{} {}", position.key, position.server))
}

fn position(cursor: &str) -> Option<UsagePosition> {
    let (key, server) = cursor.split_once(' ')?;
    Some(UsagePosition { key: key.parse().ok()?, server: server.parse().ok()? })
}

/// Calls through the gateway per key and server, up to this moment. A key sees its own use, a person that of their own
/// keys, and admins that of everybody's.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_usage", tag = "usage",
    params(Paging, UsageFilter, ProjectFilter, crate::openapi::TenantQuery),
    responses((status = 200, description = "Calls, errors and latencies.", body = UsageShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/usage")]
pub async fn get_usage(
    allowed: Allowed<UsageRead>,
    services: Data<Services>,
    paging: Asked<Paging>,
    filter: Asked<UsageFilter>,
    project: Asked<ProjectFilter>,
) -> Result<HttpResponse, Problem> {
    let page = paging.read()?.request(position)?;
    let (filter, project) = (filter.read()?, project.read()?);
    let within = project.read_by(&services, &allowed).await?;
    let query = filter.parse(UsageOf::visible_to(&allowed), within, SystemClock.now())?;
    // What is still in memory belongs to the answer, and then stands where it is read from.
    services.usage.flush(&services.usage_store).await?;
    let page = services.usage_store.report(&allowed, &query, page).await?;
    Ok(HttpResponse::Ok().json(UsageShape {
        from: time(query.from.begins()),
        to: time(query.to.begins()),
        items: page.items.iter().map(UsageItemShape::from).collect(),
        next_cursor: page.next.map(cursor),
    }))
}
