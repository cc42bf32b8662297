//! The Model Context Protocol, as far as a gateway has to understand it: what kind of message goes by, what it asks for
//! and by which revision of the protocol. A message is read once, borrowed, and never built.

pub mod envelope;
pub mod era;
mod loose;
pub mod mirror;

pub use envelope::{Envelope, Kind, ReadFault};
pub use era::{Era, Revision};
pub(crate) use loose::Key;
