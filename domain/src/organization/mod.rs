//! Organizations and the people in them: signing up, signing in, and the session that proves it.

pub mod change;
pub mod feature;
pub mod model;
pub mod passwords;
pub mod port;
pub mod service;
pub mod session;
pub mod throttle;
pub mod token;

pub use feature::{Feature, FeatureSet};
pub use model::{OrganizationRef, Password, UserRef};
pub use session::{AccessClaims, Session, SessionReader};
