//! `/projects`: named parts of an organization, which narrow what is seen and never widen it.

pub mod create;
pub mod get;
pub mod list;
mod shapes;
pub mod update;
