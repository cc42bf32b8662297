//! What people wanted, in their own words: the phrases of a topic that are said most often, of which it gets its name.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Most phrases that a topic keeps.
const EXAMPLES: usize = 8;
/// Longest phrase, in characters.
const LENGTH_MAX: usize = 200;
/// Longest name that is made of one, in characters.
const NAME_LENGTH: usize = 80;

/// A phrase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The intent, on one line, cut to its first 200 characters.
    pub text: String,
    /// The id under which the tenant's slices stand that said it; nil of none.
    #[serde(with = "as_text")]
    pub tenant: Uuid,
    /// The same of its tenant org as a whole.
    #[serde(with = "as_text")]
    pub org: Uuid,
    /// How often it was said, as far as it was kept all the while.
    pub count: u64,
}

mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use uuid::Uuid;

    pub fn serialize<S: Serializer>(id: &Uuid, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(&id.simple())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Uuid, D::Error> {
        String::deserialize(input)?.parse().map_err(D::Error::custom)
    }
}

/// The phrases of a topic. Which are kept is told by the counters of Misra and Gries: what is said by more than a ninth of
/// all calls is among them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Examples(Vec<Example>);

impl Examples {
    /// Counts an intent.
    pub fn count(&mut self, intent: &str, tenant: Uuid, org: Uuid) {
        let text = phrase(intent);
        let same = |example: &&mut Example| example.text == text && example.tenant == tenant;
        if let Some(known) = self.0.iter_mut().find(same) {
            known.count += 1;
        } else if self.0.len() < EXAMPLES {
            self.0.push(Example { text, tenant, org, count: 1 });
        } else {
            for example in &mut self.0 {
                example.count -= 1;
            }
            self.0.retain(|example| example.count > 0);
        }
    }

    /// The phrases, the most frequent first; with a tenant, or a tenant org as a whole, only its own.
    #[must_use]
    pub fn of(&self, tenant: Option<Uuid>) -> Vec<&str> {
        let mut own: Vec<&Example> = self
            .0
            .iter()
            .filter(|example| tenant.is_none_or(|tenant| example.tenant == tenant || example.org == tenant))
            .collect();
        own.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.text.cmp(&b.text)));
        own.dedup_by(|a, b| a.text == b.text);
        own.into_iter().map(|example| example.text.as_str()).collect()
    }

    /// The name that they make: the phrase that is said most often, whoever says it.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let count = |text: &str| -> u64 {
            self.0.iter().filter(|example| example.text == text).map(|example| example.count).sum()
        };
        let most =
            self.0.iter().max_by(|a, b| count(&a.text).cmp(&count(&b.text)).then_with(|| b.text.cmp(&a.text)))?;
        let cut: String = most.text.chars().take(NAME_LENGTH).collect();
        Some(if cut.len() < most.text.len() { format!("{}…", cut.trim_end()) } else { cut })
    }
}

fn phrase(intent: &str) -> String {
    let line = intent.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    line.collect::<Vec<_>>().join(" ").chars().take(LENGTH_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARINA: Uuid = Uuid::from_u128(1);
    const OTTO: Uuid = Uuid::from_u128(2);
    const GLOBEX: Uuid = Uuid::from_u128(3);

    #[test]
    fn the_name_is_the_phrase_that_is_said_most_often_whoever_says_it() {
        let mut examples = Examples::default();
        assert_eq!(examples.name(), None);
        for (text, tenant) in [("b", MARINA), ("b", MARINA), ("a", MARINA), ("a", OTTO), ("a", Uuid::nil())] {
            examples.count(text, tenant, GLOBEX);
        }
        assert_eq!(examples.name().as_deref(), Some("a"));
        assert_eq!(examples.of(None), ["b", "a"]);
        assert_eq!(examples.of(Some(OTTO)), ["a"], "others' words are not shown for a tenant");
        assert_eq!(examples.of(Some(GLOBEX)), ["b", "a"]);
    }

    #[test]
    fn a_frequent_phrase_is_kept_among_any_number_of_others() {
        let mut examples = Examples::default();
        for number in 0..1000 {
            examples.count(&format!("rare {number}"), MARINA, GLOBEX);
            if number % 4 == 0 {
                examples.count("often said", MARINA, GLOBEX);
            }
        }
        assert_eq!(examples.name().as_deref(), Some("often said"));
        assert!(examples.0.len() <= EXAMPLES);
    }

    #[test]
    fn a_phrase_is_one_short_line() {
        let mut examples = Examples::default();
        examples.count(&format!("a\n\tb\0c {}", "ä".repeat(500)), MARINA, GLOBEX);
        assert!(examples.of(None)[0].starts_with("a b c ä"));
        assert_eq!(examples.of(None)[0].chars().count(), LENGTH_MAX);
        assert_eq!(examples.name().expect("a name").chars().count(), NAME_LENGTH + 1);
    }
}
