//! Messages over HTTP, for rmcp: each is a POST of ours, with the headers of its moment.
//!
//! rmcp is told a number in place of a session's id, since it writes ids into log lines. The stream that a legacy client
//! may listen on (GET) is not opened: nothing is asked of us that we could answer. A stream that broke off is resumed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ErrorData, RequestId, ServerJsonRpcMessage};
use rmcp::transport::common::http_header::{EVENT_STREAM_MIME_TYPE, JSON_MIME_TYPE};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::Sse;
use tokio_util::sync::CancellationToken;

use super::HeaderSource;
use super::body::{ERROR_MAX, MESSAGE_MAX, events, whole};
use super::fault::{Broken, HttpFault};
use super::mirror::Schemas;
use crate::upstream::{Redirect, SharedAnswer, SharedUpstream, Target};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static(JSON_MIME_TYPE);
/// How much of a `Retry-After` is kept, in bytes.
const RETRY_AFTER_MAX: usize = 128;

type Fault = StreamableHttpError<HttpFault>;

/// A server, as rmcp sends to it. While it greets a server rmcp does not hear that it is given up; `given_up` tells us.
#[derive(Clone)]
pub(super) struct UpstreamHttp(Arc<Inner>);

struct Inner {
    upstream: SharedUpstream,
    target: Target,
    headers: Arc<dyn HeaderSource>,
    connect: Duration,
    session: Mutex<Session>,
    broken: Arc<Broken>,
    given_up: CancellationToken,
    schemas: Arc<Schemas>,
}

/// The session that the server gave, and how many it gave before.
#[derive(Default)]
struct Session {
    number: u64,
    id: Option<HeaderValue>,
}

impl UpstreamHttp {
    pub(super) fn new(
        upstream: SharedUpstream,
        target: Target,
        headers: Arc<dyn HeaderSource>,
        connect: Duration,
        broken: Arc<Broken>,
        given_up: CancellationToken,
        schemas: Arc<Schemas>,
    ) -> Self {
        let session = Mutex::default();
        Self(Arc::new(Inner { upstream, target, headers, connect, session, broken, given_up, schemas }))
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.0.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of the session with this number; none when it is not the newest.
    fn id_of(&self, number: &str) -> Option<HeaderValue> {
        let session = self.session();
        (session.number.to_string() == number).then(|| session.id.clone()).flatten()
    }

    /// Keeps the session that an answer gives; its number.
    fn begun(&self, answer: &SharedAnswer) -> Option<String> {
        let mut id = answer.headers().get(SESSION)?.clone();
        id.set_sensitive(true);
        let mut session = self.session();
        if session.id.as_ref() != Some(&id) {
            *session = Session { number: session.number + 1, id: Some(id) };
        }
        Some(session.number.to_string())
    }

    /// Sends a request, and follows its answer once within the origin.
    async fn send(
        &self,
        method: Method,
        custom: HashMap<HeaderName, HeaderValue>,
        session: Option<&str>,
        last_event: Option<&str>,
        body: Bytes,
    ) -> Result<SharedAnswer, Fault> {
        let mut headers = self.0.headers.headers().map_err(HttpFault::Headers).map_err(Fault::Client)?;
        // What the protocol says stands, whatever the source of headers thinks.
        for (name, value) in custom {
            headers.insert(name, value);
        }
        headers.insert(ACCEPT, BOTH);
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, JSON);
        }
        headers.remove(SESSION);
        if let Some(number) = session {
            headers.insert(SESSION, self.id_of(number).ok_or(Fault::SessionExpired)?);
        }
        if let Some(id) = last_event {
            let id = HeaderValue::from_str(id).map_err(|_| HttpFault::Protocol("the id of an event cannot be sent"));
            headers.insert(LAST_EVENT, id.map_err(Fault::Client)?);
        }
        tokio::select! {
            biased;
            () = self.0.given_up.cancelled() => Err(Fault::Client(HttpFault::Ended)),
            answer = self.follow(method, headers, body) => answer.map_err(Fault::Client),
        }
    }

    async fn follow(&self, method: Method, headers: HeaderMap, body: Bytes) -> Result<SharedAnswer, HttpFault> {
        let Inner { upstream, target, connect, .. } = &*self.0;
        let mut elsewhere = None;
        for _hop in 0..2 {
            let target = elsewhere.as_ref().unwrap_or(target);
            let answer = upstream.send(target, method.clone(), headers.clone(), body.clone(), *connect).await?;
            match Redirect::read(answer.status(), answer.headers(), target) {
                Redirect::No if is_refusal(answer.status()) => return Err(HttpFault::Refused(answer.status())),
                Redirect::No => return Ok(answer),
                Redirect::Same(next) if elsewhere.is_none() => elsewhere = Some(*next),
                Redirect::Same(_) | Redirect::Elsewhere => break,
            }
        }
        Err(HttpFault::Redirected)
    }
}

impl StreamableHttpClient for UpstreamHttp {
    type Error = HttpFault;

