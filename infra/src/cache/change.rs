//! What changes of what is remembered. Every adapter that changes a row which a cache may hold says so with one of these,
//! and nothing else makes a cache forget.

use domain::id::{OrganizationId, ServerId, TenantOrgId, TenantUserId, UserId};
use domain::key::KeyId;
use domain::tenant::TenantText;
use domain::text::Slug;

use super::connections::ConnectionKey;
use super::keys::TokenPlace;

/// One change. Applying it twice does what applying it once does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// These tokens are gone from the store, with their key or without.
    KeyEnded {
        /// The key.
        key: KeyId,
        /// Its tokens that are gone.
        tokens: Vec<TokenPlace>,
    },
    /// Something about a key changed.
    KeyChanged {
        /// The key.
        key: KeyId,
        /// Its tokens, with their ends as they are now.
        tokens: Vec<TokenPlace>,
    },
    /// Something that all keys of an organization carry changed.
    OrganizationChanged(OrganizationId),
    /// A person is no active member any more.
    MemberEnded {
        /// Of this organization.
        organization: OrganizationId,
        /// Who.
        person: UserId,
    },
    /// A policy or a group changed.
    AccessChanged(OrganizationId),
    /// An organization has a server more.
    ServerAdded(OrganizationId),
    /// A server changed, or was put away.
    ServerChanged {
        /// Whose it is.
        organization: OrganizationId,
        /// Its id.
        server: ServerId,
        /// Its name in addresses.
        slug: Slug,
    },
    /// A connection was made anew, renewed or ended.
    ConnectionChanged(ConnectionKey),
    /// A person left, and their connections with them.
    ConnectionsOf {
        /// Whose they were.
        person: UserId,
        /// In this organization.
        organization: OrganizationId,
    },
    /// A server was put away, and the connections to it with it.
    ConnectionsTo {
        /// The server.
        server: ServerId,
        /// Whose it is.
        organization: OrganizationId,
    },
    /// A tenant org was suspended or resumed.
    TenantOrgChanged {
        /// Of this organization.
        organization: OrganizationId,
        /// Its row.
        id: TenantOrgId,
        /// The caller's own id of it.
        org: TenantText,
        /// Which of the two.
        suspended: bool,
    },
    /// A tenant user was suspended or resumed.
    TenantUserChanged {
        /// Of this organization.
        organization: OrganizationId,
        /// Its row.
        id: TenantUserId,
        /// The tenant org that it is below.
        org: Option<TenantText>,
        /// The caller's own id of it.
        user: TenantText,
        /// Which of the two.
        suspended: bool,
    },
}

impl Change {
    /// What is left of it when nobody knows whether it took place: what is remembered is forgotten, and what the store
    /// says of later requests is enough.
    #[must_use]
    pub fn doubted(self) -> Self {
        match self {
            Self::TenantOrgChanged { organization, id, org, suspended: _ } => {
                Self::TenantOrgChanged { organization, id, org, suspended: false }
            }
            Self::TenantUserChanged { organization, id, org, user, suspended: _ } => {
                Self::TenantUserChanged { organization, id, org, user, suspended: false }
            }
            other @ (Self::KeyEnded { .. }
            | Self::KeyChanged { .. }
            | Self::OrganizationChanged(_)
            | Self::MemberEnded { .. }
            | Self::AccessChanged(_)
            | Self::ServerAdded(_)
            | Self::ServerChanged { .. }
            | Self::ConnectionChanged(_)
            | Self::ConnectionsOf { .. }
            | Self::ConnectionsTo { .. }) => other,
        }
    }
}
