//! `demo --check`: plays the demo with a real MCP client, and says what it saw.

use serde_json::{Value, json};

use super::client::{Era, Header, McpClient};
use super::setup::{Demo, DemoKey};

/// Plays everything; stops at the first thing that is not as it must be.
pub async fn play(demo: &Demo) -> Result<(), String> {
    println!("Keyrack listens on {}, with a sample MCP server of notes behind it.", demo.base);
    identity(demo).await?;
    solo(demo).await?;
    client(demo).await?;
    platform(demo).await?;
    refusals(demo).await?;
    revocation(demo).await?;
    println!("\nAll of it as it must be.");
    Ok(())
}

fn saw(what: &str) {
    println!("  ok  {what}");
}

fn must(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

async fn identity(demo: &Demo) -> Result<(), String> {
    println!("\nGET /api/v1/me says who a key is:");
    for (key, kind) in [(&demo.solo, "solo"), (&demo.client, "client"), (&demo.platform, "platform")] {
        let (status, me) = get(demo, &format!("{}/api/v1/me", demo.base), &key.token).await?;
        must(status == 200 && me["apiKey"]["type"] == kind, || format!("/me with the {kind} key: {status} {me}"))?;
        saw(&format!("{} is a {kind} key of {}", me["apiKey"]["hint"], me["organization"]["slug"]));
    }
    Ok(())
}

async fn solo(demo: &Demo) -> Result<(), String> {
    println!("\nThe solo key, for one person:");
    for (header, era) in [(Header::ApiKey, Era::Modern), (Header::Bearer, Era::Legacy)] {
        let client = McpClient::connect(&demo.endpoint(""), &demo.solo.token, header, era).await?;
        let tools = client.tools().await?;
        must(tools.iter().any(|tool| tool == "add_note"), || format!("the tools are {tools:?}"))?;
        client.call("add_note", json!({"text": format!("written by Ann ({era:?})")})).await?;
        let who = client.call("whoami", json!({})).await?;
        must(who["sub"] == demo.user_id.as_str(), || format!("the server saw {who}"))?;
        saw(&format!("{era:?} client with {header:?}: tools {tools:?}, a note written, seen as {}", who["sub"]));
        client.close().await;
    }
    let notes = notes(demo, &demo.solo, "").await?;
    must(notes.len() == 2, || format!("Ann reads {notes:?}"))?;
    saw(&format!("Ann reads her {} notes", notes.len()));
    Ok(())
}

async fn client(demo: &Demo) -> Result<(), String> {
    println!("\nThe client key, for a company whose people connect with ?user_id=:");
    write(demo, &demo.client, "?user_id=marina", "Marina's plan").await?;
    let marina = notes(demo, &demo.client, "?user_id=marina").await?;
    let otto = notes(demo, &demo.client, "?user_id=otto").await?;
    must(marina == ["Marina's plan"] && otto.is_empty(), || format!("Marina {marina:?}, Otto {otto:?}"))?;
    saw(&format!("Marina reads {marina:?}"));
    saw("Otto, with the same key, reads none of them");
    Ok(())
}

async fn platform(demo: &Demo) -> Result<(), String> {
    println!("\nThe platform key, for a SaaS whose customers are named by ?org_id= and ?user_id=:");
    write(demo, &demo.platform, "?org_id=globex&user_id=marina", "Globex's secret").await?;
    let globex = notes(demo, &demo.platform, "?org_id=globex&user_id=marina").await?;
    let initech = notes(demo, &demo.platform, "?org_id=initech&user_id=marina").await?;
    must(globex == ["Globex's secret"] && initech.is_empty(), || format!("Globex {globex:?}, Initech {initech:?}"))?;
    saw(&format!("marina at globex reads {globex:?}"));
    saw("marina at initech is somebody else: reads none of them, nor those of Acme's own Marina");
    Ok(())
}

async fn refusals(demo: &Demo) -> Result<(), String> {
    println!("\nWhat is not allowed is refused, in a word that says why:");
    let (rest, last) = demo.solo.token.split_at(demo.solo.token.len() - 1);
    let typo = format!("{rest}{}", if last == "x" { "y" } else { "x" });
    let cases: [(&str, &str, &str, u16, &str); 6] = [
        (
            "a tenant that the client key does not list",
            "?user_id=mallory",
            &demo.client.token,
            403,
            "tenant_not_allowed",
        ),
        (
            "a customer that the platform key does not list",
            "?org_id=umbrella&user_id=marina",
            &demo.platform.token,
            403,
            "tenant_not_allowed",
        ),
        ("somebody else behind a solo key", "?user_id=marina", &demo.solo.token, 403, "tenant_not_allowed"),
        ("a client key without a user", "", &demo.client.token, 400, "tenant_required"),
        ("a tenant named twice", "?user_id=marina&user_id=otto", &demo.client.token, 400, "invalid_tenant"),
        ("a key with a typing error", "", &typo, 401, "unauthenticated"),
    ];
    for (what, query, token, status, code) in cases {
        let (seen, answer) = ping(demo, &demo.endpoint(query), token).await?;
        must(seen == status && answer["error"]["data"]["code"] == code, || format!("{what}: {seen} {answer}"))?;
        saw(&format!("{what}: {status} {code}"));
    }
    Ok(())
}

async fn revocation(demo: &Demo) -> Result<(), String> {
    println!("\nRevoking is immediate:");
    let (before, _) = ping(demo, &demo.endpoint("?user_id=marina"), &demo.client.token).await?;
    must(before == 200, || format!("before it was revoked: {before}"))?;
    let url = format!("{}/api/v1/api-keys/{}", demo.base, demo.client.id);
    let revoked =
        demo.http.delete(url).bearer_auth(&demo.access_token).send().await.map_err(|error| error.to_string())?;
    let receipt: Value = revoked.json().await.map_err(|error| error.to_string())?;
    must(!receipt["apiKey"]["revokedAt"].is_null(), || format!("revoking answered {receipt}"))?;
    saw(&format!("the client key is revoked; receipt {}", receipt["receipt"]));
    let (after, answer) = ping(demo, &demo.endpoint("?user_id=marina"), &demo.client.token).await?;
    must(after == 401, || format!("after it was revoked: {after} {answer}"))?;
    saw("its next request: 401 unauthenticated");
    let others = notes(demo, &demo.platform, "?org_id=globex&user_id=marina").await?;
    must(others.len() == 1, || format!("the platform key reads {others:?}"))?;
    saw("the other keys go on");
    Ok(())
}

async fn write(demo: &Demo, key: &DemoKey, query: &str, text: &str) -> Result<(), String> {
    let client = McpClient::connect(&demo.endpoint(query), &key.token, Header::ApiKey, Era::Modern).await?;
    client.call("add_note", json!({"text": text})).await?;
    client.close().await;
    Ok(())
}

async fn notes(demo: &Demo, key: &DemoKey, query: &str) -> Result<Vec<String>, String> {
    let client = McpClient::connect(&demo.endpoint(query), &key.token, Header::Bearer, Era::Modern).await?;
    let result = client.call("list_notes", json!({})).await?;
    client.close().await;
    let notes = result["notes"].as_array().ok_or_else(|| format!("no notes in {result}"))?;
    Ok(notes.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// A bare message, to see status and body as they are.
async fn ping(demo: &Demo, url: &str, token: &str) -> Result<(u16, Value), String> {
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}});
    let response = demo
        .http
        .post(url)
        .header("x-api-key", token)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .json(&list)
        .send()
        .await
        .map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    Ok((status, response.json().await.unwrap_or(Value::Null)))
}

async fn get(demo: &Demo, url: &str, token: &str) -> Result<(u16, Value), String> {
    let response = demo.http.get(url).header("x-api-key", token).send().await.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    Ok((status, response.json().await.map_err(|error| error.to_string())?))
}
