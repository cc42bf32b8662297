//! `/insights`: what is told from the organization's calls. Needs the feature `mcp_analytics`.

pub mod asked;
pub mod get_session;
pub mod get_topic;
pub mod list_sessions;
pub mod list_topics;
pub mod overview;
mod shapes;
mod topic_shapes;
pub mod update_topic;
