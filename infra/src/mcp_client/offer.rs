//! What a server offers, in the words of the product.

use std::sync::Arc;

use domain::capability::{Annotations, Capability, CapabilityKind};
use rmcp::model::{JsonObject, Prompt, PromptArgument, Resource, ResourceTemplate, Tool};
use serde_json::{Value, json};

use super::Session;
use super::fault::ClientFault;

impl Session {
    /// All that the server offers.
    ///
    /// # Errors
    /// [`ClientFault`]: what was not read to its end is not taken for the whole.
    pub async fn offer(&self) -> Result<Vec<Capability>, ClientFault> {
        let mut offer: Vec<Capability> = self.list_tools().await?.into_iter().map(tool).collect();
        offer.extend(self.list_prompts().await?.into_iter().map(prompt));
        offer.extend(self.list_resources().await?.into_iter().map(resource));
        offer.extend(self.list_resource_templates().await?.into_iter().map(template));
        Ok(offer)
    }
}

/// A tool in the words of the product.
#[must_use]
pub fn tool(tool: Tool) -> Capability {
    let schema = |schema: Arc<JsonObject>| Value::Object(Arc::unwrap_or_clone(schema));
    let annotations = tool.annotations.as_ref();
    Capability {
        kind: CapabilityKind::Tool,
        name: tool.name.into_owned(),
        title: tool.title.or_else(|| annotations.and_then(|said| said.title.clone())),
        description: tool.description.map(Into::into),
        input: Some(schema(tool.input_schema)),
        output: tool.output_schema.map(schema),
        annotations: annotations.map_or_else(Annotations::default, |said| Annotations {
            read_only_hint: said.read_only_hint,
            destructive_hint: said.destructive_hint,
            idempotent_hint: said.idempotent_hint,
            open_world_hint: said.open_world_hint,
        }),
    }
}

fn prompt(prompt: Prompt) -> Capability {
    // Arguments have no schema of their own: what they are called, and whether they must be given, is it.
    let argument = |argument: PromptArgument| {
        let PromptArgument { name, description, required, .. } = argument;
        json!({ "name": name, "description": description, "required": required })
    };
    Capability {
        kind: CapabilityKind::Prompt,
        name: prompt.name,
        title: prompt.title,
        description: prompt.description,
        input: prompt.arguments.map(|arguments| arguments.into_iter().map(argument).collect()),
        output: None,
        annotations: Annotations::default(),
    }
}

fn resource(resource: Resource) -> Capability {
    Capability {
        kind: CapabilityKind::Resource,
        name: resource.uri,
        title: Some(resource.title.unwrap_or(resource.name)),
        description: resource.description,
        input: None,
        // Its size is its content's, which is not what is offered.
        output: resource.mime_type.map(Value::String),
        annotations: Annotations::default(),
    }
}

fn template(template: ResourceTemplate) -> Capability {
    Capability {
        kind: CapabilityKind::ResourceTemplate,
        name: template.uri_template,
        title: Some(template.title.unwrap_or(template.name)),
        description: template.description,
        input: None,
        output: template.mime_type.map(Value::String),
        annotations: Annotations::default(),
    }
}
