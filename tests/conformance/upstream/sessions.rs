//! Closing a stream before its answer (SEP-1699): the client comes back with `Last-Event-ID` and gets the rest.

use std::time::Duration;

use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{ErrorData, RoleServer};
use rmcp_actix_web::transport::on_request_extensions;

/// The session that a request named.
#[derive(Clone)]
pub struct SessionId(pub String);

/// More streams than the suite opens in one session.
const STREAMS: u64 = 64;
/// How soon a client is asked to come back to a stream that was closed.
pub const RETRY: Duration = Duration::from_millis(500);
/// How long the answer waits for the client, who comes back after `RETRY` at the earliest, or at once as the suite does.
/// rmcp forgets a stream with its answer, so that nobody who came later would get it.
const AWAY: Duration = Duration::from_millis(1500);

/// Closes the streams of the caller's session that still wait for an answer, this call's among them, and returns when the
/// client should be back. A caller without a session keeps its stream.
pub async fn close_streams(
    sessions: &LocalSessionManager,
    context: &RequestContext<RoleServer>,
) -> Result<(), ErrorData> {
    let id = on_request_extensions(&context.extensions).and_then(|extensions| extensions.get::<SessionId>());
    let Some(SessionId(id)) = id else { return Ok(()) };
    let handle = sessions.sessions.read().await.get(id.as_str()).cloned();
    let handle = handle.ok_or_else(|| ErrorData::internal_error("the session is gone", None))?;
    for stream in 0..STREAMS {
        // rmcp numbers a session's streams and does not tell a handler its own; one that is not there is an error.
        let _ = handle.close_sse_stream(stream, None).await;
    }
    tokio::time::sleep(AWAY).await;
    Ok(())
}
