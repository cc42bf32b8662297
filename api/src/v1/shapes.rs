//! Shapes that several areas share.

use std::fmt;
use std::marker::PhantomData;

use domain::organization::UserRef;
use domain::time::Timestamp;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Items<T> {
    /// The items.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// A person.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PersonShape {
    /// `usr_…`
    #[schema(example = "usr_01kafx5tgyf1na07m4q6nf1sgb")]
    pub id: String,
    /// E-mail address.
    #[schema(example = "ann@example.com")]
    pub email: String,
    /// What the person wants to be called.
    #[schema(example = "Ann")]
    pub display_name: String,
}

impl From<&UserRef> for PersonShape {
    fn from(user: &UserRef) -> Self {
        Self { id: user.id.to_string(), email: user.email.to_string(), display_name: user.display_name.to_string() }
    }
}

/// Tells null, which is a value in a change, from a field that is not there.
///
/// # Errors
/// What the field's own type says.
pub fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(input: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(input).map(Some)
}

/// A point in time as JSON has it.
#[must_use]
pub fn time(at: Timestamp) -> String {
    at.to_string()
}

/// `"*"` or a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyOr<T> {
    /// `"*"`
    Any,
    /// A list.
    List(Vec<T>),
}

impl<T: Serialize> Serialize for AnyOr<T> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => out.serialize_str("*"),
            Self::List(list) => list.serialize(out),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AnyOr<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = AnyOr<T>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("\"*\" or a list")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<AnyOr<T>, E> {
                if text == "*" {
                    Ok(AnyOr::Any)
                } else {
                    Err(E::invalid_type(serde::de::Unexpected::Other("text"), &self))
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<AnyOr<T>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(AnyOr::List)
            }
        }

        input.deserialize_any(Either(PhantomData))
    }
}

/// The schema of [`AnyOr`] of a shape.
fn any_or<T: PartialSchema>() -> RefOr<Schema> {
    let any = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["*"])).build();
    let list = ArrayBuilder::new().items(T::schema()).build();
    OneOfBuilder::new().item(any).item(list).into()
}

impl<T: PartialSchema> AnyOr<T> {
    /// Its schema, for fields: utoipa's own generics do not reach a type with a hand-written form.
    #[must_use]
    pub fn field_schema() -> RefOr<Schema> {
        any_or::<T>()
    }
}
