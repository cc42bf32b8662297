//! The members of an organization: their roles, disabling and removing them, and handing the organization over.

pub mod port;
pub mod service;

pub use port::{MemberChange, MemberFilter, MemberPosition, MemberRecord, MemberStore};
pub use service::{MemberFault, MemberService};
