//! `PATCH /api-keys/{id}/tenants`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, patch};
use domain::access::permission::ApiKeysWrite;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::key::port::TenantsChange;
use domain::tenant::{AllowedTenants, Allowing};
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::get::named;
use super::shapes::ApiKeyShape;
use super::tenants::TenantsShape;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals};

/// Tenants to add and to remove; first is removed, then added.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct TenantsPatch {
    /// To add.
    add: Option<TenantsShape>,
    /// To remove. A tenant org without listed users goes with all its users.
    remove: Option<TenantsShape>,
}

impl TenantsPatch {
    fn parse(&self) -> Result<TenantsChange, FieldErrors> {
        let mut errors = FieldErrors::default();
        let parse = |field, shape: &Option<TenantsShape>, errors: &mut FieldErrors| {
            shape.as_ref().and_then(|shape| shape.parse(field, errors))
        };
        let add = parse("add", &self.add, &mut errors);
        let remove = parse("remove", &self.remove, &mut errors);
        let nothing_like = |other: &AllowedTenants| match other {
            AllowedTenants::Orgs(_) => AllowedTenants::Orgs(Allowing::Listed(vec![])),
            AllowedTenants::Users(_) | AllowedTenants::Owner => AllowedTenants::Users(Allowing::Listed(vec![])),
        };
        if add.is_none() && remove.is_none() && errors.0.is_empty() {
            errors.add("body", "must have add, remove or both");
        }
        errors.check()?;
        let (add, remove) = match (add, remove) {
            (Some(add), Some(remove)) => (add, remove),
            (Some(add), None) => {
                let remove = nothing_like(&add);
                (add, remove)
            }
            (None, Some(remove)) => (nothing_like(&remove), remove),
            (None, None) => return Err(FieldErrors::one("body", "must have add, remove or both")),
        };
        Ok(TenantsChange::Patch { add, remove })
    }
}

/// Adds to and removes from the tenants that a key lists; effective on the next request.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "change_api_key_tenants", tag = "api-keys", request_body = TenantsPatch,
    params(("id" = String, Path, description = "`key_…`", example = "key_7Gk2mQ0xZt4Rv9Ab")),
    responses((status = 200, description = "The key.", body = ApiKeyShape), Refusals, BodyRefusals),
    security(("access_token" = []))
)]
#[patch("/api-keys/{id}/tenants")]
pub async fn change_api_key_tenants(
    allowed: Allowed<ApiKeysWrite>,
    services: Data<Services>,
    id: Path<String>,
    body: Body<TenantsPatch>,
) -> Result<HttpResponse, Problem> {
    let key = named(&id)?;
    let change = body.read().await?.parse()?;
    let view = to_the_end(async move {
        let event = allowed.event("key.tenants.change", AuditTarget::Key(key));
        let changed = services.keys.change_tenants(&allowed, key, change, event).await;
        let record = allowed.noted(&services, AuditTarget::Key(key), changed).await?;
        Ok(services.keys.view(record).await?)
    })
    .await?;
    Ok(HttpResponse::Ok().json(ApiKeyShape::from(&view)))
}
