//! `GET /insights/topics`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::InsightsRead;
use domain::insight::{TopicFilter, TopicPosition};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::asked::{PeriodFilter, narrowed};
use super::topic_shapes::TopicItemShape;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, ProjectFilter, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Refusals, time};

/// Which topics.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct TopicsFilter {
    /// Those that were put away instead of the others.
    #[serde(default)]
    archived: bool,
    /// Only those that are marked as unmet demand, or only the others.
    #[param(required = false)]
    unmet_demand: Option<bool>,
}

/// A page of topics, and of when their calls are.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicsShape {
    /// The beginning of the period's first hour or day, RFC 3339 UTC.
    from: String,
    /// The end of its last one, which is under way.
    to: String,
    /// Most calls in the period first.
    items: Vec<TopicItemShape>,
    /// Give it as `cursor` for the next page; null on the last.
    next_cursor: Option<String>,
}

fn cursor(position: TopicPosition) -> String {
    encode_cursor(&format!("{} {}", position.calls, position.id))
}

fn position(cursor: &str) -> Option<TopicPosition> {
    let (calls, id) = cursor.split_once(' ')?;
    Some(TopicPosition { calls: calls.parse().ok()?, id: id.parse().ok()? })
}

/// Topics, groups of similar intents, with calls in the period or in the one before, most calls first. A tenant and a project
/// at once are refused.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_topics", tag = "insights",
    params(PeriodFilter, TopicsFilter, Paging, ProjectFilter, crate::openapi::TenantQuery),
    responses((status = 200, description = "A page of topics.", body = TopicsShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/insights/topics")]
pub async fn list_topics(
    allowed: Allowed<InsightsRead>,
    services: Data<Services>,
    period: Asked<PeriodFilter>,
    filter: Asked<TopicsFilter>,
    paging: Asked<Paging>,
    project: Asked<ProjectFilter>,
) -> Result<HttpResponse, Problem> {
    let (period, filter, project) = (period.read()?.parse()?, filter.read()?, project.read()?);
    let page = paging.read()?.request(position)?;
    let narrowed = narrowed(&allowed, &services, &project).await?;
    let filter = TopicFilter { archived: filter.archived, unmet_demand: filter.unmet_demand };
    let (span, page) = services.insights.topics(&allowed, period, &narrowed, filter, page).await?;
    let tenant = narrowed.tenant_scope();
    Ok(HttpResponse::Ok().json(TopicsShape {
        from: time(span.from()),
        to: time(span.to()),
        items: page.items.iter().map(|summary| TopicItemShape::new(summary, tenant)).collect(),
        next_cursor: page.next.map(cursor),
    }))
}
