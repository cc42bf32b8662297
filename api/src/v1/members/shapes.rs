//! What member operations take and give.

use domain::access::Role;
use domain::member::MemberRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::v1::time;

/// A role that admins give. Owner is not among them: the organization is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GivenRole {
    /// Reads.
    Viewer,
    /// Writes.
    Editor,
    /// Manages.
    Admin,
}

impl From<GivenRole> for Role {
    fn from(role: GivenRole) -> Self {
        match role {
            GivenRole::Viewer => Self::Viewer,
            GivenRole::Editor => Self::Editor,
            GivenRole::Admin => Self::Admin,
        }
    }
}

/// A member.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberShape {
    /// `usr_…`
    #[schema(example = "usr_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// E-mail address.
    #[schema(example = "ann@example.com")]
    email: String,
    /// What the person wants to be called.
    #[schema(example = "Ann")]
    display_name: String,
    /// `viewer`, `editor`, `admin` or `owner`.
    #[schema(example = "editor")]
    role: &'static str,
    /// Whether the member is disabled: neither sessions nor keys of theirs work in this organization.
    disabled: bool,
    /// Since when; null when not.
    disabled_at: Option<String>,
    /// When the person joined.
    joined_at: String,
}

impl From<&MemberRecord> for MemberShape {
    fn from(member: &MemberRecord) -> Self {
        Self {
            id: member.user.id.to_string(),
            email: member.user.email.to_string(),
            display_name: member.user.display_name.to_string(),
            role: member.role.as_str(),
            disabled: member.disabled_at.is_some(),
            disabled_at: member.disabled_at.map(time),
            joined_at: time(member.joined_at),
        }
    }
}
