//! Inviting people into an organization by a link that works once.

pub mod port;
pub mod service;

pub use port::{InvitationRecord, InvitationStore};
pub use service::{Accepted, InvitationFault, InvitationService};
