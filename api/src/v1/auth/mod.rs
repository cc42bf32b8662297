//! Signing up, in and out.

pub mod accept;
mod cookie;
pub mod login;
pub mod logout;
pub mod refresh;
mod shapes;
pub mod signup;
pub mod switch;

pub use shapes::MembershipShape;
pub use signup::NewOrganization;
