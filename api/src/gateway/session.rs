//! Session ids of legacy protocol versions. What clients hold is the upstream's id, sealed for one key, tenant and
//! server: another caller's does not open, on any node and after any restart, without a store.

use actix_web::http::header::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::access::Grant;
use domain::access::decide::ReachableServer;
use domain::access::permission::McpConnect;
use domain::tenant::{Tenant, TenantText};
use infra::seal::Sealer;

use crate::code::Code;
use crate::problem::Problem;

/// Longest session id that is looked at, in bytes.
const LENGTH_MAX: usize = 4096;

/// Whom a session belongs to, as bytes that no two callers share.
fn binding(grant: &Grant<McpConnect>, server: &ReachableServer) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    bytes.extend_from_slice(server.record().id.as_uuid().as_bytes());
    if let Some(key) = grant.key() {
        bytes.extend_from_slice(key.id.as_token_part().as_bytes());
    }
    bytes.push(match grant.tenant() {
        Tenant::Owner => 0,
        Tenant::Organization => 1,
        Tenant::Below { .. } => 2,
    });
    for part in [grant.tenant().org(), grant.tenant().user()] {
        let text = part.map_or("", TenantText::as_str);
        // Ids have at most 128 bytes.
        bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// The id to hand out for an upstream's.
///
/// # Errors
/// 503 when the random source fails.
pub fn seal(
    sealer: &Sealer,
    grant: &Grant<McpConnect>,
    server: &ReachableServer,
    upstream: &HeaderValue,
) -> Result<HeaderValue, Problem> {
    let unavailable = || Problem::new(Code::Unavailable);
    let sealed = sealer.seal_session(&binding(grant, server), upstream.as_bytes()).map_err(|_| unavailable())?;
    HeaderValue::from_str(&URL_SAFE_NO_PAD.encode(sealed)).map_err(|_| unavailable())
}

/// The upstream's id behind one that was handed out.
///
/// # Errors
/// 404 for an id that is foreign, altered or not ours.
pub fn open(
    sealer: &Sealer,
    grant: &Grant<McpConnect>,
    server: &ReachableServer,
    presented: &HeaderValue,
) -> Result<HeaderValue, Problem> {
    let opened = || {
        let text = presented.as_bytes();
        let sealed = URL_SAFE_NO_PAD.decode(text.get(..text.len().min(LENGTH_MAX))?).ok()?;
        let upstream = sealer.open_session(&binding(grant, server), &sealed).ok()?;
        HeaderValue::from_bytes(&upstream).ok()
    };
    opened().ok_or_else(|| Problem::new(Code::SessionNotFound))
}
