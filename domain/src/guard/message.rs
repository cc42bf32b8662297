//! The envelope of a message, as far as the guard needs it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON-RPC message.
#[derive(Debug, Default)]
pub struct Message<'a> {
    /// Its method.
    pub method: Option<Cow<'a, str>>,
    /// What the method is given.
    pub params: Option<&'a RawValue>,
    // A name that a lenient server could take for one of ours.
    doubtful: bool,
}

impl Message<'_> {
    /// Whether every reader sees the same method and parameters in it.
    pub const fn is_plain(&self) -> bool {
        !self.doubtful
    }
}

/// Whether two names are the same but for case, by the simple case folding that some servers look fields up with.
fn is_but_for_case(name: &str, ours: &str) -> bool {
    let folded = name.chars().flat_map(char::to_lowercase).map(|c| if c == 'ſ' { 's' } else { c });
    name != ours && folded.eq(ours.chars())
}

impl<'de: 'a, 'a> Deserialize<'de> for Message<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Envelope;

        impl<'de> Visitor<'de> for Envelope {
            type Value = Message<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a JSON-RPC message")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Message<'de>, A::Error> {
                let mut message = Message::default();
                while let Some(name) = fields.next_key::<Cow<'de, str>>()? {
                    match &*name {
                        "method" if message.method.is_none() => {
                            message.method = Some(Cow::Owned(fields.next_value::<String>()?));
                        }
                        "params" if message.params.is_none() => message.params = Some(fields.next_value()?),
                        "method" | "params" => return Err(A::Error::custom("given twice")),
                        other => {
                            message.doubtful |= is_but_for_case(other, "method") || is_but_for_case(other, "params");
                            fields.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(message)
            }
        }

        input.deserialize_map(Envelope)
    }
}
