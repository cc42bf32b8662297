//! Secrets that a run has seen under a secret's name. A later step can be given one under another name, and a tool can say
//! one again: wherever it stands then, it is not kept.

use serde_json::Value;

use crate::redact;
use crate::workflow::Pointer;

/// What is shorter is no secret, and would make holes everywhere.
const SHORTEST: usize = 6;
/// Most of them. What is seen after that is not kept at all.
const MOST: usize = 1000;
const REPLACED: &str = "[redacted:name]";

/// The secrets that a run has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    // The longest first, so that none is found within another.
    texts: Vec<String>,
}

impl Seen {
    /// Notes what stands under names of secrets, in arguments or in an answer; what is new.
    pub fn note(&mut self, value: &Value) -> Vec<String> {
        let mut found = Vec::new();
        collect(value, false, &mut found);
        found.retain(|text| !self.texts.contains(text));
        self.add(found.clone());
        found
    }

    /// Adds what [`Seen::note`] gave.
    pub fn add(&mut self, texts: Vec<String>) {
        self.texts.extend(texts);
        self.texts.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        self.texts.dedup();
    }

    /// The value without secrets.
    #[must_use]
    pub fn redacted(&self, value: Value) -> Value {
        if self.texts.len() > MOST {
            return Value::String("[redacted:many]".to_owned());
        }
        self.without(redact::value(value))
    }

    /// A value that stands at this place, without secrets: the names on the way count.
    #[must_use]
    pub fn redacted_at(&self, at: &Pointer, value: Value) -> Value {
        let names: Vec<String> =
            at.as_str().split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect();
        let wrapped =
            names.iter().rev().fold(value, |inner, name| Value::Object([(name.clone(), inner)].into_iter().collect()));
        let mut redacted = self.redacted(wrapped);
        for _ in &names {
            redacted = match redacted {
                Value::Object(fields) => fields.into_iter().next().map_or(Value::Null, |(_, inner)| inner),
                // A name on the way was a secret's: all below it is gone.
                other => return other,
            };
        }
        redacted
    }

    /// A text without secrets.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        if self.texts.len() > MOST {
            return "[redacted:many]".to_owned();
        }
        self.masked(redact::text(text).into_owned())
    }

    fn without(&self, value: Value) -> Value {
        if self.texts.is_empty() {
            return value;
        }
        match value {
            Value::String(text) => Value::String(self.masked(text)),
            // Numbers are told by their digits.
            Value::Number(number) if self.texts.contains(&number.to_string()) => Value::String(REPLACED.to_owned()),
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.without(item)).collect()),
            Value::Object(fields) => {
                let field = |(name, inner)| (self.masked(name), self.without(inner));
                Value::Object(fields.into_iter().map(field).collect())
            }
            plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain,
        }
    }

    fn masked(&self, text: String) -> String {
        let mut out = text;
        for secret in &self.texts {
            if out.contains(secret.as_str()) {
                out = out.replace(secret.as_str(), REPLACED);
            }
        }
        out
    }
}

fn collect(value: &Value, secret: bool, found: &mut Vec<String>) {
    match value {
        Value::String(text) if secret && text.len() >= SHORTEST => found.push(text.clone()),
        Value::Number(number) if secret && number.to_string().len() >= SHORTEST => found.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, secret, found)),
        Value::Object(fields) => {
            fields.iter().for_each(|(name, inner)| collect(inner, secret || redact::is_secret(name, inner), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stood_under_a_secrets_name_is_found_wherever_it_stands_later() {
        let mut seen = Seen::default();
        let mut new = seen
            .note(&json!({"user": {"password": "hunter2-long", "pin": "123456"}, "credentials": {"id": 12_345_678}}));
        // Whether a map keeps the order of its fields is for whoever builds `serde_json` to say.
        new.sort();
        assert_eq!(new, ["12345678", "hunter2-long"]);
        assert!(seen.note(&json!({"token": "hunter2-long"})).is_empty(), "it is known");
        let later = json!({"q": "is hunter2-long good?", "hunter2-long": [12_345_678, "123456"]});
        assert_eq!(
            seen.redacted(later),
            json!({"q": "is [redacted:name] good?", "[redacted:name]": ["[redacted:name]", "123456"]})
        );
        assert_eq!(seen.text("hunter2-long"), "[redacted:name]");
    }

    #[test]
    fn what_is_short_is_not_taken_for_a_secret_everywhere() {
        let mut seen = Seen::default();
        assert!(seen.note(&json!({"password": "a", "token": true, "secret": null})).is_empty());
        assert_eq!(seen.redacted(json!("a cat")), json!("a cat"));
    }

    #[test]
    fn the_names_on_the_way_to_a_value_count() {
        let seen = Seen::default();
        let at = |path: &str, value| seen.redacted_at(&path.parse().expect("a pointer"), value);
        assert_eq!(at("/structuredContent/password", json!("x")), json!("[redacted:name]"));
        assert_eq!(at("/structuredContent/password/0", json!("x")), json!("[redacted:name]"));
        assert_eq!(at("/structuredContent/a~1b", json!({"c": 1})), json!({"c": 1}));
        assert_eq!(at("", json!({"secret": "x", "b": 2})), json!({"secret": "[redacted:name]", "b": 2}));
    }

    #[test]
    fn of_a_run_that_saw_too_many_nothing_is_kept() {
        let mut seen = Seen::default();
        let many: Vec<_> = (0..=MOST).map(|number| json!({"password": format!("secret-{number}")})).collect();
        seen.note(&json!(many));
        assert_eq!(seen.redacted(json!({"a": 1})), json!("[redacted:many]"));
    }
}
