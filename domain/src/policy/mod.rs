//! Access policies: who reaches which servers now. A key's list of servers narrows this and never widens it.

pub mod index;
pub mod model;
pub mod port;
pub mod service;

pub use index::{AccessIndex, Reach};
pub use model::{Group, Policy, PolicyResource, PolicySubject};
