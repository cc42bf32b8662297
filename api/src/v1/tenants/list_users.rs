//! `GET /tenants/users`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::ServersWrite;
use domain::field::FieldErrors;
use domain::tenant::registry::TenantFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use super::shapes::{TenantUserShape, named};
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Items, Refusals};

/// Which tenant users.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct UserFilter {
    /// Below this tenant org, by your own id.
    #[param(min_length = 1, max_length = 128)]
    org_id: Option<String>,
    /// This one, by your own id; there may be one below each tenant org.
    #[param(min_length = 1, max_length = 128)]
    user_id: Option<String>,
    /// Only those that are suspended themselves, or only those that are not.
    suspended: Option<bool>,
}

/// End users that you manage, in the order of their making.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_tenant_users", tag = "tenants",
    params(Paging, UserFilter, crate::openapi::TenantQuery),
    responses((status = 200, description = "A page of tenant users.", body = Items<TenantUserShape>), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/tenants/users")]
pub async fn list_tenant_users(
    allowed: Allowed<ServersWrite>,
    services: Data<Services>,
    paging: Asked<Paging>,
    filter: Asked<UserFilter>,
) -> Result<HttpResponse, Problem> {
    let (page, asked) = (paging.read()?.request(|text| text.parse().ok())?, filter.read()?);
    let mut errors = FieldErrors::default();
    let org = named("orgId", asked.org_id, &mut errors);
    let user = named("userId", asked.user_id, &mut errors);
    errors.check()?;
    let filter = TenantFilter { org, user, suspended: asked.suspended };
    let page = services.tenants.users(&allowed, filter, page).await?;
    let next_cursor = page.next.map(|id| encode_cursor(&id.to_string()));
    Ok(HttpResponse::Ok().json(Items { items: page.items.iter().map(TenantUserShape::from).collect(), next_cursor }))
}
