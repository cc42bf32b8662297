//! From actix to rmcp and back: the one place of the endpoint where their types meet.

use std::pin::pin;
use std::sync::{Arc, LazyLock};

use actix_web::body::SizedStream;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use domain::tenant::TenantRefusal;
use futures_util::stream::{self, Stream};
use http_body_util::{BodyExt, Collected, Full};
use infra::cache::{CallPlace, LiveKeyHandle};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use super::endpoint::Endpoint;
use super::ready;
use crate::authenticate::key_over;
use crate::code::Code;
use crate::gateway::bridge::{method_up, name_down, name_up, status_down, value_down, value_up};
use crate::problem::Problem;

/// Nobody has a session here; rmcp wants somebody who could keep them.
static NO_SESSIONS: LazyLock<Arc<LocalSessionManager>> = LazyLock::new(Arc::default);

/// Answers one request.
///
/// # Errors
/// 401 when the caller's key ends before the answer begins, 403 when its tenant is suspended: what was done is not told.
pub async fn answer(
    request: &HttpRequest,
    body: Bytes,
    endpoint: Endpoint,
    live: LiveKeyHandle,
    place: CallPlace,
) -> Result<HttpResponse, Problem> {
    let mut asked = http::Request::new(Full::new(body));
    *asked.method_mut() = method_up(request.method()).ok_or_else(|| Problem::new(Code::MethodNotAllowed))?;
    for (name, value) in request.headers() {
        if let (Some(name), Some(value)) = (name_up(name), value_up(value)) {
            asked.headers_mut().append(name, value);
        }
    }
    let (listed, caller) = (Arc::clone(&endpoint.listed), Arc::clone(&endpoint.caller));
    let make = move || Ok(endpoint.clone());
    let service = StreamableHttpService::new(make, Arc::clone(&NO_SESSIONS), config());
    let answer = tokio::select! {
        biased;
        () = live.over() => return Err(key_over(&live)),
        answer = service.handle(asked) => answer,
    };
    // Like a key that ends: what was done meanwhile is not told.
    if caller.services.suspended.covers(caller.grant.tenant()) {
        return Err(TenantRefusal::Suspended.into());
    }
    let (head, mut body) = answer.into_parts();
    if let Some(tools) = listed.get() {
        let answer = body.collect().await.map_or_else(|never| match never {}, Collected::to_bytes);
        // An error, if anything: what was listed is not told.
        body = ready::put_into(answer, tools).map_or_else(|answer| Full::new(answer).boxed(), BodyExt::boxed);
    }
    let mut response = HttpResponse::build(status_down(head.status).ok_or_else(|| Problem::new(Code::Internal))?);
    for (name, value) in &head.headers {
        if name != http::header::CONTENT_LENGTH
            && let (Some(name), Some(value)) = (name_down(name), value_down(value))
        {
            response.append_header((name, value));
        }
    }
    let length = http_body::Body::size_hint(&body).exact();
    let pieces = Box::pin(until_over(body, live, place));
    Ok(match length {
        Some(length) => response.body(SizedStream::new(length, pieces)),
        None => response.streaming(pieces),
    })
}

fn config() -> StreamableHttpServerConfig {
    StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        // Names and origins were compared before the caller was even looked at.
        .with_allowed_hosts(Vec::<String>::new())
}

/// The key ended while its answer was on its way.
#[derive(Debug, thiserror::Error)]
#[error("the key ended")]
struct Over;

/// A body as it comes, until its end or the key's. The call's place is kept for as long.
fn until_over<B>(body: B, live: LiveKeyHandle, place: CallPlace) -> impl Stream<Item = Result<Bytes, Over>>
where
    B: http_body::Body<Data = Bytes, Error = std::convert::Infallible> + Unpin,
{
    stream::unfold(Some((body, live, place)), async |under_way| {
        let (mut body, live, place) = under_way?;
        loop {
            let frame = {
                let over = pin!(live.over());
                tokio::select! {
                    biased;
                    () = over => return Some((Err(Over), None)),
                    frame = body.frame() => frame?,
                }
            };
            if let Ok(data) = frame.map_err(|never| match never {}).and_then(|frame| frame.into_data().map_err(drop)) {
                return Some((Ok(data), Some((body, live, place))));
            }
        }
    })
}
