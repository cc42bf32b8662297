//! The resources.

use rmcp::ErrorData;
use rmcp::model::{
    CacheScope, ListResourceTemplatesResult, ListResourcesResult, ReadResourceResponse, ReadResourceResult,
};
use serde_json::json;

use crate::content::{PNG, complete};

/// How long what does not change may be remembered, in milliseconds.
pub const FRESH_MS: u64 = 60_000;

/// `resources/list`
pub fn list() -> Result<ListResourcesResult, ErrorData> {
    let resources: ListResourcesResult = complete(json!({"resources": [
        {"uri": "test://static-text", "name": "text", "description": "A text.", "mimeType": "text/plain"},
        {"uri": "test://static-binary", "name": "binary", "description": "An image.", "mimeType": "image/png"},
    ]}))?;
    Ok(resources.with_ttl_ms(FRESH_MS).with_cache_scope(CacheScope::Public))
}

/// `resources/templates/list`
pub fn templates() -> Result<ListResourceTemplatesResult, ErrorData> {
    let templates: ListResourceTemplatesResult = complete(json!({"resourceTemplates": [{
        "uriTemplate": "test://template/{id}/data",
        "name": "data",
        "description": "The data of one id.",
        "mimeType": "application/json",
    }]}))?;
    Ok(templates.with_ttl_ms(FRESH_MS).with_cache_scope(CacheScope::Public))
}

/// `resources/read`
pub fn read(uri: &str) -> Result<ReadResourceResponse, ErrorData> {
    let content = match uri {
        "test://static-text" => json!({
            "uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource.",
        }),
        "test://static-binary" => json!({"uri": uri, "mimeType": "image/png", "blob": PNG}),
        _ => {
            let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
            let id = id.ok_or_else(|| ErrorData::resource_not_found("no such resource", Some(json!({"uri": uri}))))?;
            let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            json!({"uri": uri, "mimeType": "application/json", "text": data.to_string()})
        }
    };
    let read: ReadResourceResult = complete(json!({"contents": [content]}))?;
    Ok(read.with_ttl_ms(FRESH_MS).with_cache_scope(CacheScope::Public).into())
}
