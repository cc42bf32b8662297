//! `GET /admin/api-keys`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::InstanceKeys;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use serde::Deserialize;
use utoipa::IntoParams;

use super::shapes::InstanceKeyShape;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging};
use crate::problem::Problem;
use crate::v1::api_keys::list::{KeysAsked, cursor, position};
use crate::v1::{Items, Refusals};

/// Whose keys.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OrganizationAsked {
    /// Only of this organization.
    #[param(example = "org_01kafx5tgyf1na07m4q6nf1sgb")]
    organization: Option<String>,
}

/// The keys of every organization, newest first, with their organization and owner. For instance admins.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_instance_api_keys", tag = "admin",
    params(Paging, OrganizationAsked, KeysAsked),
    responses((status = 200, description = "A page of keys.", body = Items<InstanceKeyShape>), Refusals),
    security(("access_token" = []))
)]
#[get("/admin/api-keys")]
pub async fn list_instance_api_keys(
    allowed: Allowed<InstanceKeys>,
    services: Data<Services>,
    paging: Asked<Paging>,
    organization: Asked<OrganizationAsked>,
    filter: Asked<KeysAsked>,
) -> Result<HttpResponse, Problem> {
    let mut errors = FieldErrors::default();
    let organization = organization.read()?.organization.map(|id| id.parse());
    let organization = errors.take_optional("organization", organization);
    errors.check()?;
    let filter = filter.read()?.parse()?;
    let page = paging.read()?.request(position)?;
    let listed = services.instance_keys.list(&allowed, organization, &filter, page).await;
    let page = allowed.noted(&services, AuditTarget::Organization, listed).await?;
    let next_cursor = page.next.map(cursor);
    let views = services.keys.views(page.items).await?;
    Ok(HttpResponse::Ok().json(Items { items: views.iter().map(InstanceKeyShape::from).collect(), next_cursor }))
}
