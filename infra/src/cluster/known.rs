//! What a node tells the others of itself when it joins: its name, and which root secrets it knows. No node joins that makes
//! things which another cannot read, or the other way round.

use domain::root::{Overlap, RootPrints};
use domain::store::StoreFault;

/// A node, as it joins.
#[derive(Debug, Clone)]
pub struct Known {
    /// What its operator calls it.
    pub name: String,
    /// The root secrets that it knows.
    pub prints: RootPrints,
    /// Whether another root secret is to take the place of its own: then what it makes has to be moved one day.
    pub leaving: bool,
    /// Kept true to whether another node makes things under another root secret; none for a node that need not know.
    pub overlap: Option<Overlap>,
}

/// Why a node may not serve beside the others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It and another node cannot read what the other makes.
    #[error(
        "the node {0} and this one know different root secrets, and one could not read what the other makes; replace the \
         root secret in the three steps of docs/root-secret.md, each on all nodes before the next"
    )]
    Node(String),
    /// It does not know the database's own.
    #[error("the database was moved to a root secret that this node does not know")]
    Database,
}

/// Why a node did not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinFault {
    /// It may not.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreFault),
}
