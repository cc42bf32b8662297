//! What is expected of a step's answer.

use serde_json::Value;

use super::pointer::Pointer;

/// How what stands there is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// The same JSON value; numbers by value, so that 1 equals 1.0.
    Equals,
    /// Not that; also when nothing stands there.
    NotEquals,
    /// A text that has this text in it, a list with this element, an object with this name.
    Contains,
    /// A text that the regular expression finds.
    Matches,
    /// Something stands there, null too.
    Exists,
    /// Nothing stands there.
    Absent,
    /// A number below.
    Less,
    /// A number above.
    Greater,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Equals,
        Self::NotEquals,
        Self::Contains,
        Self::Matches,
        Self::Exists,
        Self::Absent,
        Self::Less,
        Self::Greater,
    ];

    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equals => "equals",
            Self::NotEquals => "not_equals",
            Self::Contains => "contains",
            Self::Matches => "matches",
            Self::Exists => "exists",
            Self::Absent => "absent",
            Self::Less => "less",
            Self::Greater => "greater",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == name)
    }

    /// Whether it compares with a value.
    #[must_use]
    pub const fn takes_value(self) -> bool {
        !matches!(self, Self::Exists | Self::Absent)
    }
}

/// One expectation. The place is looked for in the answer as MCP has it: `{content, structuredContent, isError}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// Where.
    pub path: Pointer,
    /// How.
    pub op: Op,
    /// With what; null for what takes none. May have references to earlier steps in it.
    pub value: Value,
}
