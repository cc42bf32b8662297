//! Allowed tenants as JSON: `{"users": …}` for client keys, `{"orgs": …}` for platform keys.

use domain::field::FieldErrors;
use domain::tenant::{AllowedOrg, AllowedTenants, Allowing, TenantText};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use crate::v1::AnyOr;

/// The tenants that a key may speak for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct TenantsShape {
    /// For a client key: the tenant users, `"*"` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = AnyOr::<String>::field_schema, required = false)]
    pub users: Option<AnyOr<String>>,
    /// For a platform key: the tenant orgs, `"*"` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = AnyOr::<AllowedOrgShape>::field_schema, required = false)]
    pub orgs: Option<AnyOr<AllowedOrgShape>>,
}

/// A tenant org, and which of its users.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowedOrgShape {
    /// The customer's id, as `?org_id=` has it.
    #[schema(example = "customer-1", max_length = 128)]
    pub id: String,
    /// Its users, `"*"` for all. The default.
    #[serde(default = "all")]
    #[schema(schema_with = AnyOr::<String>::field_schema, required = false)]
    pub users: AnyOr<String>,
}

const fn all() -> AnyOr<String> {
    AnyOr::Any
}

impl TenantsShape {
    /// Checks every id; `field` is where the shape stands in the request.
    pub fn parse(&self, field: &str, errors: &mut FieldErrors) -> Option<AllowedTenants> {
        match (&self.users, &self.orgs) {
            (Some(users), None) => Some(AllowedTenants::Users(parse_users(users, &format!("{field}.users"), errors))),
            (None, Some(AnyOr::Any)) => Some(AllowedTenants::Orgs(Allowing::Any)),
            (None, Some(AnyOr::List(orgs))) => {
                let mut parsed = Vec::with_capacity(orgs.len());
                for (index, org) in orgs.iter().enumerate() {
                    let place = format!("{field}.orgs[{index}]");
                    let id = errors.take(&format!("{place}.id"), TenantText::new(&org.id));
                    let users = parse_users(&org.users, &format!("{place}.users"), errors);
                    parsed.extend(id.map(|id| AllowedOrg { id, users }));
                }
                Some(AllowedTenants::Orgs(Allowing::Listed(parsed)))
            }
            (None, None) | (Some(_), Some(_)) => {
                errors.add(field, r#"must have either "users" (client key) or "orgs" (platform key)"#);
                None
            }
        }
    }
}

fn parse_users(users: &AnyOr<String>, field: &str, errors: &mut FieldErrors) -> Allowing<TenantText> {
    match users {
        AnyOr::Any => Allowing::Any,
        AnyOr::List(users) => Allowing::Listed(
            users
                .iter()
                .enumerate()
                .filter_map(|(index, user)| match TenantText::new(user) {
                    Ok(user) => Some(user),
                    Err(fault) => {
                        errors.add(format!("{field}[{index}]"), fault);
                        None
                    }
                })
                .collect(),
        ),
    }
}

impl From<&AllowedTenants> for TenantsShape {
    fn from(tenants: &AllowedTenants) -> Self {
        let texts = |users: &Allowing<TenantText>| match users {
            Allowing::Any => AnyOr::Any,
            Allowing::Listed(users) => AnyOr::List(users.iter().map(ToString::to_string).collect()),
        };
        match tenants {
            AllowedTenants::Owner => Self { users: None, orgs: None },
            AllowedTenants::Users(users) => Self { users: Some(texts(users)), orgs: None },
            AllowedTenants::Orgs(Allowing::Any) => Self { users: None, orgs: Some(AnyOr::Any) },
            AllowedTenants::Orgs(Allowing::Listed(orgs)) => {
                let shape = |org: &AllowedOrg| AllowedOrgShape { id: org.id.to_string(), users: texts(&org.users) };
                Self { users: None, orgs: Some(AnyOr::List(orgs.iter().map(shape).collect())) }
            }
        }
    }
}
