//! What is kept of a step for people to read: redacted first, then cut to size, and only then written.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::judge::Judged;
use super::seen::Seen;

/// Most of a result, and of the arguments, that is kept, in bytes of JSON.
pub const KEPT_MAX: usize = 64 * 1024;
/// Most of one expected or actual value, in bytes of JSON.
const VALUE_MAX: usize = 2048;
/// Most of an error's message, in characters.
const MESSAGE_MAX: usize = 500;
/// What is larger is not looked at, in bytes of JSON: redacting it would cost more than it tells.
const LOOKED_AT_MAX: usize = 4 * 1024 * 1024;

/// Why a step has no answer that could be judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepError {
    /// The code that a caller would have got.
    pub code: String,
    /// Why, for a person.
    pub message: String,
}

/// An expectation as it was judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgedEvidence {
    /// Where.
    pub path: String,
    /// How.
    pub op: String,
    /// With what, after references were resolved.
    pub value: Value,
    /// Whether it holds.
    pub passed: bool,
    /// What stands there; null also when nothing does.
    pub actual: Option<Value>,
}

/// What is kept of a step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// What the tool was given, after references were resolved.
    pub arguments: Option<Value>,
    /// What it answered.
    pub result: Option<Value>,
    /// How long the answer was, in bytes of JSON.
    pub result_bytes: u64,
    /// Whether parts of arguments, result or values were left out for their size.
    pub cut: bool,
    /// The expectations with their verdicts.
    pub expectations: Vec<JudgedEvidence>,
    /// Why there is no answer.
    pub error: Option<StepError>,
}

impl Evidence {
    /// Of a step that is about to be called.
    #[must_use]
    pub fn of_arguments(arguments: &Map<String, Value>, seen: &Seen) -> Self {
        let mut evidence = Self::default();
        evidence.arguments =
            Some(evidence.kept(Value::Object(arguments.clone()), KEPT_MAX, |value| seen.redacted(value)));
        evidence
    }

    /// With what the tool answered, and how it was judged.
    #[must_use]
    pub fn answered(mut self, answer: &Value, judged: &[Judged], seen: &Seen) -> Self {
        let length = length(answer);
        self.result_bytes = length as u64;
        self.result = Some(if length > LOOKED_AT_MAX {
            self.cut = true;
            Value::String(format!("({length} bytes, which is too much to be kept)"))
        } else {
            self.kept(answer.clone(), KEPT_MAX, |value| seen.redacted(value))
        });
        self.expectations = judged.iter().map(|judged| self.judged(judged, seen)).collect();
        self
    }

    /// With the reason why there is no answer.
    #[must_use]
    pub fn failed(mut self, code: &str, message: &str, seen: &Seen) -> Self {
        let message = seen.text(message).chars().take(MESSAGE_MAX).collect();
        self.error = Some(StepError { code: code.to_owned(), message });
        self
    }

    fn judged(&mut self, judged: &Judged, seen: &Seen) -> JudgedEvidence {
        let mut value = |value: &Value| {
            if length(value) > LOOKED_AT_MAX {
                self.cut = true;
                return Value::String("(too much to be kept)".to_owned());
            }
            self.kept(value.clone(), VALUE_MAX, |value| seen.redacted_at(&judged.path, value))
        };
        JudgedEvidence {
            path: seen.text(judged.path.as_str()),
            op: judged.op.as_str().to_owned(),
            value: value(&judged.value),
            passed: judged.passed,
            actual: judged.actual.as_ref().map(value),
        }
    }

    fn kept(&mut self, value: Value, max: usize, redacted: impl FnOnce(Value) -> Value) -> Value {
        let (value, cut) = bounded(redacted(value), max);
        self.cut |= cut;
        value
    }
}

fn length(value: &Value) -> usize {
    serde_json::to_vec(value).map_or(0, |text| text.len())
}

/// The value, made shorter where it is longer than `max` bytes of JSON; whether it was.
fn bounded(value: Value, max: usize) -> (Value, bool) {
    if length(&value) <= max {
        return (value, false);
    }
    for (text, items) in [(max / 8, 200), (max / 32, 50), (64, 10)] {
        let shorter = shortened(&value, text, items);
        if length(&shorter) <= max {
            return (shorter, true);
        }
    }
    (Value::String(start(&value.to_string(), max / 2)), true)
}

