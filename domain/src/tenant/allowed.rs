//! The tenants that a key may speak for.

use super::params::TenantText;

/// Everything, or what is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowing<T> {
    /// `"*"`
    Any,
    /// These alone; an empty list allows none.
    Listed(Vec<T>),
}

/// A tenant org that a platform key may speak for, and which of its users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedOrg {
    /// The customer's id.
    pub id: TenantText,
    /// Its users.
    pub users: Allowing<TenantText>,
}

/// All tenants that a key may speak for, as its owner writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedTenants {
    /// A solo key's: the owner alone.
    Owner,
    /// A client key's: users of the key's organization.
    Users(Allowing<TenantText>),
    /// A platform key's: tenant orgs and their users.
    Orgs(Allowing<AllowedOrg>),
}

impl AllowedTenants {
    /// The part that every request of the key needs; the lists themselves stay in the store, however long they are.
    #[must_use]
    pub const fn rule(&self) -> TenantRule {
        match self {
            Self::Owner => TenantRule::Owner,
            Self::Users(allowing) => TenantRule::Users { any: matches!(allowing, Allowing::Any) },
            Self::Orgs(allowing) => TenantRule::Orgs { any: matches!(allowing, Allowing::Any) },
        }
    }
}

/// What kind of tenants a key allows, and whether that is all of them or what its list says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantRule {
    /// The owner alone.
    Owner,
    /// Users of the organization.
    Users {
        /// All of them, also those never seen.
        any: bool,
    },
    /// Tenant orgs and their users.
    Orgs {
        /// All of them, also those never seen.
        any: bool,
    },
}

impl TenantRule {
    /// Whether a tenant must stand on the key's list.
    #[must_use]
    pub const fn needs_list(self) -> bool {
        matches!(self, Self::Users { any: false } | Self::Orgs { any: false })
    }
}
