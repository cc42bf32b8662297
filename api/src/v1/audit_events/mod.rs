//! The audit log: reading and exporting it.

pub mod export;
pub mod lines;
pub mod list;
pub mod shapes;
