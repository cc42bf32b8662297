//! What handlers ask for in their signatures: a proven caller, a permission, a checked body, a page.

mod allowed;
mod body;
mod page;
mod patience;
mod project;

pub use allowed::{Allowed, Caller, OnTenant};
pub use body::{Asked, Body, read, read_start};
pub use page::{Paging, decode_cursor, encode_cursor};
pub use project::ProjectFilter;
