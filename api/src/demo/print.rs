//! What the demo prints: commands and configuration to paste.

use super::setup::Demo;

/// Prints everything that a visitor needs.
pub fn commands(demo: &Demo) {
    let Demo { base, solo, client, platform, .. } = demo;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;
    let note =
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"add_note","arguments":{"text":"hello"}}}"#;
    let read = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"list_notes","arguments":{}}}"#;
    let headers = "-H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -H 'MCP-Protocol-Version: 2025-11-25'";
    println!(
        "Keyrack demo, on {base}. Everything is gone when you stop it (Ctrl-C).

Paste into a shell:

  SOLO={solo}
  CLIENT={client}
  PLATFORM={platform}
  mcp() {{ curl -s \"{base}/mcp-connect/notes/mcp$2\" -H \"X-API-Key: $1\" {headers} -d \"$3\"; echo; }}

  # who is this key?
  curl -s {base}/api/v1/me -H \"X-API-Key: $SOLO\"; echo
  # one person
  mcp $SOLO '' '{list}'
  # one company: Marina writes, Otto does not see it
  mcp $CLIENT '?user_id=marina' '{note}'
  mcp $CLIENT '?user_id=marina' '{read}'
  mcp $CLIENT '?user_id=otto' '{read}'
  # a SaaS with customers
  mcp $PLATFORM '?org_id=globex&user_id=marina' '{note}'
  mcp $PLATFORM '?org_id=initech&user_id=marina' '{read}'
  # not allowed
  mcp $PLATFORM '?org_id=umbrella&user_id=marina' '{read}'
  # revoke the client key
  curl -s -X DELETE {base}/api/v1/api-keys/{client_id} -H 'Authorization: Bearer {access}'; echo
  mcp $CLIENT '?user_id=marina' '{read}'

Claude Code:

  claude mcp add --transport http notes {base}/mcp-connect/notes/mcp --header \"X-API-Key: $SOLO\"

Cursor, .cursor/mcp.json:

  {{\"mcpServers\": {{\"notes\": {{\"url\": \"{base}/mcp-connect/notes/mcp\", \"headers\": {{\"X-API-Key\": \"{solo}\"}}}}}}}}

VS Code, .vscode/mcp.json:

  {{\"servers\": {{\"notes\": {{\"type\": \"http\", \"url\": \"{base}/mcp-connect/notes/mcp\", \"headers\": {{\"X-API-Key\": \"{solo}\"}}}}}}}}

Swagger UI: {base}/swagger-ui/ (Authorize with a key above)",
        solo = solo.token,
        client = client.token,
        platform = platform.token,
        client_id = client.id,
        access = demo.access_token,
    );
}
