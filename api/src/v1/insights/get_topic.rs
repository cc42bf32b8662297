//! `GET /insights/topics/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, get};
use domain::access::permission::InsightsRead;
use serde::Serialize;
use utoipa::ToSchema;

use super::asked::{PeriodFilter, narrowed};
use super::shapes::{IntervalShape, RankingShape, ServerLineShape, ToolLineShape};
use super::topic_shapes::{TopicItemShape, named, target};
use crate::compose::Services;
use crate::extract::{Allowed, Asked, ProjectFilter};
use crate::problem::Problem;
use crate::v1::{Refusals, time};

/// A topic with what there is to tell of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopicDetailShape {
    #[serde(flatten)]
    item: TopicItemShape,
    /// The beginning of the period's first hour or day, RFC 3339 UTC.
    from: String,
    /// The end of its last one, which is under way.
    to: String,
    /// By hour, of `24h`; else by day. Null where a tenant is asked about.
    series: Option<Vec<IntervalShape>>,
    /// The servers that its calls were of. Null where a tenant is asked about.
    servers: Option<RankingShape<ServerLineShape>>,
    /// The tools that its calls were of. Null where a tenant is asked about.
    tools: Option<RankingShape<ToolLineShape>>,
}

/// One topic and its calls in a period.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "get_topic", tag = "insights",
    params(
        ("id" = String, Path, description = "`top_…`", example = "top_5kafx5tgyf8na07m4q6nf1sgbv"),
        PeriodFilter, ProjectFilter, crate::openapi::TenantQuery
    ),
    responses((status = 200, description = "The topic.", body = TopicDetailShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/insights/topics/{id}")]
pub async fn get_topic(
    allowed: Allowed<InsightsRead>,
    services: Data<Services>,
    id: Path<String>,
    period: Asked<PeriodFilter>,
    project: Asked<ProjectFilter>,
) -> Result<HttpResponse, Problem> {
    let id = named(&id)?;
    let (period, project) = (period.read()?.parse()?, project.read()?);
    let narrowed = narrowed(&allowed, &services, &project).await?;
    let found = services.insights.topic(&allowed, id, period, &narrowed).await;
    let seen = allowed.noted(&services, target(id), found).await?;
    Ok(HttpResponse::Ok().json(TopicDetailShape {
        item: TopicItemShape::new(&seen.summary, narrowed.tenant_scope()),
        from: time(seen.span.from()),
        to: time(seen.span.to()),
        series: seen.series.map(|series| series.iter().map(IntervalShape::from).collect()),
        servers: seen.servers.map(|servers| RankingShape::of(&servers)),
        tools: seen.tools.map(|tools| RankingShape::of(&tools)),
    }))
}
