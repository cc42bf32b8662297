//! What upstream servers offer: their tools, prompts and resources as they were when the server was last asked, how they
//! differ from what they were before, and which changed tools are held back until an admin has looked at them.
//!
//! What a server says of itself is taken for what it is, its own word: a grade tells admins where to look, and no
//! permission is ever decided by it.

pub mod approval;
mod canonical;
pub mod diff;
pub mod kept;
pub mod model;
pub mod port;
pub mod snapshot;

pub use approval::{Approvals, offered};
pub use diff::{Change, ChangeKind, Grade, diff};
pub use kept::{Kept, Offer, ToolLine};
pub use model::{Annotations, Capability, CapabilityKind};
pub use snapshot::{Fingerprint, NotAFingerprint, PartHash, Snapshot, Twice};
