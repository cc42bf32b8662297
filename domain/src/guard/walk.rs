//! One pass over a JSON text, without building it: names and texts are looked at as they go by.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use super::names::{AllowedFields, Verdict, judge};
use super::own_key::holds_token;
use super::place::Place;
use super::{Refused, Secret, SecretArgument};
use crate::key::TokenKeys;
use crate::mcp::Key;

/// What ends the pass when something was found; the place is kept beside it.
const FOUND: &str = "found";

/// Looks at every name and text.
pub fn walk(json: &str, allowed: &AllowedFields, keys: &TokenKeys) -> Result<(), Refused> {
    let mut found = None;
    let mut reader = serde_json::Deserializer::from_str(json);
    let seed = Value { allowed, keys, place: &Place::Root, must_be_object: false, found: &mut found };
    // Also after its end: what stands there would be read by nobody here, and perhaps by the server.
    let read = seed.deserialize(&mut reader).and_then(|()| reader.end());
    match (found, read) {
        (Some(found), _) => Err(found.into()),
        (None, Err(_)) => Err(Refused::Unreadable),
        (None, Ok(())) => Ok(()),
    }
}

struct Value<'a> {
    allowed: &'a AllowedFields,
    keys: &'a TokenKeys,
    place: &'a Place<'a>,
    must_be_object: bool,
    found: &'a mut Option<SecretArgument>,
}

impl Value<'_> {
    fn refuse<E: Error>(&mut self, why: Secret) -> E {
        *self.found = Some(SecretArgument { path: self.place.pointer(), why });
        E::custom(FOUND)
    }

    /// A value that is neither object nor text.
    fn plain<E: Error>(mut self) -> Result<(), E> {
        if self.must_be_object { Err(self.refuse(Secret::Name)) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.plain()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.plain()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.plain()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.plain()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.plain()
    }

    fn visit_str<E: Error>(mut self, text: &str) -> Result<(), E> {
        if self.must_be_object {
            Err(self.refuse(Secret::Name))
        } else if holds_token(text, self.keys) {
            Err(self.refuse(Secret::OwnKey))
        } else {
            Ok(())
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        if self.must_be_object {
            return Err(self.refuse(Secret::Name));
        }
        let mut index = 0;
        loop {
            let place = Place::Index(self.place, index);
            let Self { allowed, keys, .. } = self;
            let item = Value { allowed, keys, place: &place, must_be_object: false, found: &mut *self.found };
            if items.next_element_seed(item)?.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<Key<'de>>()? {
            let Self { allowed, keys, .. } = self;
            if holds_token(&name.0, keys) {
                // The name itself is the secret: it is not repeated.
                let place = Place::Name(self.place, "(a key)");
                return Err(Value { allowed, keys, place: &place, must_be_object: false, found: &mut *self.found }
                    .refuse(Secret::OwnKey));
            }
            let place = Place::Name(self.place, &name.0);
            let verdict = match judge(&name.0) {
                Verdict::Harmless => Verdict::Harmless,
                _ if allowed.has(&place.names()) => Verdict::Harmless,
                verdict => verdict,
            };
            let must_be_object = verdict == Verdict::SecretUnlessObject;
            let mut value = Value { allowed, keys, place: &place, must_be_object, found: &mut *self.found };
            if verdict == Verdict::Secret {
                return Err(value.refuse(Secret::Name));
            }
            fields.next_value_seed(value)?;
        }
        Ok(())
    }
}
