//! Reading JSON without wishes about its types: texts are borrowed, of objects only the fields that somebody asks for are
//! looked at, and everything else is skipped without being built.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A field's name, borrowed where it has no escapes. (serde's own `Cow` copies it always.)
pub struct Key<'de>(pub Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a name")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        input.deserialize_str(Text)
    }
}

/// The fields of an object that somebody asks for.
pub trait Fields<'de>: Default {
    /// Takes the value of the field `name`, or skips it with [`skip`].
    fn take<A: MapAccess<'de>>(&mut self, name: &str, values: &mut A) -> Result<(), A::Error>;
}

/// Skips a value.
pub fn skip<'de, A: MapAccess<'de>>(values: &mut A) -> Result<(), A::Error> {
    values.next_value::<IgnoredAny>().map(drop)
}

/// No fields at all, for what should be a text.
#[derive(Default)]
pub struct NoFields;

impl<'de> Fields<'de> for NoFields {
    fn take<A: MapAccess<'de>>(&mut self, _: &str, values: &mut A) -> Result<(), A::Error> {
        skip(values)
    }
}

/// Any JSON value, of which texts and fields of objects are kept.
pub enum Loose<'de, F> {
    /// A text.
    Text(Cow<'de, str>),
    /// An object.
    Object(F),
    /// Anything else.
    Other,
}

impl<'de, F: Fields<'de>> Deserialize<'de> for Loose<'de, F> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Any<F>(PhantomData<F>);

        impl<'de, F: Fields<'de>> Visitor<'de> for Any<F> {
            type Value = Loose<'de, F>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("JSON")
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Loose::Other)
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Loose::Other)
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Loose::Other)
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Loose::Other)
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Loose::Other)
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Loose::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Loose::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Loose::Other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
                let mut fields = F::default();
                while let Some(name) = values.next_key::<Key<'de>>()? {
                    fields.take(&name.0, &mut values)?;
                }
                Ok(Loose::Object(fields))
            }
        }

        input.deserialize_any(Any(PhantomData))
    }
}
