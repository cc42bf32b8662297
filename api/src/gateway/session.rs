//! Session ids of legacy protocol versions. What clients hold is the time it was issued and the upstream's id, sealed for one
//! key, tenant and server: another caller's does not open, on any node and after any restart, without a store. When a session
//! is over is told in [`infra::sessions`].

use actix_web::http::header::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::access::Grant;
use domain::access::decide::ReachableServer;
use domain::access::permission::McpConnect;
use domain::tenant::{Tenant, TenantText};
use domain::time::{Clock, SystemClock};
use infra::sessions::{SessionTag, SessionUse, seconds};

use crate::code::Code;
use crate::compose::Services;
use crate::problem::Problem;

/// Longest session id that is looked at, in bytes.
const LENGTH_MAX: usize = 4096;
/// Begins what a session is bound to. Another form of what is sealed takes another number.
const FORM: u8 = 1;

/// A session that a caller presented, in use until it is dropped. Without `Debug`: ids are nobody else's.
pub struct Session {
    /// The id as its client has it.
    pub presented: HeaderValue,
    /// The id as the upstream has it.
    pub upstream: HeaderValue,
    /// Its use.
    pub used: SessionUse,
}

/// Whom a session belongs to, as bytes that no two callers share.
fn binding(grant: &Grant<McpConnect>, server: &ReachableServer) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    bytes.push(FORM);
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
    services: &Services,
    grant: &Grant<McpConnect>,
    server: &ReachableServer,
    upstream: &HeaderValue,
) -> Result<HeaderValue, Problem> {
    let now = seconds(SystemClock.now());
    let plain = [&now.to_be_bytes(), upstream.as_bytes()].concat();
    let unavailable = || Problem::new(Code::Unavailable);
    let sealed = services.sealer.seal_session(&binding(grant, server), &plain).map_err(|_| unavailable())?;
    let tag: &SessionTag = sealed.first_chunk().ok_or_else(unavailable)?;
    services.sessions_in_use.issued(*tag, now);
    HeaderValue::from_str(&URL_SAFE_NO_PAD.encode(sealed)).map_err(|_| unavailable())
}

/// The session behind an id that was handed out.
///
/// # Errors
/// 404 for an id that is foreign, altered or not ours, and for a session that is over.
pub fn open(
    services: &Services,
    grant: &Grant<McpConnect>,
    server: &ReachableServer,
    presented: &HeaderValue,
) -> Result<Session, Problem> {
    let opened = || {
        let text = presented.as_bytes();
        let sealed = URL_SAFE_NO_PAD.decode(text.get(..text.len().min(LENGTH_MAX))?).ok()?;
        let plain = services.sealer.open_session(&binding(grant, server), &sealed).ok()?;
        let (issued, upstream) = plain.split_first_chunk()?;
        let (tag, now) = (*sealed.first_chunk()?, seconds(SystemClock.now()));
        let used = services.sessions_in_use.begin(tag, u32::from_be_bytes(*issued), now).ok()?;
        Some(Session { presented: presented.clone(), upstream: HeaderValue::from_bytes(upstream).ok()?, used })
    };
    opened().ok_or_else(|| Problem::new(Code::SessionNotFound))
}
