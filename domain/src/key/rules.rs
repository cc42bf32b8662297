//! What of a key fits together, and with the rights of whoever asks. Pure: no store, no clock.

use super::model::{KeyFacts, KeyType};
use super::port::TenantsChange;
use super::service::KeyRequest;
use crate::access::{Permission, PermissionSet, Role};
use crate::field::FieldErrors;
use crate::tenant::{AllowedTenants, Allowing};
use crate::time::Timestamp;

/// What a new key becomes: its role, its permissions and its tenants.
pub(super) fn check(
    request: &KeyRequest,
    creator: Role,
    now: Timestamp,
) -> Result<(Role, PermissionSet, AllowedTenants), FieldErrors> {
    let mut errors = FieldErrors::default();
    let role = request.role.unwrap_or(creator);
    if role > creator {
        errors.add("role", format!("must not be above your own role, {}", creator.as_str()));
    }
    let full = PermissionSet::full(role);
    let permissions = request.permissions.unwrap_or(full);
    for permission in permissions.iter().filter(|permission| !full.contains(*permission)) {
        errors.add("permissions", above_role(permission, role));
    }
    check_expiry(request.expires_at, now, &mut errors);
    let tenants = match (request.kind, request.tenants.clone()) {
        (KeyType::Solo, None | Some(AllowedTenants::Owner)) => Some(AllowedTenants::Owner),
        (KeyType::Client, None) => Some(AllowedTenants::Users(Allowing::Any)),
        (KeyType::Client, Some(tenants @ AllowedTenants::Users(_)))
        | (KeyType::Platform, Some(tenants @ AllowedTenants::Orgs(_))) => Some(tenants),
        (KeyType::Platform, None) => {
            errors.add(
                "tenants",
                r#"is required for a platform key: {"orgs": "*"} or {"orgs": [{"id": "…", "users": "*"}]}"#,
            );
            None
        }
        (kind, Some(_)) => {
            errors.add("tenants", wrong_tenants(kind));
            None
        }
    };
    match tenants {
        Some(tenants) if errors.0.is_empty() => Ok((role, permissions, tenants)),
        _ => Err(errors),
    }
}

/// An end, if there is one, lies ahead.
pub(super) fn check_expiry(end: Option<Timestamp>, now: Timestamp, errors: &mut FieldErrors) {
    if end.is_some_and(|end| end <= now) {
        errors.add("expiresAt", "must be in the future");
    }
}

/// Says that a permission is not for a role.
pub(super) fn above_role(permission: Permission, role: Role) -> String {
    format!("{} is more than the role {} allows", permission.as_str(), role.as_str())
}

const fn wrong_tenants(kind: KeyType) -> &'static str {
    match kind {
        KeyType::Solo => "a solo key speaks for its owner alone; leave tenants out",
        KeyType::Client => r#"a client key takes {"users": "*" | [..]}"#,
        KeyType::Platform => r#"a platform key takes {"orgs": "*" | [{"id": "…", "users": "*" | [..]}]}"#,
    }
}

/// A change of tenants fits the key's type.
pub(super) fn check_change(key: &KeyFacts, change: &TenantsChange) -> Result<(), FieldErrors> {
    let kind = key.kind;
    let fits = |tenants: &AllowedTenants| {
        matches!(
            (kind, tenants),
            (KeyType::Client, AllowedTenants::Users(_)) | (KeyType::Platform, AllowedTenants::Orgs(_))
        )
    };
    match change {
        TenantsChange::Replace(tenants) if fits(tenants) => Ok(()),
        TenantsChange::Replace(_) => Err(FieldErrors::one("tenants", wrong_tenants(kind))),
        // Removing from "everybody" would change nothing and look as if it had.
        TenantsChange::Patch { .. } if !key.tenants.needs_list() => Err(FieldErrors::one(
            "tenants",
            "the key has no list of tenants to change; replace its tenants with a list",
        )),
        TenantsChange::Patch { add, remove } => {
            let mut errors = FieldErrors::default();
            for (field, tenants) in [("add", add), ("remove", remove)] {
                if !fits(tenants) {
                    errors.add(field, wrong_tenants(kind));
                } else if matches!(tenants, AllowedTenants::Users(Allowing::Any) | AllowedTenants::Orgs(Allowing::Any))
                {
                    errors.add(field, r#"cannot be "*"; replace the tenants instead"#);
                }
            }
            errors.check()
        }
    }
}
