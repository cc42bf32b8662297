//! `POST /tenants/users`

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use domain::access::permission::ServersWrite;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::{TenantUserShape, named};
use crate::code::Code;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::once::{Made, Once, OnceHeader};
use crate::problem::Problem;
use crate::v1::{BodyRefusals, Refusals};

/// A tenant user to make before their first use.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewTenantUser {
    /// Your own id of them, as in `?user_id=`: 1 to 128 bytes.
    #[schema(example = "marina", min_length = 1, max_length = 128)]
    user_id: String,
    /// The tenant org that they are below, as in `?org_id=`; directly below your organization when not given.
    #[schema(example = "globex", min_length = 1, max_length = 128)]
    org_id: Option<String>,
}

/// Makes an end user before their first use. One that is there already is answered as they stand, with 200.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "create_tenant_user", tag = "tenants", request_body = NewTenantUser,
    params(OnceHeader, crate::openapi::TenantQuery),
    responses(
        (status = 201, description = "The tenant user is made.", body = TenantUserShape),
        (status = 200, description = "They were there already.", body = TenantUserShape),
        Refusals, BodyRefusals
    ),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/tenants/users")]
pub async fn create_tenant_user(
    allowed: Allowed<ServersWrite>,
    services: Data<Services>,
    once: Once,
    body: Body<NewTenantUser>,
) -> Result<HttpResponse, Problem> {
    let (body, bytes) = body.read_both().await?;
    let mut errors = FieldErrors::default();
    let user = named("userId", Some(body.user_id), &mut errors);
    let org = named("orgId", body.org_id, &mut errors);
    errors.check()?;
    let user = user.ok_or_else(|| Problem::new(Code::Internal))?;
    let scope = (**allowed).clone();
    once.make(&services.clone(), &scope, &bytes, async move {
        let event = allowed.event("tenant.provision", AuditTarget::Tenant);
        let made = services.tenants.make_user(&allowed, org, user, event).await;
        let made = allowed.noted(&services, AuditTarget::Tenant, made).await?;
        let status = if made.newly { StatusCode::CREATED } else { StatusCode::OK };
        Made::new(status, &TenantUserShape::from(&made.now))
    })
    .await
}
