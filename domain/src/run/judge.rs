//! Whether an answer is what was expected.

use serde_json::{Number, Value, json};

use crate::workflow::{Expectation, Op, Pattern, Pointer};

/// Where an answer says that the tool failed.
const IS_ERROR: &str = "/isError";

/// An expectation with its verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Where.
    pub path: Pointer,
    /// How.
    pub op: Op,
    /// With what, after references were resolved.
    pub value: Value,
    /// Whether it holds.
    pub passed: bool,
    /// What stands there; none when nothing does.
    pub actual: Option<Value>,
}

/// Judges an answer as MCP has it: `{content, structuredContent, isError}`. An answer that says that the tool failed does
/// not pass, unless something is expected of that very place; then the last verdict says so.
#[must_use]
pub fn judge(expect: &[Expectation], answer: &Value) -> Vec<Judged> {
    let mut judged: Vec<Judged> = expect.iter().map(|expectation| judged(expectation, answer)).collect();
    let spoken_of = expect.iter().any(|expectation| expectation.path.as_str() == IS_ERROR);
    if !spoken_of
        && answer.get("isError") == Some(&Value::Bool(true))
        && let Ok(path) = IS_ERROR.parse()
    {
        judged.push(Judged { path, op: Op::NotEquals, value: json!(true), passed: false, actual: Some(json!(true)) });
    }
    judged
}

fn judged(Expectation { path, op, value }: &Expectation, answer: &Value) -> Judged {
    let found = path.find(answer);
    let passed = holds(*op, found, value);
    Judged { path: path.clone(), op: *op, value: value.clone(), passed, actual: found.cloned() }
}

fn holds(op: Op, found: Option<&Value>, expected: &Value) -> bool {
    let Some(found) = found else { return matches!(op, Op::NotEquals | Op::Absent) };
    match op {
        Op::Equals => same(found, expected),
        Op::NotEquals => !same(found, expected),
        Op::Contains => contains(found, expected),
        Op::Matches => match (found, expected) {
            (Value::String(text), Value::String(pattern)) => Pattern::new(pattern).is_ok_and(|it| it.is_in(text)),
            _ => false,
        },
        Op::Exists => true,
        Op::Absent => false,
        Op::Less => order(found, expected).is_some_and(std::cmp::Ordering::is_lt),
        Op::Greater => order(found, expected).is_some_and(std::cmp::Ordering::is_gt),
    }
}

fn contains(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
        (Value::Array(items), element) => items.iter().any(|item| same(item, element)),
        (Value::Object(fields), Value::String(name)) => fields.contains_key(name),
        _ => false,
    }
}

/// Whether two values are the same: numbers by value, fields in any order.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => compare(one, other).is_some_and(std::cmp::Ordering::is_eq),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| same(value, other)))
        }
        (one, other) => one == other,
    }
}

fn order(one: &Value, other: &Value) -> Option<std::cmp::Ordering> {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => compare(one, other),
        _ => None,
    }
}

/// Whole numbers exactly, whatever their size; others as floating point.
fn compare(one: &Number, other: &Number) -> Option<std::cmp::Ordering> {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expect(path: &str, op: Op, value: Value) -> Expectation {
        Expectation { path: path.parse().expect("a pointer"), op, value }
    }

    fn passes(answer: &Value, path: &str, op: Op, value: Value) -> bool {
        judge(&[expect(path, op, value)], answer).iter().all(|judged| judged.passed)
    }

    #[test]
    fn each_operator_holds_as_it_says() {
        let answer = json!({"structuredContent": {
            "total": 4, "price": 2.5, "name": "Ann of Arc", "tags": ["a", 1.0], "inner": {"x": null}, "big": u64::MAX,
        }});
        let at = |path: &str| format!("/structuredContent/{path}");
        for (path, op, value, holds) in [
            ("total", Op::Equals, json!(4.0), true),
            ("total", Op::Equals, json!("4"), false),
            ("inner", Op::Equals, json!({"x": null}), true),
            ("tags", Op::Equals, json!([1, "a"]), false),
            ("total", Op::NotEquals, json!(5), true),
            ("total", Op::NotEquals, json!(4), false),
            ("nothing", Op::NotEquals, json!(4), true),
            ("nothing", Op::Equals, json!(null), false),
            ("name", Op::Contains, json!("of"), true),
            ("name", Op::Contains, json!("OF"), false),
            ("tags", Op::Contains, json!(1), true),
            ("tags", Op::Contains, json!("b"), false),
            ("inner", Op::Contains, json!("x"), true),
            ("inner", Op::Contains, json!("y"), false),
            ("total", Op::Contains, json!(4), false),
            ("name", Op::Matches, json!("^Ann .* Arc$"), true),
            ("name", Op::Matches, json!("^ann"), false),
            ("name", Op::Matches, json!("("), false),
            ("total", Op::Matches, json!("4"), false),
            ("inner/x", Op::Exists, json!(null), true),
            ("inner/y", Op::Exists, json!(null), false),
            ("inner/x", Op::Absent, json!(null), false),
            ("inner/y", Op::Absent, json!(null), true),
            ("price", Op::Less, json!(3), true),
            ("price", Op::Less, json!(2.5), false),
            ("price", Op::Greater, json!(2), true),
            ("name", Op::Greater, json!("A"), false),
            ("nothing", Op::Less, json!(3), false),
            ("big", Op::Greater, json!(u64::MAX - 1), true),
        ] {
            assert_eq!(passes(&answer, &at(path), op, value.clone()), holds, "{path} {} {value}", op.as_str());
        }
    }

    #[test]
    fn an_answer_that_says_that_the_tool_failed_does_not_pass_unless_that_is_expected() {
        let failed = json!({"content": [], "isError": true});
        let judged = judge(&[], &failed);
        assert_eq!(judged.len(), 1);
        assert!(!judged[0].passed && judged[0].path.as_str() == "/isError");
        assert!(!passes(&failed, "/content", Op::Exists, json!(null)));
        assert!(passes(&failed, "/isError", Op::Equals, json!(true)));
        assert!(judge(&[], &json!({"content": [], "isError": false})).is_empty());
        assert!(judge(&[], &json!({"content": []})).is_empty());
    }

    #[test]
    fn what_stands_there_is_told() {
        let answer = json!({"structuredContent": {"total": 4}});
        let judged = judge(
            &[
                expect("/structuredContent/total", Op::Less, json!(4)),
                expect("/structuredContent/sum", Op::Equals, json!(null)),
            ],
            &answer,
        );
        assert_eq!(judged[0].actual, Some(json!(4)));
        assert_eq!(judged[1].actual, None, "nothing is another thing than null");
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1.0e9..1.0e9).prop_map(Value::from),
            "[a-c]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn equals_and_not_equals_are_opposites_and_every_value_equals_itself(one in values(), other in values()) {
            let answer = json!({"structuredContent": one});
            let at = "/structuredContent";
            prop_assert!(passes(&answer, at, Op::Equals, one.clone()));
            prop_assert_ne!(
                passes(&answer, at, Op::Equals, other.clone()),
                passes(&answer, at, Op::NotEquals, other)
            );
        }

        #[test]
        fn of_two_numbers_one_is_less_or_they_are_equal(one in any::<i64>(), other in any::<i64>()) {
            let answer = json!({"structuredContent": one});
            let holds = |op| passes(&answer, "/structuredContent", op, json!(other));
            let held = [Op::Less, Op::Equals, Op::Greater].into_iter().filter(|op| holds(*op)).count();
            prop_assert_eq!(held, 1);
        }
    }
}
