//! What every store can answer besides its data.

/// A store could not answer. A fault says nothing about the caller and must never look like a refusal, but for
/// [`StoreFault::Overtaken`], which is one.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    /// The store cannot be reached, is too busy or ran out of time. Trying again later may work.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store answered something that must not be, such as a role that does not exist.
    #[error("the store holds something that cannot be: {0}")]
    Corrupt(String),
    /// A programming error, for example a query that the database does not take.
    #[error("the store refused a statement")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Whoever asked may no longer do it.
    #[error(transparent)]
    Overtaken(Overtaken),
}

/// Since the request began its person lost what it needs, and nothing was changed. The store reads the membership again
/// inside the change's own transaction and finds it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overtaken {
    /// They were removed or disabled.
    #[error("removed or disabled while the request was under way")]
    Gone,
    /// They have a lower role.
    #[error("your role was lowered while the request was under way")]
    Demoted,
}

/// What a write can end with besides success.
#[derive(Debug, thiserror::Error)]
pub enum WriteFault {
    /// Something with the same unique name is there already.
    #[error("{what} is already taken")]
    Taken {
        /// The field whose value is taken.
        what: &'static str,
    },
    /// The store could not answer.
    #[error(transparent)]
    Store(#[from] StoreFault),
}
