//! `GET /insights/overview`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::InsightsRead;
use domain::insight::Overview;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::asked::{PeriodFilter, narrowed};
use super::shapes::{
    CountsShape, IntervalShape, KeyLineShape, LatencyShape, RankingShape, ServerLineShape, TenantLineShape,
    ToolLineShape,
};
use crate::code::Code;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, ProjectFilter};
use crate::problem::Problem;
use crate::v1::{Refusals, time};

const TOP_MAX: usize = 100;
const TOP_DEFAULT: usize = 10;

/// How much of each ranking.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TopFilter {
    /// Most items of each ranking.
    #[param(minimum = 1, maximum = 100, default = 10, required = false)]
    top: Option<usize>,
}

impl TopFilter {
    fn parse(&self) -> Result<usize, Problem> {
        let top = self.top.unwrap_or(TOP_DEFAULT);
        if (1..=TOP_MAX).contains(&top) {
            return Ok(top);
        }
        Err(Problem::field(Code::ValidationFailed, "top", format!("must be between 1 and {TOP_MAX}")))
    }
}

/// What the calls of a period come to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverviewShape {
    /// The period.
    #[schema(example = "24h")]
    period: &'static str,
    /// The beginning of its first hour or day, RFC 3339 UTC.
    from: String,
    /// The end of its last one, which is under way.
    to: String,
    #[serde(flatten)]
    counts: CountsShape,
    #[serde(flatten)]
    latency: LatencyShape,
    /// The period before, which is as long.
    previous: CountsShape,
    /// By hour, of `24h`; else by day.
    series: Vec<IntervalShape>,
    /// By server.
    servers: RankingShape<ServerLineShape>,
    /// By tool, of the calls of tools.
    tools: RankingShape<ToolLineShape>,
    /// By tenant, of the calls that name one. Null where one tenant user is asked about, and where a tenant and a project
    /// are.
    tenants: Option<RankingShape<TenantLineShape>>,
    /// By key. Null where a tenant and a project are asked about.
    api_keys: Option<RankingShape<KeyLineShape>>,
}

impl From<&Overview> for OverviewShape {
    fn from(seen: &Overview) -> Self {
        Self {
            period: seen.period.as_str(),
            from: time(seen.span.from()),
            to: time(seen.span.to()),
            counts: (&seen.all).into(),
            latency: (&seen.all).into(),
            previous: (&seen.before).into(),
            series: seen.series.iter().map(IntervalShape::from).collect(),
            servers: RankingShape::of(&seen.servers),
            tools: RankingShape::of(&seen.tools),
            tenants: seen.tenants.as_ref().map(RankingShape::of),
            api_keys: seen.keys.as_ref().map(RankingShape::of),
        }
    }
}

/// Calls, errors and latencies of a period, by server, tool, tenant and key. It tells of a call some seconds after its end.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_insights_overview", tag = "insights",
    params(PeriodFilter, TopFilter, ProjectFilter, crate::openapi::TenantQuery),
    responses((status = 200, description = "What the calls come to.", body = OverviewShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/insights/overview")]
pub async fn get_insights_overview(
    allowed: Allowed<InsightsRead>,
    services: Data<Services>,
    period: Asked<PeriodFilter>,
    top: Asked<TopFilter>,
    project: Asked<ProjectFilter>,
) -> Result<HttpResponse, Problem> {
    let (period, top, project) = (period.read()?.parse()?, top.read()?.parse()?, project.read()?);
    let narrowed = narrowed(&allowed, &services, &project).await?;
    let seen = services.insights.overview(&allowed, period, &narrowed, top).await?;
    Ok(HttpResponse::Ok().json(OverviewShape::from(&seen)))
}
