//! Who is calling.

pub mod me;
pub mod org;
