//! The prompts.

use rmcp::ErrorData;
use rmcp::model::{CacheScope, GetPromptRequestParams, GetPromptResponse, GetPromptResult, ListPromptsResult};
use serde_json::{Value, json};

use crate::content::{complete, embedded, image};
use crate::resources::FRESH_MS;
use crate::rounds::{answer, elicitation, needs, said};

/// `prompts/list`
pub fn list() -> Result<ListPromptsResult, ErrorData> {
    let prompts: ListPromptsResult = complete(json!({"prompts": [
        {"name": "test_simple_prompt", "description": "Has no arguments."},
        {
            "name": "test_prompt_with_arguments",
            "description": "Has two arguments.",
            "arguments": [
                {"name": "arg1", "description": "The first.", "required": true},
                {"name": "arg2", "description": "The second.", "required": true},
            ],
        },
        {
            "name": "test_prompt_with_embedded_resource",
            "description": "Has a resource inside.",
            "arguments": [{"name": "resourceUri", "description": "Which resource.", "required": true}],
        },
        {"name": "test_prompt_with_image", "description": "Has an image inside."},
        {"name": "test_input_required_result_prompt", "description": "Needs input of the user."},
    ]}))?;
    Ok(prompts.with_ttl_ms(FRESH_MS).with_cache_scope(CacheScope::Public))
}

/// `prompts/get`
pub fn get(asked: GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let argument = |name: &str| {
        let value = asked.arguments.as_ref().and_then(|arguments| arguments.get(name)).and_then(Value::as_str);
        value.ok_or_else(|| ErrorData::invalid_params(format!("{name} must be a string"), None))
    };
    let contents = match asked.name.as_str() {
        "test_simple_prompt" => json!([text("This is a simple prompt for testing.")]),
        "test_prompt_with_arguments" => {
            let (first, second) = (argument("arg1")?, argument("arg2")?);
            json!([text(&format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))])
        }
        "test_prompt_with_embedded_resource" => json!([
            embedded(argument("resourceUri")?, "text/plain", "Embedded resource content for testing."),
            text("Please process the embedded resource above."),
        ]),
        "test_prompt_with_image" => json!([image(), text("Please analyze the image above.")]),
        "test_input_required_result_prompt" => {
            let Some(given) = answer(asked.input_responses.as_ref(), "user_context") else {
                let question =
                    elicitation("What context should the prompt use?", json!({"context": {"type": "string"}}))?;
                return Ok(needs([("user_context", question)], None));
            };
            json!([text(&said(given, "/content/context"))])
        }
        unknown => return Err(ErrorData::invalid_params(format!("unknown prompt: {unknown}"), None)),
    };
    let messages: Vec<Value> =
        contents.as_array().into_iter().flatten().map(|content| json!({"role": "user", "content": content})).collect();
    let prompt: GetPromptResult = complete(json!({"messages": messages}))?;
    Ok(prompt.into())
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}
