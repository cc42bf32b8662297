//! The envelope of a message: what the gateway has to know of it, in one pass and without building anything.
//!
//! What two readers could read in two ways is no message here: a field that decides something and is given twice, or
//! again in another case, as servers take it that look fields up without regard to it. Else a server could do what was
//! never looked at.

use std::borrow::Cow;

use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::loose::{Fields, Loose, NoFields, skip};

/// Most messages in a batch. No client is known to send more than a few; each may be refused with an answer of its own,
/// and a batch is one request to limits and logs.
pub const BATCH_MAX: usize = 100;
/// Where a message says its version, in `params._meta`.
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A method is called, and an answer awaited.
    Request,
    /// A method is called, and no answer awaited.
    Notification,
    /// No method is called: an answer to a request of the server's, or nothing that a server can act on.
    Response,
    /// Several messages in an array.
    Batch,
}

/// A message, or a batch of them, as far as a gateway needs it.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// What kind of message it is.
    pub kind: Kind,
    /// The id, if it is a text or a number, as JSON-RPC has it.
    pub id: Option<&'a RawValue>,
    /// The method.
    pub method: Option<Cow<'a, str>>,
    /// What the method is called on: a tool or prompt, a resource's URI, a task's id. None for other methods, and where
    /// it is no text.
    pub name: Option<Cow<'a, str>>,
    /// The version that the message itself names, as modern ones do.
    pub version: Option<Cow<'a, str>>,
    /// The JSON text.
    pub text: &'a str,
    // Those of a batch.
    parts: Vec<Envelope<'a>>,
}

/// Why a body is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadFault {
    /// No JSON, not UTF-8, or not readable to its end. A server that reads on would see what we did not.
    #[error("the message is no JSON text in UTF-8 that can be read to its end")]
    NotJson,
    /// A JSON value that is no object, or an array with something else in it.
    #[error("the message must be one JSON object")]
    NotAnObject,
    /// A field that decides something can be read in two ways.
    #[error("the message must have {0} once, and not in another case")]
    TwoWays(&'static str),
    /// The method is no text.
    #[error("the message's method must be a text")]
    Method,
    /// An array with no message, or too many.
    #[error("a batch must have 1 to {BATCH_MAX} messages")]
    BatchLength,
}

impl<'a> Envelope<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`ReadFault`]
    pub fn read(body: &'a [u8]) -> Result<Self, ReadFault> {
        let text = std::str::from_utf8(body).map_err(|_| ReadFault::NotJson)?;
        // JSON's own white space, and no other.
        if text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('[') {
            Self::batch(text)
        } else {
            Self::one(text)
        }
    }

    /// The messages: itself, or those of a batch.
    #[must_use]
    pub fn messages(&self) -> &[Self] {
        if self.kind == Kind::Batch { &self.parts } else { std::slice::from_ref(self) }
    }

    fn batch(text: &'a str) -> Result<Self, ReadFault> {
        let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| ReadFault::NotJson)?;
        if !(1..=BATCH_MAX).contains(&items.len()) {
            return Err(ReadFault::BatchLength);
        }
        let parts = items.into_iter().map(|item| Self::one(item.get())).collect::<Result<_, _>>()?;
        Ok(Self { kind: Kind::Batch, id: None, method: None, name: None, version: None, text, parts })
    }

    fn one(text: &'a str) -> Result<Self, ReadFault> {
        let message = match serde_json::from_str(text).map_err(|_| ReadFault::NotJson)? {
            Loose::Object(message) => message,
            Loose::Text(_) | Loose::Other => return Err(ReadFault::NotAnObject),
        };
        let Message { method, id, params, two_ways } = message;
        if let Some(field) = two_ways {
            return Err(ReadFault::TwoWays(field));
        }
        let method = match method {
            Slot::Absent => None,
            Slot::Text(method) => Some(method),
            Slot::Other => return Err(ReadFault::Method),
            Slot::TwoWays => return Err(ReadFault::TwoWays("method")),
        };
        let params = params.unwrap_or_default();
        let name = match method.as_deref().map_or(NamedBy::Nothing, NamedBy::of) {
            NamedBy::Name => params.name.text("params.name")?,
            NamedBy::Uri => params.uri.text("params.uri")?,
            NamedBy::TaskId => params.task_id.text("params.taskId")?,
            NamedBy::Nothing => None,
        };
        let version = params.version.text("params._meta and its protocolVersion")?;
        let kind = match (&method, id) {
            (None, _) => Kind::Response,
            (Some(_), None) => Kind::Notification,
            (Some(_), Some(_)) => Kind::Request,
        };
        Ok(Self { kind, id: id.filter(|id| is_id(id)), method, name, version, text, parts: Vec::new() })
    }
}

