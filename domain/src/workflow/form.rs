//! What can be said of steps without looking at anything else: sizes, names, references, expectations.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use super::draft::{ExpectationDraft, StepDraft};
use super::expectation::{Expectation, Op};
use super::pattern::Pattern;
use super::reference::{Part, References};
use super::step::{RETRIES_MAX, STEP_TIMEOUT_MAX, StepName};
use crate::field::FieldErrors;
use crate::server::port::ServerName;

/// Most steps of a workflow.
pub const STEPS_MAX: usize = 100;
/// Most expectations of a step.
pub const EXPECTATIONS_MAX: usize = 50;
/// How large a step's arguments, and each expected value, may be: bytes of JSON.
pub const ARGUMENTS_MAX: usize = 64 * 1024;
/// How large all of a workflow's arguments and expected values may be: bytes of JSON.
pub const DEFINITION_MAX: usize = 256 * 1024;
/// How deep lists and objects may stand in one another.
pub const DEPTH_MAX: usize = 64;
/// Longest name of a tool, in characters.
pub const TOOL_MAX: usize = 256;
/// How long a run may be told to take.
pub const RUN_TIMEOUT_MAX: Duration = Duration::from_hours(24);

/// A step whose form is good, as far as it could be read. Its server is not known yet.
#[derive(Debug)]
pub struct Formed {
    /// As it was sent.
    pub draft: StepDraft,
    /// Its name, if it is one.
    pub name: Option<StepName>,
    /// The tool, if it can be one's name.
    pub tool: Option<String>,
    /// The server, if it can be one's name.
    pub server: Option<ServerName>,
    /// What is expected.
    pub expect: Vec<Expectation>,
}

/// Reads steps, and notes everything that is wrong.
pub fn read(drafts: Vec<StepDraft>, errors: &mut FieldErrors) -> Vec<Formed> {
    if drafts.is_empty() || drafts.len() > STEPS_MAX {
        errors.add("steps", format!("must be 1 to {STEPS_MAX}"));
        return vec![];
    }
    let mut places: HashMap<String, usize> = HashMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        if let Some(first) = places.get(&draft.name) {
            errors.add(format!("steps[{index}].name"), format!("is also the name of steps[{first}]"));
        } else {
            places.insert(draft.name.clone(), index);
        }
    }
    let mut total = 0;
    let formed = drafts.into_iter().enumerate().map(|(index, draft)| {
        let (formed, size) = step(index, draft, &places, errors);
        total += size;
        formed
    });
    let formed = formed.collect();
    if total > DEFINITION_MAX {
        errors.add(
            "steps",
            format!("arguments and expected values must be at most {DEFINITION_MAX} bytes of JSON in all"),
        );
    }
    formed
}

/// Reads one step; also how large it is.
fn step(index: usize, draft: StepDraft, places: &HashMap<String, usize>, errors: &mut FieldErrors) -> (Formed, usize) {
    let at = format!("steps[{index}]");
    let name = errors.take(&format!("{at}.name"), draft.name.parse::<StepName>());
    let server = ServerName::parse(&draft.server);
    if server.is_none() {
        errors.add(format!("{at}.server"), "must be a server's id or slug");
    }
    let length = draft.tool.chars().count();
    let good = (1..=TOOL_MAX).contains(&length) && !draft.tool.chars().any(char::is_control);
    if !good {
        errors.add(format!("{at}.tool"), format!("must be a tool's name of 1 to {TOOL_MAX} characters"));
    }
    let tool = good.then(|| draft.tool.clone());
    if draft.retries > u32::from(RETRIES_MAX) {
        errors.add(format!("{at}.retries"), format!("must be at most {RETRIES_MAX}"));
    } else if draft.retries > 0 && !draft.safe {
        errors
            .add(format!("{at}.retries"), "needs `\"safe\": true`: only a step that does no harm when called again is");
    }
    let longest = STEP_TIMEOUT_MAX.as_secs();
    if draft.timeout_seconds.is_some_and(|seconds| seconds == 0 || u64::from(seconds) > longest) {
        errors.add(format!("{at}.timeoutSeconds"), format!("must be 1 to {longest}"));
    }
    let referring = Referring { step: index, places };
    let arguments = Value::Object(draft.arguments.clone());
    let mut size = sized(&format!("{at}.arguments"), &arguments, errors);
    referring.look(&format!("{at}.arguments"), &arguments, 0, errors);
    if draft.expect.len() > EXPECTATIONS_MAX {
        errors.add(format!("{at}.expect"), format!("must be at most {EXPECTATIONS_MAX}"));
    }
    let mut expect = Vec::with_capacity(draft.expect.len().min(EXPECTATIONS_MAX));
    for (number, sent) in draft.expect.iter().take(EXPECTATIONS_MAX).enumerate() {
        let at = format!("{at}.expect[{number}]");
        size += sized(&format!("{at}.value"), sent.value.as_ref().unwrap_or(&Value::Null), errors);
        expect.extend(expectation(&at, sent, &referring, errors));
    }
    (Formed { draft, name, tool, server, expect }, size)
}

