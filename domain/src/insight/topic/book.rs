//! Putting intents into topics, one after the other.

use std::collections::{BTreeSet, HashMap};

use smol_str::SmolStr;
use uuid::Uuid;

use super::{Examples, Topic, Words};
use crate::id::{OrganizationId, TopicId};
use crate::insight::derived;
use crate::insight::intake::IntakeCall;
use crate::insight::subject::tenant_scope;

/// Most topics of an organization. When another one begins, the one with the fewest calls goes that no editor touched.
pub const TOPICS_MAX: usize = 1000;

/// The topics of an organization while intents are put into them.
#[derive(Debug)]
pub struct TopicBook {
    organization: OrganizationId,
    topics: HashMap<TopicId, Topic>,
    // Which topics have a word.
    by_word: HashMap<SmolStr, BTreeSet<TopicId>>,
    // What was found for these words before; emptied when a topic comes or goes.
    found: HashMap<Words, TopicId>,
    stored: BTreeSet<TopicId>,
    changed: BTreeSet<TopicId>,
    most: usize,
}

/// What became of the topics.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TopicChanges {
    /// Those that are new or have more calls.
    pub changed: Vec<Topic>,
    /// Those that went.
    pub gone: Vec<TopicId>,
}

impl TopicBook {
    /// The topics that there are.
    #[must_use]
    pub fn of(organization: OrganizationId, topics: Vec<Topic>) -> Self {
        Self::bounded(organization, topics, TOPICS_MAX)
    }

    fn bounded(organization: OrganizationId, topics: Vec<Topic>, most: usize) -> Self {
        let mut book = Self {
            organization,
            topics: HashMap::new(),
            by_word: HashMap::new(),
            found: HashMap::new(),
            stored: topics.iter().map(|topic| topic.id).collect(),
            changed: BTreeSet::new(),
            most,
        };
        for topic in topics {
            book.insert(topic);
        }
        book
    }

    /// Puts a call into its topic, which may begin with it. Calls come in the order of their beginnings and requests. None
    /// for a call without an intent, or whose intent says nothing.
    pub fn add(&mut self, call: &IntakeCall) -> Option<TopicId> {
        let intent = call.intent.as_deref()?;
        let words = Words::of(intent);
        if words.is_empty() {
            return None;
        }
        let id = match self.find(&words) {
            Some(id) => id,
            None => self.begin(words, call)?,
        };
        let topic = self.topics.get_mut(&id)?;
        topic.calls += 1;
        topic.first_seen = topic.first_seen.min(call.at);
        topic.last_seen = topic.last_seen.max(call.at);
        let tenant = call.tenant.as_ref();
        let org = tenant.and_then(super::super::subject::TenantName::whole_org);
        let id_of = |tenant| tenant_scope(tenant);
        topic.examples.count(intent, tenant.map_or(Uuid::nil(), id_of), org.as_ref().map_or(Uuid::nil(), id_of));
        self.changed.insert(id);
        Some(id)
    }

    /// Whether a topic is there still.
    #[must_use]
    pub fn has(&self, id: TopicId) -> bool {
        self.topics.contains_key(&id)
    }

    /// What became of the topics.
    #[must_use]
    pub fn changes(mut self) -> TopicChanges {
        let gone = self.stored.iter().filter(|id| !self.topics.contains_key(id)).copied().collect();
        TopicChanges { changed: self.changed.iter().filter_map(|id| self.topics.remove(id)).collect(), gone }
    }

    /// The most similar topic that is similar enough; of several the one that is there for longest.
    fn find(&mut self, words: &Words) -> Option<TopicId> {
        if let Some(found) = self.found.get(words) {
            return Some(*found);
        }
        let mut shared: HashMap<TopicId, usize> = HashMap::new();
        for topic in words.iter().filter_map(|word| self.by_word.get(word)).flatten() {
            *shared.entry(*topic).or_default() += 1;
        }
        let mut best: Option<(usize, usize, &Topic)> = None;
        for (id, shared) in shared {
            let topic = &self.topics[&id];
            let union = words.len() + topic.words.len() - shared;
            if 2 * shared < union {
                continue;
            }
            let better = best.is_none_or(|(best_shared, best_union, best_topic)| {
                // As fractions, without rounding.
                let order = (shared * best_union).cmp(&(best_shared * union));
                let older = || (best_topic.first_seen, best_topic.id).cmp(&(topic.first_seen, topic.id));
                order.then_with(older).is_gt()
            });
            if better {
                best = Some((shared, union, topic));
            }
        }
        let found = best.map(|(_, _, topic)| topic.id)?;
        self.found.insert(words.clone(), found);
        Some(found)
    }

    fn begin(&mut self, words: Words, call: &IntakeCall) -> Option<TopicId> {
        if self.topics.len() >= self.most {
            let least = self.topics.values().filter(|topic| !topic.is_kept());
            let least = least.min_by_key(|topic| (topic.calls, topic.last_seen, topic.id))?.id;
            self.remove(least);
        }
        let (organization, stored) = (self.organization.as_uuid(), words.stored());
        let parts = [organization.as_bytes().as_slice(), stored.as_bytes()];
        let id = TopicId::from_uuid(derived("keyrack insights topic v1", &parts));
        self.insert(Topic {
            id,
            words,
            name: None,
            unmet_demand: false,
            archived_at: None,
            first_seen: call.at,
            last_seen: call.at,
            calls: 0,
            examples: Examples::default(),
        });
        Some(id)
    }

