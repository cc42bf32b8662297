//! `POST /tenants/orgs`

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use domain::access::permission::ServersWrite;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::{TenantOrgShape, named};
use crate::code::Code;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::once::{Made, Once, OnceHeader};
use crate::problem::Problem;
use crate::v1::{BodyRefusals, Refusals};

/// A tenant org to make before its first use.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewTenantOrg {
    /// Your own id of it, as in `?org_id=`: 1 to 128 bytes.
    #[schema(example = "globex", min_length = 1, max_length = 128)]
    org_id: String,
}

/// Makes a customer's organization before its first use. One that is there already is answered as it stands, with 200.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "create_tenant_org", tag = "tenants", request_body = NewTenantOrg,
    params(OnceHeader, crate::openapi::TenantQuery),
    responses(
        (status = 201, description = "The tenant org is made.", body = TenantOrgShape),
        (status = 200, description = "It was there already.", body = TenantOrgShape),
        Refusals, BodyRefusals
    ),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/tenants/orgs")]
pub async fn create_tenant_org(
    allowed: Allowed<ServersWrite>,
    services: Data<Services>,
    once: Once,
    body: Body<NewTenantOrg>,
) -> Result<HttpResponse, Problem> {
    let (body, bytes) = body.read_both().await?;
    let mut errors = FieldErrors::default();
    let org = named("orgId", Some(body.org_id), &mut errors);
    errors.check()?;
    let org = org.ok_or_else(|| Problem::new(Code::Internal))?;
    let scope = (**allowed).clone();
    once.make(&services.clone(), &scope, &bytes, async move {
        let event = allowed.event("tenant.provision", AuditTarget::Tenant);
        let made = services.tenants.make_org(&allowed, org, event).await;
        let made = allowed.noted(&services, AuditTarget::Tenant, made).await?;
        let status = if made.newly { StatusCode::CREATED } else { StatusCode::OK };
        Made::new(status, &TenantOrgShape::from(&made.now))
    })
    .await
}
