//! `POST /tenants/orgs/{id}/suspend` and `…/resume`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, post};
use domain::access::permission::ServersWrite;
use domain::audit::AuditTarget;
use domain::id::TenantOrgId;

use super::shapes::TenantOrgShape;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::Refusals;

/// Suspends a tenant org with all of its users: when this is answered, requests that speak for them get 403
/// `tenant_suspended`. Doing it again changes nothing. A key must be allowed all users of the tenant org.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "suspend_tenant_org", tag = "tenants",
    params(("id" = String, Path, description = "`ten_…`", example = "ten_01kafx5tgyf1na07m4q6nf1sgb"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The tenant org, suspended.", body = TenantOrgShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/tenants/orgs/{id}/suspend")]
pub async fn suspend_tenant_org(
    allowed: Allowed<ServersWrite>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    change(allowed, services, &id, true).await
}

/// Lets a suspended tenant org through again. Doing it again changes nothing.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "resume_tenant_org", tag = "tenants",
    params(("id" = String, Path, description = "`ten_…`", example = "ten_01kafx5tgyf1na07m4q6nf1sgb"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The tenant org, active.", body = TenantOrgShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/tenants/orgs/{id}/resume")]
pub async fn resume_tenant_org(
    allowed: Allowed<ServersWrite>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    change(allowed, services, &id, false).await
}

async fn change(
    allowed: Allowed<ServersWrite>,
    services: Data<Services>,
    id: &str,
    suspend: bool,
) -> Result<HttpResponse, Problem> {
    let id: TenantOrgId = id.parse().map_err(|_| Problem::new(Code::NotFound))?;
    let now = to_the_end(async move {
        let action = if suspend { "tenant.suspend" } else { "tenant.resume" };
        let event = allowed.event(action, AuditTarget::TenantOrg(id));
        let changed = services.tenants.suspend_org(&allowed, id, suspend, event).await;
        let changed = allowed.noted(&services, AuditTarget::TenantOrg(id), changed).await?;
        Ok(changed.now)
    })
    .await?;
    Ok(HttpResponse::Ok().json(TenantOrgShape::from(&now)))
}
