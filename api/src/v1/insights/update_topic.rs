//! `PATCH /insights/topics/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, patch};
use domain::access::permission::InsightsWrite;
use domain::field::FieldErrors;
use domain::insight::topic::change::TopicChange;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::topic_shapes::{TopicShape, named, target};
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals, given};

/// What shall be different; fields that are left out stay.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TopicPatch {
    /// What it shall be called; null for what is said most often.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "Unpaid invoices", min_length = 1, max_length = 100)]
    name: Option<Option<String>>,
    /// Whether it is something that people want and nothing offers.
    unmet_demand: Option<bool>,
    /// True puts it away: it is left out of the list, and counted all the same. False brings it back.
    archived: Option<bool>,
}

impl TopicPatch {
    fn parse(self) -> Result<TopicChange, FieldErrors> {
        let mut errors = FieldErrors::default();
        if self.name.is_none() && self.unmet_demand.is_none() && self.archived.is_none() {
            errors.add("body", "must have a field that shall be different");
        }
        let name = self.name.map(|name| errors.take_optional("name", name.map(|text| text.parse())));
        errors.check()?;
        Ok(TopicChange { name, unmet_demand: self.unmet_demand, archived: self.archived })
    }
}

/// Renames a topic, marks it as unmet demand, puts it away or brings it back.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "update_topic", tag = "insights", request_body = TopicPatch,
    params(
        ("id" = String, Path, description = "`top_…`", example = "top_5kafx5tgyf8na07m4q6nf1sgbv"),
        crate::openapi::TenantQuery
    ),
    responses((status = 200, description = "The topic as it is now.", body = TopicShape), Refusals, BodyRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[patch("/insights/topics/{id}")]
pub async fn update_topic(
    allowed: Allowed<InsightsWrite>,
    services: Data<Services>,
    id: Path<String>,
    body: Body<TopicPatch>,
) -> Result<HttpResponse, Problem> {
    let id = named(&id)?;
    let change = body.read().await?.parse()?;
    let tenant = domain::insight::TenantName::of(allowed.tenant().org(), allowed.tenant().user());
    let topic = to_the_end(async move {
        let event = allowed.event("topic.update", target(id));
        let done = services.insights.change_topic(&allowed, id, change, event).await;
        allowed.noted(&services, target(id), done).await
    })
    .await?;
    let shape = TopicShape::new(&topic, tenant.as_ref().map(domain::insight::tenant_scope));
    Ok(HttpResponse::Ok().json(shape))
}
