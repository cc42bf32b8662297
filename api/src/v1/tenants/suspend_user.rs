//! `POST /tenants/users/{id}/suspend` and `…/resume`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, post};
use domain::access::permission::ServersWrite;
use domain::audit::AuditTarget;
use domain::id::TenantUserId;

use super::shapes::TenantUserShape;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::Allowed;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::Refusals;

/// Suspends a tenant user: when this is answered, requests that speak for them get 403 `tenant_suspended`. Doing it again
/// changes nothing.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "suspend_tenant_user", tag = "tenants",
    params(("id" = String, Path, description = "`tus_…`", example = "tus_01kafx5tgyf1na07m4q6nf1sgb"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The tenant user, suspended.", body = TenantUserShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/tenants/users/{id}/suspend")]
pub async fn suspend_tenant_user(
    allowed: Allowed<ServersWrite>,
    services: Data<Services>,
    id: Path<String>,
) -> Result<HttpResponse, Problem> {
    change(allowed, services, &id, true).await
}

/// Lets a suspended tenant user through again. Doing it again changes nothing.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "resume_tenant_user", tag = "tenants",
    params(("id" = String, Path, description = "`tus_…`", example = "tus_01kafx5tgyf1na07m4q6nf1sgb"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The tenant user, active.", body = TenantUserShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/tenants/users/{id}/resume")]
pub async fn resume_tenant_user(
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
    let id: TenantUserId = id.parse().map_err(|_| Problem::new(Code::NotFound))?;
    let now = to_the_end(async move {
        let action = if suspend { "tenant.suspend" } else { "tenant.resume" };
        let event = allowed.event(action, AuditTarget::TenantUser(id));
        let changed = services.tenants.suspend_user(&allowed, id, suspend, event).await;
        let changed = allowed.noted(&services, AuditTarget::TenantUser(id), changed).await?;
        Ok(changed.now)
    })
    .await?;
    Ok(HttpResponse::Ok().json(TenantUserShape::from(&now)))
}