fn shortened(value: &Value, text: usize, items: usize) -> Value {
    match value {
        Value::String(it) => Value::String(start(it, text)),
        Value::Array(all) => {
            let mut some: Vec<Value> = all.iter().take(items).map(|item| shortened(item, text, items)).collect();
            if all.len() > items {
                some.push(Value::String(format!("… ({} more)", all.len() - items)));
            }
            Value::Array(some)
        }
        Value::Object(all) => {
            let short = |(name, value): (&String, &Value)| (start(name, text), shortened(value, text, items));
            let mut some: Map<String, Value> = all.iter().take(items).map(short).collect();
            if all.len() > items {
                some.insert("…".to_owned(), Value::String(format!("({} more)", all.len() - items)));
            }
            Value::Object(some)
        }
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain.clone(),
    }
}

fn start(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(max);
    format!("{}… ({} more bytes)", &text[..end], text.len() - end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::run::judge::judge;
    use crate::workflow::{Expectation, Op};

    fn arguments(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(fields) => fields,
            other => panic!("{other} is no object"),
        }
    }

    #[test]
    fn secrets_are_told_by_name_and_shape_in_all_parts() {
        let seen = Seen::default();
        let answer = json!({
            "content": [{"type": "text", "text": "PASSWORD=hunter2-hunter2"}],
            "structuredContent": {"user": {"password": "hunter2-hunter2"}, "note": "Bearer abcdefghijklmnopqrstuvwxyz012345"},
        });
        let path = |path: &str| path.parse().expect("a pointer");
        let expect = [
            Expectation { path: path("/structuredContent/user/password"), op: Op::Equals, value: json!("another-one") },
            Expectation { path: path("/structuredContent/user"), op: Op::Exists, value: json!(null) },
        ];
        let evidence = Evidence::of_arguments(&arguments(json!({"apiKey": "sesame-open"})), &seen)
            .answered(&answer, &judge(&expect, &answer), &seen)
            .failed("upstream_error", "it said: secret=hunter2-hunter2", &seen);
        let text = serde_json::to_string(&evidence).expect("JSON");
        for secret in ["hunter2", "sesame", "abcdefghijkl", "another-one"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert!(text.contains("[redacted:name]"));
    }

    #[test]
    fn what_is_long_is_cut_and_says_so() {
        let seen = Seen::default();
        let long = json!({"content": [{"type": "text", "text": "x ".repeat(100_000)}], "structuredContent": {"n": 1}});
        let evidence = Evidence::default().answered(&long, &[], &seen);
        assert!(evidence.cut && evidence.result_bytes > 200_000);
        let result = evidence.result.expect("a result");
        assert!(length(&result) <= KEPT_MAX);
        assert_eq!(result["structuredContent"]["n"], 1, "what is short stays as it is");
        assert!(result["content"][0]["text"].as_str().is_some_and(|text| text.ends_with("more bytes)")));
        let short = Evidence::default().answered(&json!({"content": []}), &[], &seen);
        assert!(!short.cut);
    }

    #[test]
    fn what_is_huge_is_not_looked_at() {
        let huge = json!({"content": "y".repeat(LOOKED_AT_MAX)});
        let evidence = Evidence::default().answered(&huge, &[], &Seen::default());
        assert!(evidence.cut && length(&evidence.result.expect("a note")) < 100);
    }

    proptest! {
        #[test]
        fn nothing_that_is_kept_is_longer_than_it_may_be(
            texts in prop::collection::vec("\\PC{0,80}", 0..60),
            times in 1_usize..40,
        ) {
            let value = json!({"a": vec![texts.clone(); times], "b": texts});
            for max in [256, 4096] {
                let (kept, cut) = bounded(value.clone(), max);
                // A text of which every character is escaped takes twice as much.
                prop_assert!(length(&kept) <= max * 2);
                prop_assert_eq!(cut, length(&value) > max);
            }
        }
    }
}
