//! `PATCH /org`

use actix_web::web::Data;
use actix_web::{HttpResponse, patch};
use domain::access::permission::OrganizationAdminister;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::organization::Feature;
use domain::organization::change::OrganizationChange;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::org::OrgShape;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals};

/// What is to change; what is absent stays.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ChangeOrganization {
    /// Name for people.
    #[schema(example = "Acme", min_length = 1, max_length = 100)]
    name: Option<String>,
    /// Name for addresses, unique in the installation. The old one stays yours.
    #[schema(example = "acme", pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    slug: Option<String>,
    /// Features to switch on or off.
    #[validate(nested)]
    features: Option<ChangeFeatures>,
}

/// Features to switch; what is absent stays.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ChangeFeatures {
    /// Insights from the gateway's traffic.
    mcp_analytics: Option<bool>,
    /// A tool that changed is offered again only when an admin has approved it. What is offered now stays offered.
    tool_approval: Option<bool>,
}

impl ChangeOrganization {
    fn parse(self) -> Result<OrganizationChange, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.take_optional("name", self.name.map(|name| name.parse()));
        let slug = errors.take_optional("slug", self.slug.map(|slug| slug.parse()));
        let features = self.features.map_or_else(Vec::new, |features| {
            let switched = |feature, on: Option<bool>| on.map(|on| (feature, on));
            let analytics = switched(Feature::McpAnalytics, features.mcp_analytics);
            analytics.into_iter().chain(switched(Feature::ToolApproval, features.tool_approval)).collect()
        });
        errors.check()?;
        Ok(OrganizationChange { name, slug, features })
    }
}

/// Renames the organization or switches its features. The next request sees it, of whichever key.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "change_org", tag = "identity", request_body = ChangeOrganization,
    responses((status = 200, description = "The organization, as it is now.", body = OrgShape), Refusals, BodyRefusals),
    security(("access_token" = []))
)]
#[patch("/org")]
pub async fn change_org(
    allowed: Allowed<OrganizationAdminister>,
    services: Data<Services>,
    body: Body<ChangeOrganization>,
) -> Result<HttpResponse, Problem> {
    let change = body.read().await?.parse()?;
    let shape = to_the_end(async move {
        let event = allowed.event("organization.change", AuditTarget::Organization);
        let organization = services.organizations.change(&allowed, change, event).await;
        let organization = allowed.noted(&services, AuditTarget::Organization, organization).await?;
        Ok(OrgShape::of(&allowed, &organization))
    })
    .await?;
    Ok(HttpResponse::Ok().json(shape))
}
