//! Connections: one tenant's credential for one server. Private to the tenant, whoever else shares its organization.

pub mod credential;
pub mod holder;
pub mod model;
pub mod port;
pub mod renewal;
pub mod service;

pub use credential::{ClientAuth, Credential, OAuthGrant};
pub use holder::Holder;
pub use model::{Connection, ConnectionStatus, SharedConnection};
