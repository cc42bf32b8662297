//! Counts and rankings as JSON has them.

use std::time::Duration;

use domain::id::ServerId;
use domain::insight::{Line, Ranked, Ranking, TenantName};
use domain::key::KeyId;
use domain::tenant::TenantText;
use domain::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::v1::time;

/// A tenant in its callers' words.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallTenantShape {
    /// The tenant org.
    #[schema(example = "globex")]
    org: Option<String>,
    /// The tenant user.
    #[schema(example = "marina")]
    user: Option<String>,
}

impl From<&TenantName> for CallTenantShape {
    fn from(tenant: &TenantName) -> Self {
        let text = |text: &Option<TenantText>| text.as_ref().map(ToString::to_string);
        Self { org: text(&tenant.org), user: text(&tenant.user) }
    }
}

/// Calls, and how many of them went wrong.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountsShape {
    /// Calls.
    #[schema(example = 1200)]
    calls: u64,
    /// Those that the server did not answer to the end or with a status of 500 or more, whose answer tells of a failure, or
    /// whose message was refused.
    #[schema(example = 24)]
    errors: u64,
    /// Errors by calls; 0 without calls.
    #[schema(example = 0.02)]
    error_rate: f64,
    /// Calls whose model said what did not go well.
    #[schema(example = 6)]
    frustrated: u64,
    /// Those by calls; 0 without calls.
    #[schema(example = 0.005)]
    frustration_rate: f64,
}

impl From<&Line> for CountsShape {
    fn from(line: &Line) -> Self {
        Self {
            calls: line.calls,
            errors: line.errors,
            error_rate: rate(line.errors, line.calls),
            frustrated: line.frustrated,
            frustration_rate: rate(line.frustrated, line.calls),
        }
    }
}

/// A share; 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
pub fn rate(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// How long it took until answers began, or until calls ended without one, in milliseconds; within 2 %. Null without calls.
#[derive(Debug, Serialize, ToSchema)]
pub struct LatencyShape {
    /// Half of the calls took at most this long.
    #[schema(example = 12.5)]
    #[serde(rename = "p50Ms")]
    p50: Option<f64>,
    /// 95 % of them.
    #[schema(example = 48.0)]
    #[serde(rename = "p95Ms")]
    p95: Option<f64>,
    /// 99 % of them.
    #[schema(example = 110.0)]
    #[serde(rename = "p99Ms")]
    p99: Option<f64>,
}

impl From<&Line> for LatencyShape {
    fn from(line: &Line) -> Self {
        let ms = |percent| line.latencies.percentile(percent).as_ref().map(Duration::as_secs_f64).map(|s| s * 1000.0);
        Self { p50: ms(50), p95: ms(95), p99: ms(99) }
    }
}

/// An hour or a day.
#[derive(Debug, Serialize, ToSchema)]
pub struct IntervalShape {
    /// When it begins, RFC 3339 UTC.
    #[schema(example = "2026-11-20T12:00:00.000Z")]
    at: String,
    #[serde(flatten)]
    counts: CountsShape,
    #[serde(flatten)]
    latency: LatencyShape,
}

impl From<&(Timestamp, Line)> for IntervalShape {
    fn from((at, line): &(Timestamp, Line)) -> Self {
        Self { at: time(*at), counts: line.into(), latency: line.into() }
    }
}

/// Those with the most calls, and all others together.
#[derive(Debug, Serialize, ToSchema)]
pub struct RankingShape<T> {
    /// Most calls first.
    items: Vec<T>,
    /// All that are not among the items.
    other: CountsShape,
}

impl<T> RankingShape<T> {
    /// A ranking's shape.
    pub fn of<S>(ranking: &Ranking<S>) -> Self
    where
        T: for<'a> From<&'a Ranked<S>>,
    {
        Self { items: ranking.items.iter().map(T::from).collect(), other: (&ranking.rest).into() }
    }
}

/// A server's calls.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerLineShape {
    /// `mcp_…`; it may be archived by now.
    #[schema(example = "mcp_01kafx5tgyf1na07m4q6nf1sgb")]
    server_id: String,
    #[serde(flatten)]
    counts: CountsShape,
    #[serde(flatten)]
    latency: LatencyShape,
}

impl From<&Ranked<ServerId>> for ServerLineShape {
    fn from(ranked: &Ranked<ServerId>) -> Self {
        let Ranked { subject, line } = ranked;
        Self { server_id: subject.to_string(), counts: line.into(), latency: line.into() }
    }
}

/// A tool's calls.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolLineShape {
    /// Its server, `mcp_…`.
    #[schema(example = "mcp_01kafx5tgyf1na07m4q6nf1sgb")]
    server_id: String,
    /// Its name, as callers wrote it.
    #[schema(example = "add_note")]
    tool: String,
    #[serde(flatten)]
    counts: CountsShape,
    #[serde(flatten)]
    latency: LatencyShape,
}

impl From<&Ranked<(ServerId, String)>> for ToolLineShape {
    fn from(ranked: &Ranked<(ServerId, String)>) -> Self {
        let Ranked { subject: (server, tool), line } = ranked;
        Self { server_id: server.to_string(), tool: tool.clone(), counts: line.into(), latency: line.into() }
    }
}

/// A tenant's calls.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantLineShape {
    /// Whose.
    tenant: CallTenantShape,
    #[serde(flatten)]
    counts: CountsShape,
    #[serde(flatten)]
    latency: LatencyShape,
}

impl From<&Ranked<TenantName>> for TenantLineShape {
    fn from(ranked: &Ranked<TenantName>) -> Self {
        let Ranked { subject, line } = ranked;
        Self { tenant: subject.into(), counts: line.into(), latency: line.into() }
    }
}

/// A key's calls.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyLineShape {
    /// `key_…`; it may be revoked by now.
    #[schema(example = "key_7Gk2mQ0xZt4Rv9Ab")]
    api_key_id: String,
    #[serde(flatten)]
    counts: CountsShape,
    #[serde(flatten)]
    latency: LatencyShape,
}

impl From<&Ranked<KeyId>> for KeyLineShape {
    fn from(ranked: &Ranked<KeyId>) -> Self {
        let Ranked { subject, line } = ranked;
        Self { api_key_id: subject.to_string(), counts: line.into(), latency: line.into() }
    }
}
