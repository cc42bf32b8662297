//! Since 2026-07-28 a server answers that it needs input, and the client calls again with it (SEP-2322).

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, InputRequest, InputRequiredResult, InputResponses, RequestMetaObject,
};
use serde_json::{Value, json};

use crate::content::{from_json, text};
use crate::sealed::Seal;

/// Calls a tool of rounds; invalid params if there is none of that name.
pub fn call(
    seal: &Seal,
    call: &CallToolRequestParams,
    meta: &RequestMetaObject,
) -> Result<CallToolResponse, ErrorData> {
    let answers = call.input_responses.as_ref();
    let state = call.request_state.as_deref().map(|sealed| seal.open(sealed)).transpose()?;
    match call.name.as_ref() {
        "test_input_required_result_elicitation" => match answer(answers, "user_name") {
            Some(given) => Ok(text(format!("Hello, {}!", said(given, "/content/name"))).into()),
            None => Ok(needs([("user_name", name()?)], None)),
        },
        "test_input_required_result_sampling" => match answer(answers, "capital_question") {
            Some(given) => Ok(text(said(given, "/content/text")).into()),
            None => Ok(needs([("capital_question", sampling("What is the capital of France?")?)], None)),
        },
        "test_input_required_result_list_roots" => match answer(answers, "client_roots") {
            Some(given) => Ok(text(format!("Roots: {}", given["roots"])).into()),
            None => Ok(needs([("client_roots", roots()?)], None)),
        },
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            if state == Some("confirming") && answer(answers, "confirm").is_some() {
                return Ok(text("state-ok").into());
            }
            let confirm = elicitation("Please confirm", json!({"ok": {"type": "boolean"}}))?;
            Ok(needs([("confirm", confirm)], Some(seal.seal("confirming"))))
        }
        "test_input_required_result_multiple_inputs" => {
            let all = ["user_name", "greeting", "client_roots"].iter().all(|key| answer(answers, key).is_some());
            if all && state == Some("gathering") {
                return Ok(text("All of it arrived.").into());
            }
            let asked =
                [("user_name", name()?), ("greeting", sampling("Generate a greeting")?), ("client_roots", roots()?)];
            Ok(needs(asked, Some(seal.seal("gathering"))))
        }
        "test_input_required_result_multi_round" => match (state, answers) {
            (Some("second"), Some(_)) => Ok(text("Both rounds are over.").into()),
            (Some("first"), Some(_)) => {
                let color = json!({"color": {"type": "string"}});
                let asked = elicitation("Step 2: What is your favorite color?", color)?;
                Ok(needs([("step2", asked)], Some(seal.seal("second"))))
            }
            _ => {
                let asked = elicitation("Step 1: What is your name?", json!({"name": {"type": "string"}}))?;
                Ok(needs([("step1", asked)], Some(seal.seal("first"))))
            }
        },
        "test_input_required_result_capabilities" => what_it_can(answers, meta),
        "test_streaming_elicitation" => Ok(needs([("user_name", name()?)], None)),
        unknown => Err(ErrorData::invalid_params(format!("unknown tool: {unknown}"), None)),
    }
}

fn what_it_can(answers: Option<&InputResponses>, meta: &RequestMetaObject) -> Result<CallToolResponse, ErrorData> {
    let client = meta.client_capabilities().unwrap_or_default();
    let mut asked = Vec::new();
    if client.elicitation.is_some() {
        asked.push(("user_name", name()?));
    }
    if client.sampling.is_some() {
        asked.push(("greeting", sampling("Generate a greeting")?));
    }
    if client.roots.is_some() {
        asked.push(("client_roots", roots()?));
    }
    if asked.is_empty() || asked.iter().all(|(key, _)| answer(answers, key).is_some()) {
        return Ok(text("Nothing more is needed.").into());
    }
    Ok(needs(asked, None))
}

/// What the client answered to this question, if it is an answer at all.
pub fn answer<'a>(answers: Option<&'a InputResponses>, key: &str) -> Option<&'a Value> {
    answers?.get(key).filter(|answer| answer.is_object())
}

/// A text in an answer.
pub fn said(answer: &Value, pointer: &str) -> String {
    answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The result that asks.
pub fn needs<T: From<InputRequiredResult>>(
    asked: impl IntoIterator<Item = (&'static str, InputRequest)>,
    state: Option<String>,
) -> T {
    let asked = asked.into_iter().map(|(key, request)| (key.to_owned(), request)).collect();
    InputRequiredResult::new(Some(asked), state).into()
}

/// Asks for a name.
pub fn name() -> Result<InputRequest, ErrorData> {
    elicitation("What is your name?", json!({"name": {"type": "string"}}))
}

/// Asks the user for these properties, all of them.
pub fn elicitation(message: &str, properties: Value) -> Result<InputRequest, ErrorData> {
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(serde_json::Map::keys).collect();
    let schema = json!({"type": "object", "properties": properties, "required": required});
    let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
    from_json(json!({"method": "elicitation/create", "params": params}))
}

fn sampling(prompt: &str) -> Result<InputRequest, ErrorData> {
    let message = json!({"role": "user", "content": {"type": "text", "text": prompt}});
    from_json(json!({"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": 50}}))
}

fn roots() -> Result<InputRequest, ErrorData> {
    from_json(json!({"method": "roots/list", "params": {}}))
}
