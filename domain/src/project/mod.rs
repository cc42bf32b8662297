//! Projects: named parts of an organization. A project narrows what a request sees, and never widens it.

pub mod change;
pub mod model;
pub mod port;
pub mod service;

pub use model::{Narrowing, Project, ProjectServer};