    async fn post_message(
        &self,
        _uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _auth: Option<String>,
        mut custom: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Fault> {
        // Where the message's headers repeat what it says, and in no earlier revision.
        if custom.contains_key(&METHOD) {
            custom.extend(self.0.schemas.headers(&message));
        }
        let body = serde_json::to_vec(&message)?;
        let answer = self.send(Method::POST, custom, session.as_deref(), None, body.into()).await?;
        match answer.status() {
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT => Ok(StreamableHttpPostResponse::Accepted),
            StatusCode::NOT_FOUND if session.is_some() => Err(Fault::SessionExpired),
            status if status.is_success() => self.read(answer, asked(&message)).await,
            _ => read_failure(answer, &message).await,
        }
    }

    async fn delete_session(
        &self,
        _uri: Arc<str>,
        session: Arc<str>,
        _auth: Option<String>,
        custom: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Fault> {
        // Courtesy: whatever comes of it, the session is not used any more.
        if let Err(fault) = self.send(Method::DELETE, custom, Some(&session), None, Bytes::new()).await {
            tracing::debug!(%fault, "an upstream server's session was not ended");
        }
        Ok(())
    }

    async fn get_stream(
        &self,
        _uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        _auth: Option<String>,
        custom: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Fault> {
        let Some(last_event) = last_event else { return Err(Fault::ServerDoesNotSupportSse) };
        let answer = self.send(Method::GET, custom, session.as_deref(), Some(&last_event), Bytes::new()).await?;
        match answer.status() {
            StatusCode::METHOD_NOT_ALLOWED => Err(Fault::ServerDoesNotSupportSse),
            status if !status.is_success() => Err(Fault::Client(failed(&answer))),
            _ if is(&answer, EVENT_STREAM_MIME_TYPE) => Ok(self.events(answer)),
            _ => Err(Fault::Client(HttpFault::Protocol("its stream of events is none"))),
        }
    }
}

impl UpstreamHttp {
    fn events(&self, answer: SharedAnswer) -> BoxStream<'static, Result<Sse, SseError>> {
        let given_up = self.0.given_up.clone();
        events(answer.into_body(), Arc::clone(&self.0.broken)).take_until(given_up.cancelled_owned()).boxed()
    }

    /// Reads an answer that is not a failure. `asked` is the id of the request, if it is one.
    async fn read(&self, answer: SharedAnswer, asked: Option<&RequestId>) -> Result<StreamableHttpPostResponse, Fault> {
        let session = self.begun(&answer);
        let Some(asked) = asked else { return Ok(StreamableHttpPostResponse::Accepted) };
        if is(&answer, EVENT_STREAM_MIME_TYPE) {
            return Ok(StreamableHttpPostResponse::Sse(self.events(answer), session));
        }
        if !is(&answer, JSON_MIME_TYPE) {
            return Err(Fault::Client(HttpFault::Protocol("its answer is neither JSON nor a stream of events")));
        }
        let body = whole(answer.into_body(), MESSAGE_MAX).await.map_err(Fault::Client)?;
        let message = match serde_json::from_slice(&body) {
            Ok(ServerJsonRpcMessage::Response(response)) if answers(&response.id, asked) => {
                ServerJsonRpcMessage::Response(response)
            }
            Ok(ServerJsonRpcMessage::Error(error)) => error_for(asked, error.error),
            Ok(_) => return Err(Fault::Client(HttpFault::Protocol("its answer is one to something else"))),
            Err(_) => return Err(Fault::Client(HttpFault::Protocol("its answer is no message of MCP"))),
        };
        Ok(StreamableHttpPostResponse::Json(message, session))
    }
}

/// Reads a failure: an error of the protocol where there is one. rmcp finds out by it which era the server speaks.
async fn read_failure(
    answer: SharedAnswer,
    message: &ClientJsonRpcMessage,
) -> Result<StreamableHttpPostResponse, Fault> {
    let (status, fault) = (answer.status(), failed(&answer));
    let ClientJsonRpcMessage::Request(request) = message else { return Err(Fault::Client(fault)) };
    let body = whole(answer.into_body(), ERROR_MAX).await.unwrap_or_default();
    let error = match serde_json::from_slice(&body) {
        // Whoever refuses before it reads cannot repeat the id.
        Ok(ServerJsonRpcMessage::Error(error)) => error.error,
        // Before it knows of modern messages a server may refuse them with anything.
        _ if status.is_client_error() && matches!(request.request, ClientRequest::DiscoverRequest(_)) => {
            ErrorData::invalid_request(
                format!("server/discover was answered with HTTP status {}", status.as_u16()),
                None,
            )
        }
        _ => return Err(Fault::Client(fault)),
    };
    Ok(StreamableHttpPostResponse::Json(error_for(&request.id, error), None))
}

fn asked(message: &ClientJsonRpcMessage) -> Option<&RequestId> {
    match message {
        ClientJsonRpcMessage::Request(request) => Some(&request.id),
        ClientJsonRpcMessage::Response(_) | ClientJsonRpcMessage::Error(_) | ClientJsonRpcMessage::Notification(_) => {
            None
        }
    }
}

fn error_for(asked: &RequestId, error: ErrorData) -> ServerJsonRpcMessage {
    ServerJsonRpcMessage::error(error, Some(asked.clone()))
}

/// Whether an id is the request's; some servers give a number back as a text.
fn answers(id: &RequestId, asked: &RequestId) -> bool {
    id == asked || id.to_string() == asked.to_string()
}

fn failed(answer: &SharedAnswer) -> HttpFault {
    let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.filter(|text| text.len() <= RETRY_AFTER_MAX).map(str::to_owned);
    HttpFault::Status(answer.status(), retry_after)
}

fn is(answer: &SharedAnswer, media_type: &str) -> bool {
    let given = answer.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    given.get(..media_type.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(media_type.as_bytes()))
}

/// Whether it judges our credential.
fn is_refusal(status: StatusCode) -> bool {
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status)
}
