//! `/workflows/{id}/proposals`: changes that whoever sees workflows proposes, and that an editor applies.

pub mod apply;
pub mod create;
mod difference;
pub mod get;
pub mod list;
pub mod reject;
mod shapes;

pub use create::NewProposal;
pub use shapes::{AppliedShape, ProposalShape, named};
