//! `POST /api-keys/revoke`

use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use domain::access::permission::ApiKeysAdminister;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::key::KeyRecord;
use domain::key::port::KeysOf;
use domain::tenant::TenantText;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::ReceiptShape;
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals};

/// Which keys to revoke: those of a person, or those that speak for a tenant. Exactly one of both.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RevokeRequest {
    /// All keys of this person.
    #[schema(example = "usr_01kafx5tgyf1na07m4q6nf1sgb")]
    owner_id: Option<String>,
    /// All keys whose list of tenants names this one and no other; from longer lists it is removed. Keys for `"*"` name
    /// nobody and are left alone: suspend the tenant.
    tenant: Option<TenantAsked>,
}

/// A tenant: a tenant org with all its users, one user of it, or a tenant user of the organization itself (client keys).
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantAsked {
    /// The tenant org, as `?org_id=` has it.
    #[schema(min_length = 1, max_length = 128, example = "customer-1")]
    org_id: Option<String>,
    /// The tenant user, as `?user_id=` has it.
    #[schema(min_length = 1, max_length = 128)]
    user_id: Option<String>,
}

/// What was done, and which nodes had let go of it when this was answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct RevokedManyShape {
    /// The keys that this call revoked.
    revoked: Vec<KeyRefShape>,
    /// The keys that speak for others too: the tenant is no longer on their lists.
    narrowed: Vec<KeyRefShape>,
    /// One entry per node.
    receipt: Vec<ReceiptShape>,
}

/// A key by its names.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyRefShape {
    /// `key_…`
    id: String,
    /// What its owner calls it.
    name: String,
    /// Enough to recognize the token by.
    hint: String,
}

impl From<&KeyRecord> for KeyRefShape {
    fn from(key: &KeyRecord) -> Self {
        Self { id: key.facts.id.to_string(), name: key.facts.name.to_string(), hint: key.facts.hint.to_string() }
    }
}

impl RevokeRequest {
    fn parse(self) -> Result<KeysOf, FieldErrors> {
        let mut errors = FieldErrors::default();
        let which = match (self.owner_id, self.tenant) {
            (Some(owner), None) => errors.take("ownerId", owner.parse()).map(KeysOf::Owner),
            (None, Some(tenant)) => {
                let mut text =
                    |field, text: Option<String>| errors.take_optional(field, text.map(|text| TenantText::new(&text)));
                let (org, user) = (text("tenant.orgId", tenant.org_id), text("tenant.userId", tenant.user_id));
                if org.is_none() && user.is_none() && errors.0.is_empty() {
                    errors.add("tenant", "must have orgId, userId or both");
                }
                Some(KeysOf::Tenant { org, user })
            }
            (None, None) | (Some(_), Some(_)) => {
                errors.add("body", "must have either ownerId or tenant");
                None
            }
        };
        which.filter(|_| errors.0.is_empty()).ok_or(errors)
    }
}

/// Revokes many keys at once, for good: when somebody leaves, or a customer does. When this is answered, no request with
/// any of their tokens is accepted any more, nor one of the other keys for that tenant. Doing it again changes nothing.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "revoke_api_keys", tag = "api-keys", request_body = RevokeRequest,
    responses((status = 200, description = "What was revoked.", body = RevokedManyShape), Refusals, BodyRefusals),
    security(("access_token" = []))
)]
#[post("/api-keys/revoke")]
pub async fn revoke_api_keys(
    allowed: Allowed<ApiKeysAdminister>,
    services: Data<Services>,
    body: Body<RevokeRequest>,
) -> Result<HttpResponse, Problem> {
    let which = body.read().await?.parse()?;
    let done = to_the_end(async move {
        let event = allowed.event("key.revoke", AuditTarget::Organization);
        Ok(services.keys.revoke_many(&allowed, &which, event).await?)
    })
    .await?;
    Ok(HttpResponse::Ok().json(RevokedManyShape {
        revoked: done.revoked.iter().map(KeyRefShape::from).collect(),
        narrowed: done.narrowed.iter().map(KeyRefShape::from).collect(),
        receipt: ReceiptShape::of(&done.receipt),
    }))
}
