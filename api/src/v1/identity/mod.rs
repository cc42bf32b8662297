//! Who is calling.

pub mod change_org;
pub mod create_organization;
pub mod me;
pub mod org;
pub mod organizations;
