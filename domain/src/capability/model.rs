//! One thing that a server offers.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What kind of thing a server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapabilityKind {
    /// Something to call.
    Tool,
    /// A prompt to fill in.
    Prompt,
    /// Something to read.
    Resource,
    /// A family of things to read.
    ResourceTemplate,
}

impl CapabilityKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Tool, Self::Prompt, Self::Resource, Self::ResourceTemplate];

    /// The kind's name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
            Self::ResourceTemplate => "resource_template",
        }
    }
}

/// What a tool says of its effects. What it does not say is what the specification assumes: that it writes, that it may
/// destroy, that it does something again when called again, and that it reaches the outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Annotations {
    /// It changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only_hint: Option<bool>,
    /// What it changes may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destructive_hint: Option<bool>,
    /// Calling it again changes nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotent_hint: Option<bool>,
    /// It deals with things outside of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_world_hint: Option<bool>,
}

impl Annotations {
    /// Whether it may destroy something, going by its word and, where it gives none, by the specification's defaults.
    #[must_use]
    pub fn is_destructive(self) -> bool {
        !self.read_only_hint.unwrap_or(false) && self.destructive_hint.unwrap_or(true)
    }
}

/// Something that a server offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    /// What kind.
    pub kind: CapabilityKind,
    /// What it is asked for by: the name of a tool or prompt, the URI of a resource, the template of a family.
    pub name: String,
    /// The name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it takes: a tool's JSON Schema, a prompt's arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What it gives: a tool's JSON Schema, a resource's media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// What a tool says of its effects; of other kinds nothing.
    #[serde(default)]
    pub annotations: Annotations,
}

impl Capability {
    /// Whether it is a tool that may destroy something.
    #[must_use]
    pub fn is_destructive(&self) -> bool {
        self.kind == CapabilityKind::Tool && self.annotations.is_destructive()
    }
}
