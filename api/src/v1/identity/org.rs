//! `GET /org`

use actix_web::{HttpResponse, get};
use domain::access::TenantScope;
use domain::organization::{Feature, OrganizationRef};
use serde::Serialize;
use utoipa::ToSchema;

use super::me::OrganizationShape;
use crate::extract::Caller;
use crate::v1::Refusals;

/// The organization and who acts in it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrgShape {
    /// The organization.
    organization: OrganizationShape,
    /// Who acts.
    actor: ActorShape,
    /// What the organization can use besides what every organization can.
    features: FeaturesShape,
}

/// Features, on or off.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeaturesShape {
    /// Insights from the gateway's traffic.
    mcp_analytics: bool,
    /// A tool that changed is offered again only when an admin has approved it.
    tool_approval: bool,
}

impl OrgShape {
    /// The organization as it is now, and who acts in it.
    #[must_use]
    pub fn of(scope: &TenantScope, organization: &OrganizationRef) -> Self {
        let key = scope.key();
        let person = key.is_none().then(|| scope.user());
        Self {
            organization: OrganizationShape::from(organization),
            actor: ActorShape {
                api_key_id: key.map(|key| key.id.to_string()),
                api_key_name: key.map(|key| key.name.to_string()),
                user_profile_id: person.map(|person| person.id.to_string()),
                role: scope.role().as_str().to_owned(),
                email: person.map(|person| person.email.to_string()),
            },
            features: FeaturesShape {
                mcp_analytics: organization.features.contains(Feature::McpAnalytics),
                tool_approval: organization.features.contains(Feature::ToolApproval),
            },
        }
    }
}

/// A key or a person; what does not fit is null.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActorShape {
    /// The key's id.
    api_key_id: Option<String>,
    /// The key's name.
    api_key_name: Option<String>,
    /// The person's id.
    user_profile_id: Option<String>,
    /// The role that counts for this request.
    #[schema(example = "editor")]
    role: String,
    /// The person's e-mail address.
    email: Option<String>,
}

/// The organization and who acts in it: the smoke test for a new key.
#[utoipa::path(
    operation_id = "get_org", tag = "identity",
    params(crate::openapi::TenantQuery),
    responses((status = 200, description = "The organization.", body = OrgShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/org")]
pub async fn get_org(caller: Caller) -> HttpResponse {
    let scope = caller.0;
    HttpResponse::Ok().json(OrgShape::of(&scope, scope.organization()))
}
