//! The permission table: every permission, the role that it takes, and who can hold it.
//!
//! One line here makes the enum's variant, the type that grants carry, and the name in JSON. Documents and tests read
//! [`Permission::ALL`].

use super::Role;
use crate::organization::Feature;

/// Who can hold a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// People, and keys that were given it.
    PeopleAndKeys,
    /// People, and keys that were given `servers:write` and have the role: the list of what a key can be given is closed.
    PeopleAndServerWriters,
    /// Only people: a key can never manage keys, members or policies.
    People,
    /// Only people whom an operator made instance admins, whatever their role in an organization.
    InstanceAdmins,
}

/// A permission as a type, for [`super::Grant`].
pub trait PermissionKind: Send + Sync + 'static {
    /// The permission's row in the table.
    const PERMISSION: Permission;
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $role:ident, $holder:ident;)+) => {
        /// A row of the permission table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Permission {
            $($(#[$doc])* $variant,)+
        }

        impl Permission {
            /// Every permission, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in JSON and in the store.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The weakest role that may use it.
            #[must_use]
            pub const fn role(self) -> Role {
                match self { $(Self::$variant => Role::$role),+ }
            }

            /// Who can hold it.
            #[must_use]
            pub const fn holder(self) -> Holder {
                match self { $(Self::$variant => Holder::$holder),+ }
            }
        }

        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub struct $variant;

            impl PermissionKind for $variant {
                const PERMISSION: Permission = Permission::$variant;
            }
        )+
    };
}

permissions! {
    /// Connect to servers through the gateway.
    McpConnect = "mcp:connect", Viewer, PeopleAndKeys;
    /// See the registered servers.
    ServersRead = "servers:read", Viewer, PeopleAndKeys;
    /// Register, change and archive servers.
    ServersWrite = "servers:write", Editor, PeopleAndKeys;
    /// Ask servers what they offer.
    ServersSync = "servers:sync", Admin, PeopleAndServerWriters;
    /// Approve changed tools of servers.
    ServersApprove = "servers:approve", Admin, People;
    /// See workflows.
    WorkflowsRead = "workflows:read", Viewer, PeopleAndKeys;
    /// Change workflows.
    WorkflowsWrite = "workflows:write", Editor, PeopleAndKeys;
    /// See runs.
    RunsRead = "runs:read", Viewer, PeopleAndKeys;
    /// Start runs.
    RunsDispatch = "runs:dispatch", Editor, PeopleAndKeys;
    /// See insights.
    InsightsRead = "insights:read", Viewer, PeopleAndKeys;
    /// Rename and archive topics.
    InsightsWrite = "insights:write", Editor, PeopleAndKeys;
    /// See the tenant's own connections.
    ConnectionsRead = "connections:read", Viewer, PeopleAndKeys;
    /// Make and end the tenant's own connections.
    ConnectionsWrite = "connections:write", Viewer, PeopleAndKeys;
    /// See projects.
    ProjectsRead = "projects:read", Viewer, PeopleAndKeys;
    /// Change projects.
    ProjectsWrite = "projects:write", Editor, PeopleAndKeys;
    /// See calls and errors per key and server.
    UsageRead = "usage:read", Viewer, PeopleAndKeys;
    /// Verify keys on behalf of a service, and ask for decisions.
    KeysVerify = "keys:verify", Viewer, PeopleAndKeys;
    /// See API keys: one's own, or everybody's for admins.
    ApiKeysRead = "api-keys:read", Viewer, People;
    /// Create, change and revoke one's own API keys.
    ApiKeysWrite = "api-keys:write", Viewer, People;
    /// See, change and revoke everybody's API keys.
    ApiKeysAdminister = "api-keys:administer", Admin, People;
    /// Read and export the organization's audit log.
    AuditRead = "audit:read", Admin, People;
    /// See and change access policies.
    AccessAdminister = "access:administer", Admin, People;
    /// See and change groups.
    GroupsAdminister = "groups:administer", Admin, People;
    /// See and revoke the API keys of every organization.
    InstanceKeys = "instance-keys:administer", Viewer, InstanceAdmins;
    /// See members and invitations.
    MembersRead = "members:read", Admin, People;
    /// Invite people, change their roles, disable and remove them.
    MembersAdminister = "members:administer", Admin, People;
    /// Leave the organization.
    MembersLeave = "members:leave", Viewer, People;
    /// Rename the organization and switch its features.
    OrganizationAdminister = "organization:administer", Admin, People;
    /// Hand the organization to another member.
    OrganizationTransfer = "organization:transfer", Owner, People;
    /// See one's own organizations, enter another one, create one.
    OrganizationsUse = "organizations:use", Viewer, People;
}

impl Permission {
    /// The permission with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|permission| permission.as_str() == name)
    }

    /// The feature that the organization must have for it.
    #[must_use]
    pub const fn feature(self) -> Option<Feature> {
        match self {
            Self::InsightsRead | Self::InsightsWrite => Some(Feature::McpAnalytics),
            _ => None,
        }
    }

    /// What a key must have been given to use it, if keys can.
    #[must_use]
    pub const fn of_keys(self) -> Option<Self> {
        match self.holder() {
            Holder::PeopleAndKeys => Some(self),
            Holder::PeopleAndServerWriters => Some(Self::ServersWrite),
            Holder::People | Holder::InstanceAdmins => None,
        }
    }

    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

const _: () = assert!(Permission::ALL.len() <= u64::BITS as usize, "every permission has a bit of its own");

/// A set of permissions, in eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PermissionSet(u64);

impl PermissionSet {
    /// All that a key of this role can hold: the preset `full`.
    #[must_use]
    pub fn full(role: Role) -> Self {
        Permission::ALL
            .iter()
            .copied()
            .filter(|permission| permission.holder() == Holder::PeopleAndKeys && permission.role() <= role)
            .collect()
    }

    /// All that a person of this role holds, and what of it is for instance admins if the person is one.
    #[must_use]
    pub fn of_person(role: Role) -> Self {
        Permission::ALL.iter().copied().filter(|permission| permission.role() <= role).collect()
    }

    /// Only connecting to servers: the preset `mcp_only`.
    #[must_use]
    pub fn mcp_only() -> Self {
        [Permission::McpConnect].into_iter().collect()
    }

    /// Whether the set has this permission.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Its members, in the table's order.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.contains(*permission))
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | permission.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_round_trip() {
        for permission in Permission::ALL {
            assert_eq!(Permission::named(permission.as_str()), Some(*permission));
        }
        assert_eq!(Permission::ALL.iter().copied().collect::<PermissionSet>().iter().count(), Permission::ALL.len());
    }

    #[test]
    fn a_key_never_holds_what_only_people_hold() {
        for role in Role::ALL {
            assert!(PermissionSet::full(role).iter().all(|permission| permission.holder() == Holder::PeopleAndKeys));
        }
    }

    #[test]
    fn a_key_uses_what_it_was_given_and_what_comes_with_it() {
        assert_eq!(Permission::ServersRead.of_keys(), Some(Permission::ServersRead));
        assert_eq!(Permission::ServersSync.of_keys(), Some(Permission::ServersWrite));
        assert_eq!(Permission::ServersApprove.of_keys(), None);
        assert!(!PermissionSet::full(Role::Owner).contains(Permission::ServersSync), "it cannot be given");
    }

    #[test]
    fn a_viewer_holds_no_write_on_the_organization() {
        let viewer = PermissionSet::full(Role::Viewer);
        assert!(viewer.contains(Permission::ServersRead) && !viewer.contains(Permission::ServersWrite));
        assert!(!viewer.contains(Permission::RunsDispatch));
    }
}
