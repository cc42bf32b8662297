//! CORS (Fetch standard): what pages of other origins may send, and what of the answers they may read. Which origins those
//! are is [`crate::layer::Names`]'s to say; every other is refused before it comes here.
//!
//! No answer allows credentials: a page sends its key or access token in a header, and the cookie of a session stays with
//! the installation's own pages.

use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, HeaderMap, HeaderValue, ORIGIN, VARY,
};

use crate::problem::MCP_METHODS;
use crate::routes::is_mcp_path;

/// What pages may send besides the headers that need no permission; and every `Mcp-Param-*`.
const REQUEST_HEADERS: [&str; 13] = [
    "accept",
    "authorization",
    "baggage",
    "content-type",
    "idempotency-key",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "traceparent",
    "tracestate",
    "x-api-key",
];
/// What pages may read besides the headers that need no permission.
const EXPOSED: &str = "Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, RateLimit-Limit, RateLimit-Remaining, \
                       RateLimit-Reset, Retry-After, X-Request-Id, Idempotent-Replayed";
const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
/// Seconds that a browser may remember a permission.
const MAX_AGE: &str = "600";

/// The answer to OPTIONS, where that is not a route's to give: to a browser's question, and on MCP paths, which have no
/// other use for it. It needs no key, since a browser sends none with its question.
pub fn options(request: &ServiceRequest) -> Option<HttpResponse> {
    if request.method() != Method::OPTIONS {
        return None;
    }
    let asked = request.headers();
    if !asked.contains_key(ORIGIN) || !asked.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        let allow = || HttpResponse::NoContent().insert_header((ALLOW, MCP_METHODS)).finish();
        return is_mcp_path(request.path()).then(allow);
    }
    let mut answer = HttpResponse::NoContent();
    answer.insert_header((ACCESS_CONTROL_ALLOW_METHODS, METHODS)).insert_header((ACCESS_CONTROL_MAX_AGE, MAX_AGE));
    if let Ok(headers) = HeaderValue::from_str(&permitted(asked)) {
        answer.insert_header((ACCESS_CONTROL_ALLOW_HEADERS, headers));
    }
    Some(answer.finish())
}

/// Those of the headers asked for that a page may send.
fn permitted(asked: &HeaderMap) -> String {
    let names = asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS).filter_map(|value| value.to_str().ok());
    let names = names.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase());
    let permitted = names.filter(|name| REQUEST_HEADERS.contains(&name.as_str()) || name.starts_with("mcp-param-"));
    permitted.collect::<Vec<_>>().join(", ")
}

/// Lets a page of this origin, which was checked, read an answer.
pub fn expose(origin: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.append(VARY, HeaderValue::from_name(ORIGIN));
}