/// How large a value is as JSON; one that is too large is noted.
fn sized(at: &str, value: &Value, errors: &mut FieldErrors) -> usize {
    let size = serde_json::to_string(value).map_or(usize::MAX, |text| text.len());
    if size > ARGUMENTS_MAX {
        errors.add(at, format!("must be at most {ARGUMENTS_MAX} bytes of JSON"));
    }
    size
}

fn expectation(
    at: &str,
    sent: &ExpectationDraft,
    referring: &Referring<'_>,
    errors: &mut FieldErrors,
) -> Option<Expectation> {
    let path = errors.take(&format!("{at}.path"), sent.path.parse());
    let Some(op) = Op::named(&sent.op) else {
        let names = Op::ALL.map(Op::as_str).join(", ");
        errors.add(format!("{at}.op"), format!("must be one of {names}"));
        return None;
    };
    let field = format!("{at}.value");
    let before = errors.0.len();
    match (&sent.value, op) {
        (None | Some(Value::Null), Op::Exists | Op::Absent) | (Some(Value::Number(_)), Op::Less | Op::Greater) => {}
        (Some(_), Op::Exists | Op::Absent) => {
            errors.add(&field, format!("must be left out: {} takes none", op.as_str()));
        }
        (None, _) => errors.add(&field, format!("is required: {} compares with it", op.as_str())),
        (Some(value), Op::Equals | Op::NotEquals | Op::Contains) => referring.look(&field, value, 0, errors),
        (Some(Value::String(text)), Op::Matches) => {
            // A reference would make a pattern of what a server answered.
            drop(errors.take(&field, Pattern::new(text)));
        }
        (Some(_), Op::Matches) => errors.add(&field, "must be a regular expression, as text"),
        (Some(value @ Value::String(text)), Op::Less | Op::Greater) if is_reference(text) => {
            referring.look(&field, value, 0, errors);
        }
        (Some(_), Op::Less | Op::Greater) => {
            errors.add(&field, "must be a number, or a reference to one: {{steps.NAME.result/POINTER}}");
        }
    }
    let value = sent.value.clone().unwrap_or_default();
    (errors.0.len() == before).then_some(()).and(path).map(|path| Expectation { path, op, value })
}

/// Whether a text is one reference and nothing else, and so becomes the value that it refers to.
#[must_use]
pub fn is_reference(text: &str) -> bool {
    let mut parts = References::of(text);
    matches!((parts.next(), parts.next()), (Some(Ok(Part::Reference(_))), None))
}

/// Looks at the references of one step.
struct Referring<'a> {
    step: usize,
    /// The steps by name: each by the first that has it.
    places: &'a HashMap<String, usize>,
}

impl Referring<'_> {
    fn look(&self, at: &str, value: &Value, depth: usize, errors: &mut FieldErrors) {
        if depth > DEPTH_MAX {
            errors.add(at, format!("lists and objects stand in one another more than {DEPTH_MAX} times"));
            return;
        }
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => self.look_at_text(at, text, errors),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.look(&format!("{at}[{index}]"), item, depth + 1, errors);
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    if name.contains("{{") {
                        errors.add(format!("{at}.{}", shown(name)), "references stand in values, and not in names");
                    }
                    self.look(&format!("{at}.{}", shown(name)), value, depth + 1, errors);
                }
            }
        }
    }

    fn look_at_text(&self, at: &str, text: &str, errors: &mut FieldErrors) {
        for part in References::of(text) {
            let reference = match part {
                Ok(Part::Text(_)) => continue,
                Ok(Part::Reference(reference)) => reference,
                Err(invalid) => {
                    errors.add(at, invalid);
                    continue;
                }
            };
            let name = reference.step.as_str();
            match self.places.get(name) {
                None => errors.add(at, format!("there is no step `{name}`")),
                Some(place) if *place == self.step => {
                    errors.add(at, format!("`{name}` is this step itself; a step uses the results of those before it"));
                }
                Some(place) if *place > self.step => {
                    errors
                        .add(at, format!("the step `{name}` comes later; a step uses the results of those before it"));
                }
                Some(_) => {}
            }
        }
    }
}

/// A caller's name for something, as far as an answer repeats it.
fn shown(name: &str) -> String {
    const SHOWN: usize = 64;
    let mut shown: String = name.chars().take(SHOWN).filter(|letter| !letter.is_control()).collect();
    if name.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
