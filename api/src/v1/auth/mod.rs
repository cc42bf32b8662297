//! Signing up, in and out.

mod cookie;
pub mod login;
pub mod logout;
pub mod refresh;
mod shapes;
pub mod signup;
