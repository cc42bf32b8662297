//! Very many keys in one SQLite file, in seconds: written beside the product, in the form that it stores.

use std::fmt::Write;

use domain::key::{IssuedToken, KeyPrefix, TokenKeys};
use secrecy::ExposeSecret;

use crate::App;

/// Rows per statement.
const CHUNK: usize = 500;
/// What a copy of a key takes over from it.
const KEPT: &str = "organization_id, owner_id, prefix, description, kind, role, permissions, all_servers, any_tenant, \
                    tenants_version, rate_requests, rate_seconds, expires_at, last_used_at, revoked_at, revoked_by";

/// Adds copies of the newest key, a microsecond apart and older, each with an id and a digest of its own that belongs to no token.
pub async fn add_copies(app: &App, count: usize) {
    let numbers = format!("WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})");
    app.run_sql(&format!(
        "{numbers} INSERT INTO api_keys (id, name, created_at, {KEPT}) \
         SELECT lower(hex(randomblob(8))), 'copy ' || n, created_at - n, {KEPT} \
         FROM n, (SELECT * FROM api_keys ORDER BY created_at DESC LIMIT 1)"
    ))
    .await;
    app.run_sql(
        "INSERT INTO api_key_digests (digest, key_id, organization_id, created_at) \
         SELECT randomblob(32), id, organization_id, created_at FROM api_keys \
         WHERE id NOT IN (SELECT key_id FROM api_key_digests)",
    )
    .await;
}

/// Adds such copies that have tokens, which these are.
pub async fn add_with_tokens(app: &App, keys: &TokenKeys, count: usize) -> Vec<String> {
    let issue = |_| IssuedToken::issue(&KeyPrefix::default(), keys).expect("randomness");
    let issued: Vec<_> = (0..count).map(issue).collect();
    for (number, chunk) in issued.chunks(CHUNK).enumerate() {
        let (mut ids, mut digests) = (String::new(), String::new());
        for (place, token) in chunk.iter().enumerate() {
            let (id, comma) = (token.key(), if place == 0 { "" } else { ", " });
            let _ = write!(ids, "{comma}('{}', {})", id.as_token_part(), number * CHUNK + place + 1);
            let _ = write!(digests, "{comma}('{}', x'", id.as_token_part());
            for byte in token.digest().as_bytes() {
                let _ = write!(digests, "{byte:02x}");
            }
            digests.push_str("')");
        }
        app.run_sql(&format!(
            "WITH ids(new, n) AS (VALUES {ids}) INSERT INTO api_keys (id, name, created_at, {KEPT}) \
             SELECT new, 'copy ' || new, created_at - n, {KEPT} \
             FROM ids, (SELECT * FROM api_keys ORDER BY created_at DESC LIMIT 1)"
        ))
        .await;
        app.run_sql(&format!(
            "WITH tokens(key, digest) AS (VALUES {digests}) \
             INSERT INTO api_key_digests (digest, key_id, organization_id, created_at) \
             SELECT digest, id, organization_id, created_at FROM tokens JOIN api_keys ON id = key"
        ))
        .await;
    }
    issued.into_iter().map(|token| token.reveal().expose_secret().to_owned()).collect()
}
