//! Changes of workflows that somebody proposes and an editor applies: whoever may see workflows may say what should be
//! different, and nothing is until somebody who may change it agrees.

pub mod model;
pub mod port;
pub mod service;
mod stored;

pub use model::{PROPOSAL_LIFETIME, PROPOSALS_OPEN_MAX, Proposal, ProposalState};
pub use stored::{change_from_json, change_to_json};