/// Which of its parameters says what a method is called on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NamedBy {
    Name,
    Uri,
    TaskId,
    Nothing,
}

impl NamedBy {
    fn of(method: &str) -> Self {
        match method {
            "tools/call" | "prompts/get" => Self::Name,
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Self::Uri,
            "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result" => Self::TaskId,
            _ => Self::Nothing,
        }
    }
}

fn is_id(id: &RawValue) -> bool {
    id.get().as_bytes().first().is_some_and(|first| matches!(first, b'"' | b'-' | b'0'..=b'9'))
}

/// Whether two names are the same but for case, by the simple case folding that some servers look fields up with.
fn is_but_for_case(name: &str, ours: &str) -> bool {
    if name.is_ascii() {
        return name.len() == ours.len() && name.eq_ignore_ascii_case(ours);
    }
    let fold = |text: &str| -> String {
        text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ſ' { 's' } else { c }).collect()
    };
    fold(name) == fold(ours)
}

/// A field that should be a text and stand there once.
#[derive(Debug, Default)]
enum Slot<'a> {
    #[default]
    Absent,
    Text(Cow<'a, str>),
    Other,
    TwoWays,
}

impl<'a> Slot<'a> {
    fn fill<A: MapAccess<'a>>(&mut self, values: &mut A) -> Result<(), A::Error> {
        let value = values.next_value::<Loose<'a, NoFields>>()?;
        *self = match (&self, value) {
            (Self::Absent, Loose::Text(text)) => Self::Text(text),
            (Self::Absent, Loose::Object(NoFields) | Loose::Other) => Self::Other,
            _ => Self::TwoWays,
        };
        Ok(())
    }

    fn text(self, field: &'static str) -> Result<Option<Cow<'a, str>>, ReadFault> {
        match self {
            Self::Text(text) => Ok(Some(text)),
            Self::Absent | Self::Other => Ok(None),
            Self::TwoWays => Err(ReadFault::TwoWays(field)),
        }
    }
}

#[derive(Default)]
struct Message<'a> {
    method: Slot<'a>,
    id: Option<&'a RawValue>,
    params: Option<Params<'a>>,
    two_ways: Option<&'static str>,
}

impl<'a> Fields<'a> for Message<'a> {
    fn take<A: MapAccess<'a>>(&mut self, name: &str, values: &mut A) -> Result<(), A::Error> {
        match name {
            "method" => self.method.fill(values),
            "id" => {
                let earlier = self.id.replace(values.next_value()?);
                self.two_ways = self.two_ways.or(earlier.map(|_| "id"));
                Ok(())
            }
            "params" => {
                let params = match values.next_value::<Loose<'a, Params<'a>>>()? {
                    Loose::Object(params) => params,
                    Loose::Text(_) | Loose::Other => Params::default(),
                };
                let earlier = self.params.replace(params);
                self.two_ways = self.two_ways.or(earlier.map(|_| "params"));
                Ok(())
            }
            other => {
                let alike = ["method", "id", "params"].into_iter().find(|ours| is_but_for_case(other, ours));
                self.two_ways = self.two_ways.or(alike);
                skip(values)
            }
        }
    }
}

#[derive(Default)]
struct Params<'a> {
    name: Slot<'a>,
    uri: Slot<'a>,
    task_id: Slot<'a>,
    version: Slot<'a>,
    meta: bool,
}

impl<'a> Fields<'a> for Params<'a> {
    fn take<A: MapAccess<'a>>(&mut self, name: &str, values: &mut A) -> Result<(), A::Error> {
        match name {
            "name" => self.name.fill(values),
            "uri" => self.uri.fill(values),
            "taskId" => self.task_id.fill(values),
            "_meta" => {
                let version = match values.next_value::<Loose<'a, Meta<'a>>>()? {
                    Loose::Object(Meta(version)) => version,
                    Loose::Text(_) | Loose::Other => Slot::Absent,
                };
                self.version = if self.meta { Slot::TwoWays } else { version };
                self.meta = true;
                Ok(())
            }
            other => {
                // Methods of extensions may have fields of these names in any case; it matters where one names something.
                let slots = [
                    ("name", &mut self.name),
                    ("uri", &mut self.uri),
                    ("taskId", &mut self.task_id),
                    ("_meta", &mut self.version),
                ];
                if let Some((ours, slot)) = slots.into_iter().find(|(ours, _)| is_but_for_case(other, ours)) {
                    *slot = Slot::TwoWays;
                    self.meta |= ours == "_meta";
                }
                skip(values)
            }
        }
    }
}

