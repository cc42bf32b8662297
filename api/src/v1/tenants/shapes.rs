//! Tenants as clients see them.

use domain::field::FieldErrors;
use domain::tenant::TenantText;
use domain::tenant::registry::{TenantOrg, TenantUser};
use domain::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::v1::time;

/// A customer's organization below yours.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantOrgShape {
    /// `ten_…`
    #[schema(example = "ten_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// Your own id of it, as in `?org_id=`.
    #[schema(example = "globex")]
    org_id: String,
    /// `active` or `suspended`.
    status: &'static str,
    /// When it was made or first used, RFC 3339 UTC.
    created_at: String,
    /// When it was suspended; null when it is not.
    suspended_at: Option<String>,
}

/// An end user below yours.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantUserShape {
    /// `tus_…`
    #[schema(example = "tus_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// Your own id of them, as in `?user_id=`.
    #[schema(example = "marina")]
    user_id: String,
    /// The tenant org that they are below, as in `?org_id=`; null for a user directly below your organization.
    #[schema(example = "globex")]
    org_id: Option<String>,
    /// `active` or `suspended`. A suspended tenant org suspends its users besides.
    status: &'static str,
    /// When they were made or first used, RFC 3339 UTC.
    created_at: String,
    /// When they were suspended; null when they are not.
    suspended_at: Option<String>,
}

const fn status(suspended_at: Option<Timestamp>) -> &'static str {
    if suspended_at.is_some() { "suspended" } else { "active" }
}

impl From<&TenantOrg> for TenantOrgShape {
    fn from(org: &TenantOrg) -> Self {
        Self {
            id: org.id.to_string(),
            org_id: org.external.as_str().to_owned(),
            status: status(org.suspended_at),
            created_at: time(org.created_at),
            suspended_at: org.suspended_at.map(time),
        }
    }
}

impl From<&TenantUser> for TenantUserShape {
    fn from(user: &TenantUser) -> Self {
        Self {
            id: user.id.to_string(),
            user_id: user.external.as_str().to_owned(),
            org_id: user.org.as_ref().map(|org| org.as_str().to_owned()),
            status: status(user.suspended_at),
            created_at: time(user.created_at),
            suspended_at: user.suspended_at.map(time),
        }
    }
}

/// Reads a tenant's id in the caller's words.
pub(super) fn named(field: &str, text: Option<String>, errors: &mut FieldErrors) -> Option<TenantText> {
    errors.take_optional(field, text.map(|text| TenantText::new(&text)))
}
