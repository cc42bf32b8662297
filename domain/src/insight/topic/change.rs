//! Changing a topic: what editors do.

use super::Topic;
use crate::audit::{AuditEvent, AuditTarget};
use crate::text::Name;

/// What shall be different; none stays as it is.
#[derive(Debug, Clone, Default)]
pub struct TopicChange {
    /// The name; none inside for the one that its phrases make.
    pub name: Option<Option<Name>>,
    /// Whether it is something that people want and nothing offers.
    pub unmet_demand: Option<bool>,
    /// Put away, or brought back.
    pub archived: Option<bool>,
}

impl TopicChange {
    /// The topic with the change, and what the log says of it: nothing when nothing is different.
    #[must_use]
    pub fn apply(self, before: &Topic, event: &AuditEvent) -> (Topic, Vec<AuditEvent>) {
        let mut after = before.clone();
        if let Some(name) = self.name {
            after.name = name;
        }
        if let Some(unmet_demand) = self.unmet_demand {
            after.unmet_demand = unmet_demand;
        }
        if let Some(archived) = self.archived {
            after.archived_at = if archived { before.archived_at.or(Some(event.at)) } else { None };
        }
        let updated = after.name != before.name || after.unmet_demand != before.unmet_demand;
        let archiving = match (before.archived_at.is_some(), after.archived_at.is_some()) {
            (false, true) => Some("topic.archive"),
            (true, false) => Some("topic.restore"),
            (false, false) | (true, true) => None,
        };
        let actions = updated.then_some("topic.update").into_iter().chain(archiving);
        let target = AuditTarget::Topic(before.id);
        let events = actions.map(|action| event.one_of_many(action, target)).collect();
        (after, events)
    }
}
