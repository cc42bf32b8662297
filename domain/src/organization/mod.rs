//! Organizations and the people in them: signing up, signing in, and the session that proves it.

pub mod model;
pub mod port;
pub mod service;
pub mod session;

pub use model::{OrganizationRef, Password, UserRef};
pub use session::{AccessClaims, Session, SessionReader};
