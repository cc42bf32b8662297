//! What steps need of the world: servers that are reached, tools that they have, arguments that the tools take.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::form::is_reference;
use crate::capability::{CapabilityKind, Kept};
use crate::field::FieldErrors;
use crate::id::ServerId;
use crate::server::model::SharedServer;
use crate::server::port::ServerName;

/// A server that whoever writes the workflow may connect to.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The server.
    pub server: SharedServer,
    /// What it offered last; none when it was never asked.
    pub kept: Option<Arc<Kept>>,
}

/// The servers that a workflow may name.
#[derive(Debug, Default)]
pub struct World {
    servers: HashMap<ServerId, Reached>,
    by_slug: HashMap<String, ServerId>,
    approval: bool,
}

impl World {
    /// These servers. `approval` says whether the organization wants changed tools approved.
    #[must_use]
    pub fn of(servers: impl IntoIterator<Item = Reached>, approval: bool) -> Self {
        let servers: HashMap<_, _> = servers.into_iter().map(|reached| (reached.server.id, reached)).collect();
        let by_slug = servers.values().map(|reached| (reached.server.slug.to_string(), reached.server.id)).collect();
        Self { servers, by_slug, approval }
    }

    /// The server of this name.
    #[must_use]
    pub fn find(&self, name: &ServerName) -> Option<&Reached> {
        let id = match name {
            ServerName::Id(id) => Some(id),
            ServerName::Slug(slug) => self.by_slug.get(slug.as_str()),
        };
        id.and_then(|id| self.servers.get(id))
    }

    /// Looks at a call of a tool, if the tool's name can be one; `at` is the step's place. The server, if it is reached.
    pub fn check(
        &self,
        at: &str,
        server: &ServerName,
        tool: Option<&str>,
        arguments: &Map<String, Value>,
        errors: &mut FieldErrors,
    ) -> Option<&Reached> {
        let Some(reached) = self.find(server) else {
            errors.add(format!("{at}.server"), format!("there is no server {server} that you reach"));
            return None;
        };
        // What was never asked may have any tool.
        let (Some(kept), Some(tool)) = (&reached.kept, tool) else { return Some(reached) };
        match kept.snapshot.get(CapabilityKind::Tool, tool) {
            None => errors.add(
                format!("{at}.tool"),
                format!("{server} had no such tool when it was last synced; if it is new, sync the server"),
            ),
            Some(known) if self.approval && !kept.approvals.cover(known) => {
                errors.add(format!("{at}.tool"), "changed and waits for an admin's approval");
            }
            Some(known) => check_arguments(at, known.input.as_ref(), arguments, errors),
        }
        Some(reached)
    }
}

/// What a tool's schema says of the arguments themselves: which there must be, which there can be, and of which type each
/// is. It says more, deeper down; that is the server's to judge.
fn check_arguments(at: &str, schema: Option<&Value>, arguments: &Map<String, Value>, errors: &mut FieldErrors) {
    let Some(schema) = schema.and_then(Value::as_object) else { return };
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for name in required.filter(|name| !arguments.contains_key(*name)) {
        errors.add(format!("{at}.arguments.{name}"), "is required by the tool");
    }
    let nothing = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&nothing);
    let closed =
        schema.get("additionalProperties") == Some(&Value::Bool(false)) && !schema.contains_key("patternProperties");
    for (name, value) in arguments {
        match properties.get(name) {
            None if closed => errors.add(format!("{at}.arguments.{name}"), "is not taken by the tool"),
            None => {}
            Some(property) => {
                if let Some(types) = mismatch(property, value) {
                    errors.add(format!("{at}.arguments.{name}"), format!("must be {types}, as the tool has it"));
                }
            }
        }
    }
}

/// The types that a property has, where a value is of none of them.
fn mismatch(property: &Value, value: &Value) -> Option<String> {
    // What a reference becomes is known when it is read.
    if value.as_str().is_some_and(is_reference) {
        return None;
    }
    let types: Vec<&str> = match property.get("type")? {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let is = |kind: &str| match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
    };
    (!types.is_empty() && !types.iter().any(|kind| is(kind))).then(|| types.join(" or "))
}

/// Arguments without those that are one reference each: what of them is written down. Whether a name may be that of a
/// secret is judged by the rest, and by what the server allows.
#[must_use]
pub fn written(arguments: &Map<String, Value>) -> Map<String, Value> {
    fn rest(value: &Value) -> Option<Value> {
        Some(match value {
            Value::String(text) if is_reference(text) => return None,
            Value::Array(items) => items.iter().map(|item| rest(item).unwrap_or_default()).collect(),
            Value::Object(fields) => Value::Object(written(fields)),
            other => other.clone(),
        })
    }
    arguments.iter().filter_map(|(name, value)| Some((name.clone(), rest(value)?))).collect()
}
