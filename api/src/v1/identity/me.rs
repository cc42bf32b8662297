//! `GET /me`

use actix_web::{HttpResponse, get};
use domain::access::{Actor, TenantScope};
use domain::key::KeyFacts;
use domain::organization::OrganizationRef;
use domain::tenant::Tenant;
use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::Caller;
use crate::v1::{PersonShape, Refusals};

/// Who is calling, and for whom.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeShape {
    /// The person, or the key's owner.
    user: MyselfShape,
    /// The organization.
    organization: OrganizationShape,
    /// The role that counts for this request.
    #[schema(example = "editor")]
    role: String,
    /// The key; null for a person.
    api_key: Option<KeyShape>,
    /// The tenant that the parameters select; null when they select none.
    tenant: Option<TenantShape>,
}

/// The person who calls, or the owner of the key that calls.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MyselfShape {
    /// `usr_…`
    #[schema(example = "usr_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// E-mail address.
    #[schema(example = "ann@example.com")]
    email: String,
    /// What the person wants to be called.
    #[schema(example = "Ann")]
    display_name: String,
    /// Whether this caller may see and revoke the keys of every organization (`/admin/api-keys`). Never for a key, whoever
    /// owns it.
    instance_admin: bool,
}

/// An organization.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrganizationShape {
    /// `org_…`
    pub id: String,
    /// Name for addresses.
    #[schema(example = "acme")]
    pub slug: String,
    /// Name for people.
    #[schema(example = "Acme")]
    pub name: String,
}

/// The key that calls.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyShape {
    /// `key_…`
    id: String,
    /// What its owner calls it.
    name: String,
    /// `solo`, `client` or `platform`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Enough to recognize it by.
    hint: String,
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantShape {
    /// The tenant org.
    pub org: Option<TenantPart>,
    /// The tenant user.
    pub user: Option<TenantPart>,
}

/// A tenant org or tenant user, by the caller's own id.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantPart {
    /// The caller's own id.
    pub id: String,
}

impl From<&OrganizationRef> for OrganizationShape {
    fn from(organization: &OrganizationRef) -> Self {
        Self {
            id: organization.id.to_string(),
            slug: organization.slug.to_string(),
            name: organization.name.to_string(),
        }
    }
}

impl From<&TenantScope> for MyselfShape {
    fn from(scope: &TenantScope) -> Self {
        let PersonShape { id, email, display_name } = scope.user().into();
        let instance_admin = match scope.actor() {
            Actor::Key(_) => false,
            Actor::Member(member) => member.instance_admin,
        };
        Self { id, email, display_name, instance_admin }
    }
}

impl From<&KeyFacts> for KeyShape {
    fn from(key: &KeyFacts) -> Self {
        Self { id: key.id.to_string(), name: key.name.to_string(), kind: key.kind.as_str(), hint: key.hint.to_string() }
    }
}

/// A resolved tenant; none for the owner and for the organization as a whole.
#[must_use]
pub fn tenant(tenant: &Tenant) -> Option<TenantShape> {
    match tenant {
        Tenant::Owner | Tenant::Organization => None,
        Tenant::Below { .. } => Some(TenantShape {
            org: tenant.org().map(|id| TenantPart { id: id.to_string() }),
            user: tenant.user().map(|id| TenantPart { id: id.to_string() }),
        }),
    }
}

/// Who is calling, and for whom. Works for every valid key.
#[utoipa::path(
    operation_id = "get_me", tag = "identity",
    params(crate::openapi::TenantQuery),
    responses((status = 200, description = "Who is calling.", body = MeShape), Refusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[get("/me")]
pub async fn get_me(caller: Caller) -> HttpResponse {
    let scope = caller.0;
    HttpResponse::Ok().json(MeShape {
        user: MyselfShape::from(&scope),
        organization: OrganizationShape::from(scope.organization()),
        role: scope.role().as_str().to_owned(),
        api_key: scope.key().map(|key| KeyShape::from(&**key)),
        tenant: tenant(scope.tenant()),
    })
}
