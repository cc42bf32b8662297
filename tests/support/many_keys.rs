//! Very many keys in one database, in seconds: written beside the product, in the form that it stores.

use std::fmt::Write;

use domain::key::{IssuedToken, KeyPrefix, TokenKeys};
use infra::db::DatabaseUrl;
use secrecy::ExposeSecret;

use crate::App;

/// Rows per statement.
const CHUNK: usize = 500;
/// What a copy of a key takes over from it.
const KEPT: &str = "organization_id, owner_id, prefix, description, kind, role, permissions, all_servers, any_tenant, \
                    tenants_version, rate_requests, rate_seconds, expires_at, last_used_at, revoked_at, revoked_by";

/// What the databases say differently.
struct Dialect {
    random_id: &'static str,
    random_digest: &'static str,
    bytes: (&'static str, &'static str),
}

const SQLITE: Dialect =
    Dialect { random_id: "lower(hex(randomblob(8)))", random_digest: "randomblob(32)", bytes: ("x'", "'") };
const POSTGRES: Dialect = Dialect {
    random_id: "substr(md5(random()::text || n), 1, 16)",
    random_digest: "sha256(convert_to(id || random()::text, 'UTF8'))",
    bytes: ("'\\x", "'::bytea"),
};

fn dialect(app: &App) -> &'static Dialect {
    match app.services().settings.database() {
        DatabaseUrl::Sqlite(_) => &SQLITE,
        DatabaseUrl::Postgres(_) => &POSTGRES,
    }
}

/// Adds copies of the newest key, a microsecond apart and older, each with an id and a digest of its own that belongs to no token.
pub async fn add_copies(app: &App, count: usize) {
    let Dialect { random_id, random_digest, .. } = dialect(app);
    let numbers = format!("WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})");
    app.run_sql(&format!(
        "{numbers} INSERT INTO api_keys (id, name, created_at, {KEPT}) \
         SELECT {random_id}, 'copy ' || n, created_at - n, {KEPT} \
         FROM n, (SELECT * FROM api_keys ORDER BY created_at DESC LIMIT 1) newest"
    ))
    .await;
    app.run_sql(&format!(
        "INSERT INTO api_key_digests (digest, key_id, organization_id, created_at) \
         SELECT {random_digest}, id, organization_id, created_at FROM api_keys \
         WHERE NOT EXISTS (SELECT 1 FROM api_key_digests WHERE key_id = id)"
    ))
    .await;
}

/// Adds such copies that have tokens, which these are.
pub async fn add_with_tokens(app: &App, keys: &TokenKeys, count: usize) -> Vec<String> {
    let issue = |_| IssuedToken::issue(&KeyPrefix::default(), keys).expect("randomness");
    let issued: Vec<_> = (0..count).map(issue).collect();
    let (open, close) = dialect(app).bytes;
    for (number, chunk) in issued.chunks(CHUNK).enumerate() {
        let (mut ids, mut digests) = (String::new(), String::new());
        for (place, token) in chunk.iter().enumerate() {
            let (id, comma) = (token.key(), if place == 0 { "" } else { ", " });
            let _ = write!(ids, "{comma}('{}', {})", id.as_token_part(), number * CHUNK + place + 1);
            let _ = write!(digests, "{comma}('{}', {open}", id.as_token_part());
            for byte in token.digest().as_bytes() {
                let _ = write!(digests, "{byte:02x}");
            }
            let _ = write!(digests, "{close})");
        }
        app.run_sql(&format!(
            "WITH ids(new, n) AS (VALUES {ids}) INSERT INTO api_keys (id, name, created_at, {KEPT}) \
             SELECT new, 'copy ' || new, created_at - n, {KEPT} \
             FROM ids, (SELECT * FROM api_keys ORDER BY created_at DESC LIMIT 1) newest"
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
