//! Topics: groups of similar intents.
//!
//! An intent belongs to the topic whose words are the most similar to its own, if at least half of the words of both are in
//! both; else it begins a topic. A topic's words are those of the intent that began it and never change, so that a topic
//! does not drift, and what an intent belongs to does not depend on what else was said since.

mod book;
pub mod change;
mod examples;
mod words;

use crate::id::TopicId;
use crate::text::Name;
use crate::time::Timestamp;

pub use book::{TOPICS_MAX, TopicBook, TopicChanges};
pub use examples::Examples;
pub use words::{WORDS_MAX, Words};

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its id, told from the organization and the words: the same intents make the same topics.
    pub id: TopicId,
    /// The words of the intent that began it.
    pub words: Words,
    /// What an editor calls it; none while it has the name that its phrases make.
    pub name: Option<Name>,
    /// Whether an editor marked it as something that people want and nothing offers.
    pub unmet_demand: bool,
    /// When it was put away.
    pub archived_at: Option<Timestamp>,
    /// When the first of its calls began.
    pub first_seen: Timestamp,
    /// When the last one did.
    pub last_seen: Timestamp,
    /// Its calls, of all times.
    pub calls: u64,
    /// What people said.
    pub examples: Examples,
}

impl Topic {
    /// What it is called.
    #[must_use]
    pub fn shown_name(&self) -> String {
        let made = || self.examples.name().unwrap_or_else(|| self.words.stored());
        self.name.as_ref().map_or_else(made, Name::to_string)
    }

    /// Whether an editor did something to it: it is then never given up for another.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.name.is_some() || self.unmet_demand || self.archived_at.is_some()
    }
}