#[derive(Default)]
struct Meta<'a>(Slot<'a>);

impl<'a> Fields<'a> for Meta<'a> {
    fn take<A: MapAccess<'a>>(&mut self, name: &str, values: &mut A) -> Result<(), A::Error> {
        if name == VERSION {
            return self.0.fill(values);
        }
        if is_but_for_case(name, VERSION) {
            self.0 = Slot::TwoWays;
        }
        skip(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Envelope<'_>, ReadFault> {
        Envelope::read(text.as_bytes())
    }

    fn seen<'a>(envelope: &'a Envelope<'_>) -> (Kind, &'a str, &'a str, &'a str, &'a str) {
        let text = |field: &'a Option<Cow<'_, str>>| field.as_deref().unwrap_or("-");
        (
            envelope.kind,
            envelope.id.map_or("-", RawValue::get),
            text(&envelope.method),
            text(&envelope.name),
            text(&envelope.version),
        )
    }

    #[test]
    fn a_message_is_read_by_kind_id_method_name_and_version() {
        for (text, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, (Kind::Request, "1", "ping", "-", "-")),
            (
                r#" {"params":{"name":"a","arguments":{"name":"b"}},"method":"tools\/call","id":"x"}"#,
                (Kind::Request, "\"x\"", "tools/call", "a", "-"),
            ),
            (
                r#"{"id":-1,"method":"prompts/get","params":{"uri":"u","name":"\u0061"}}"#,
                (Kind::Request, "-1", "prompts/get", "a", "-"),
            ),
            (
                r#"{"id":1,"method":"resources/read","params":{"uri":"u","name":"n"}}"#,
                (Kind::Request, "1", "resources/read", "u", "-"),
            ),
            (
                r#"{"id":1,"method":"tasks/get","params":{"taskId":"t","name":5}}"#,
                (Kind::Request, "1", "tasks/get", "t", "-"),
            ),
            (r#"{"id":1,"method":"tools/list","params":{"name":"n"}}"#, (Kind::Request, "1", "tools/list", "-", "-")),
            (
                r#"{"id":1,"method":"ping","params":{"_meta":{"x":[1],"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
                (Kind::Request, "1", "ping", "-", "2026-07-28"),
            ),
            (
                r#"{"method":"notifications/initialized"}"#,
                (Kind::Notification, "-", "notifications/initialized", "-", "-"),
            ),
            (r#"{"id":1,"result":{"method":"x"}}"#, (Kind::Response, "1", "-", "-", "-")),
            (r#"{"id":1,"error":{"code":1}}"#, (Kind::Response, "1", "-", "-", "-")),
            ("{}", (Kind::Response, "-", "-", "-", "-")),
            // What is not as it should be is the server's to judge, where no two readers differ.
            (r#"{"id":null,"method":"x"}"#, (Kind::Request, "-", "x", "-", "-")),
            (r#"{"id":{"a":1},"method":"x","params":[{"name":"a"}]}"#, (Kind::Request, "-", "x", "-", "-")),
            (
                r#"{"id":1,"method":"tools/call","params":{"name":["a"],"_meta":7}}"#,
                (Kind::Request, "1", "tools/call", "-", "-"),
            ),
            (r#"{"id":1,"method":"tools/call","params":null}"#, (Kind::Request, "1", "tools/call", "-", "-")),
            (
                r#"{"id":1,"method":"x/y","params":{"name":"a","Name":"b","name":"c"}}"#,
                (Kind::Request, "1", "x/y", "-", "-"),
            ),
        ] {
            let envelope = read(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            assert_eq!(seen(&envelope), expected, "{text}");
            assert_eq!(envelope.messages().len(), 1);
        }
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_no_message() {
        for (text, field) in [
            (r#"{"method":"ping","method":"tools/call"}"#, "method"),
            (r#"{"method":"ping","Method":"tools/call"}"#, "method"),
            (r#"{"METHOD":"tools/call"}"#, "method"),
            (r#"{"method":"ping","id":1,"id":2}"#, "id"),
            (r#"{"method":"ping","Id":2}"#, "id"),
            (r#"{"method":"tools/call","params":{"name":"a"},"params":{}}"#, "params"),
            (r#"{"method":"tools/call","Paramſ":{"name":"a"}}"#, "params"),
            (r#"{"method":"tools/call","params":{"name":"a","name":"b"}}"#, "params.name"),
            (r#"{"method":"tools/call","params":{"name":"a","n\u0061me":"b"}}"#, "params.name"),
            (r#"{"method":"tools/call","params":{"Name":"b"}}"#, "params.name"),
            (r#"{"method":"tools/call","params":{"NAME":"b","name":"a"}}"#, "params.name"),
            (r#"{"method":"resources/read","params":{"uri":"a","URI":"b"}}"#, "params.uri"),
            (r#"{"method":"tasks/cancel","params":{"taskId":"a","TaſkID":"b"}}"#, "params.taskId"),
            (r#"{"method":"x","params":{"_meta":{},"_meta":{}}}"#, "params._meta and its protocolVersion"),
            (r#"{"method":"x","params":{"_Meta":{}}}"#, "params._meta and its protocolVersion"),
            (
                r#"{"method":"x","params":{"_META":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"1"}}}"#,
                "params._meta and its protocolVersion",
            ),
            (
                r#"{"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"1","io.modelcontextprotocol/protocolversion":"2"}}}"#,
                "params._meta and its protocolVersion",
            ),
        ] {
            assert_eq!(read(text).err(), Some(ReadFault::TwoWays(field)), "{text}");
            assert_eq!(read(&format!("[{text}]")).err(), Some(ReadFault::TwoWays(field)), "[{text}]");
        }
    }

    #[test]
    fn a_body_is_one_object_or_nothing() {
        for text in ["", " ", "no json", "{", r#"{"a":1}}"#, "{} {}", "\u{feff}{}", "[{},]", r#"{"method":"\ud800"}"#] {
            assert_eq!(read(text).err(), Some(ReadFault::NotJson), "{text}");
        }
        assert_eq!(Envelope::read(b"{\"x\":\"\xff\"}").err(), Some(ReadFault::NotJson));
        assert_eq!(Envelope::read(&[0x1f, 0x8b, 8, 0]).err(), Some(ReadFault::NotJson));
        for text in ["5", "\"x\"", "null", "true", "[5]", "[[]]", "[{},[{}]]"] {
            assert_eq!(read(text).err(), Some(ReadFault::NotAnObject), "{text}");
        }
        for text in [r#"{"method":5}"#, r#"{"method":{}}"#, r#"{"method":null,"id":1}"#] {
            assert_eq!(read(text).err(), Some(ReadFault::Method), "{text}");
        }
    }

    #[test]
    fn a_batch_is_each_of_its_messages() {
        let text = "\n[{\"id\":1,\"method\":\"ping\"}, {\"method\":\"tools/call\",\"params\":{\"name\":\"a\"}}]";
        let batch = read(text).expect("a batch");
        assert_eq!(seen(&batch), (Kind::Batch, "-", "-", "-", "-"));
        let [ping, call] = batch.messages() else { panic!("two messages") };
        assert_eq!(seen(ping), (Kind::Request, "1", "ping", "-", "-"));
        assert_eq!(seen(call), (Kind::Notification, "-", "tools/call", "a", "-"));
        assert_eq!(ping.text, r#"{"id":1,"method":"ping"}"#);
        let many = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
        assert_eq!(read(&many(BATCH_MAX)).expect("just as many").messages().len(), BATCH_MAX);
        assert_eq!(read(&many(BATCH_MAX + 1)).err(), Some(ReadFault::BatchLength));
        assert_eq!(read("[]").err(), Some(ReadFault::BatchLength));
    }

    #[test]
    fn nothing_is_copied_that_has_no_escapes() {
        let text = r#"{"id":1,"method":"tools/call","params":{"name":"a","_meta":{"io.modelcontextprotocol/protocolVersion":"v"}}}"#;
        let envelope = read(text).expect("a message");
        for field in [&envelope.method, &envelope.name, &envelope.version] {
            assert!(matches!(field, Some(Cow::Borrowed(_))), "{field:?}");
        }
    }
}