    fn insert(&mut self, topic: Topic) {
        for word in topic.words.iter() {
            self.by_word.entry(word.clone()).or_default().insert(topic.id);
        }
        self.found.clear();
        self.topics.insert(topic.id, topic);
    }

    fn remove(&mut self, id: TopicId) {
        let Some(topic) = self.topics.remove(&id) else { return };
        for word in topic.words.iter() {
            if let Some(having) = self.by_word.get_mut(word) {
                having.remove(&id);
            }
        }
        self.changed.remove(&id);
        self.found.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::id::ServerId;
    use crate::key::KeyId;
    use crate::time::Timestamp;

    fn call(number: i64, intent: &str) -> IntakeCall {
        IntakeCall {
            at: Timestamp::from_micros(number),
            request_id: Uuid::from_u128(u128::from(number.unsigned_abs())),
            key: KeyId::from_token_part("0123456789abcdef").expect("an id"),
            server: ServerId::from_uuid(Uuid::from_u128(1)),
            tool: None,
            tenant: None,
            session: None,
            failed: false,
            frustrated: false,
            latency: 1,
            intent: Some(intent.to_owned()),
        }
    }

    fn organization() -> OrganizationId {
        OrganizationId::from_uuid(Uuid::from_u128(9))
    }

    fn grouped(intents: &[&str], most: usize) -> Vec<Topic> {
        let mut book = TopicBook::bounded(organization(), vec![], most);
        for (number, intent) in intents.iter().enumerate() {
            book.add(&call(i64::try_from(number).expect("few"), intent));
        }
        let mut topics = book.changes().changed;
        topics.sort_by_key(|topic| topic.first_seen);
        topics
    }

    fn names(topics: &[Topic]) -> Vec<(String, u64)> {
        topics.iter().map(|topic| (topic.shown_name(), topic.calls)).collect()
    }

    #[test]
    fn similar_intents_are_one_topic_and_others_are_not() {
        let topics = grouped(
            &[
                "find the unpaid invoices of a customer",
                "book a room for Monday",
                "Find all unpaid invoices",
                "find unpaid invoice 4711",
                "Book a meeting room",
                "what is the weather",
            ],
            TOPICS_MAX,
        );
        let expected = [
            ("Find all unpaid invoices".to_owned(), 3),
            ("Book a meeting room".to_owned(), 2),
            ("what is the weather".to_owned(), 1),
        ];
        assert_eq!(names(&topics), expected);
    }

    #[test]
    fn the_most_similar_topic_is_taken_and_among_equals_the_older_one() {
        let topics = grouped(&["export report", "export report sales", "sales report"], TOPICS_MAX);
        assert_eq!(topics.iter().map(|topic| topic.calls).collect::<Vec<_>>(), [2, 1], "a topic's words stay its own");
        let topics = grouped(&["alpha beta", "gamma delta", "beta gamma alpha delta", "alpha beta"], TOPICS_MAX);
        assert_eq!(topics.iter().map(|topic| topic.calls).collect::<Vec<_>>(), [3, 1], "{:?}", names(&topics));
    }

    #[test]
    fn what_says_nothing_belongs_to_no_topic() {
        let mut book = TopicBook::of(organization(), vec![]);
        assert_eq!(book.add(&call(1, "please help me with 42")), None);
        assert_eq!(book.add(&IntakeCall { intent: None, ..call(1, "") }), None);
        assert_eq!(book.changes(), TopicChanges::default());
    }

    #[test]
    fn the_number_of_topics_is_bounded_and_what_editors_touched_stays() {
        let mut first = grouped(&["alpha"], 2).remove(0);
        first.unmet_demand = true;
        let mut book = TopicBook::bounded(organization(), vec![first.clone()], 2);
        for (number, intent) in ["beta", "beta", "gamma", "delta"].iter().enumerate() {
            book.add(&call(10 + i64::try_from(number).expect("few"), intent));
        }
        let changes = book.changes();
        // Beta went with more calls than alpha, which is marked; then gamma went.
        assert_eq!(changes.gone, []);
        assert_eq!(changes.changed.iter().map(Topic::shown_name).collect::<Vec<_>>(), ["delta"]);
        let mut book = TopicBook::bounded(organization(), vec![first], 1);
        assert_eq!(book.add(&call(20, "epsilon")), None, "there is no room, and none is made");
    }

    proptest! {
        #[test]
        fn the_same_intents_make_the_same_topics_however_they_are_batched(
            words in proptest::collection::vec((0_usize..6, 0_usize..6, 0_usize..6), 1..60),
            size in 1_usize..20,
        ) {
            const VOCABULARY: [&str; 6] = ["invoice", "room", "weather", "report", "ticket", "deploy"];
            let intents: Vec<String> = words
                .iter()
                .map(|(a, b, c)| format!("{} {} {}", VOCABULARY[*a], VOCABULARY[*b], VOCABULARY[*c]))
                .collect();
            let texts: Vec<&str> = intents.iter().map(String::as_str).collect();
            let mut at_once = grouped(&texts, TOPICS_MAX);
            at_once.sort_by_key(|topic| topic.id);
            let mut known: Vec<Topic> = Vec::new();
            let numbered: Vec<(usize, &str)> = texts.into_iter().enumerate().collect();
            for batch in numbered.chunks(size) {
                let mut book = TopicBook::of(organization(), known.clone());
                for (number, intent) in batch {
                    book.add(&call(i64::try_from(*number).expect("few"), intent));
                }
                for changed in book.changes().changed {
                    known.retain(|topic| topic.id != changed.id);
                    known.push(changed);
                }
            }
            known.sort_by_key(|topic| topic.id);
            prop_assert_eq!(known, at_once);
        }
    }
}
