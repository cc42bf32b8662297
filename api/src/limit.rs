//! Limits at the edge: counting a request, refusing it, and telling in headers how the limit stands.
//!
//! The headers are `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` (seconds). They tell of the key's own
//! limit; where the key has none, or the server's is what refuses, of the server's.

use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpMessage, HttpRequest};
use domain::key::{KeyId, RateLimit};
use domain::limit::{Limited, Quota, Verdict};
use domain::server::ServerRecord;
use infra::cache::{CallPlace, LiveKeyHandle};

use crate::code::Code;
use crate::compose::Services;
use crate::problem::{Problem, whole_seconds};

/// When to try again where nobody knows when a call ends.
const CALLS_RETRY: Duration = Duration::from_secs(1);
const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Counts a request against the limit of its key.
///
/// # Errors
/// 429 over the limit.
pub async fn of_key(services: &Services, request: &HttpRequest, key: KeyId, limit: RateLimit) -> Result<(), Problem> {
    match services.limiter.take(Limited::Key(key), limit).await? {
        Verdict::Within(quota) => {
            request.extensions_mut().insert(quota);
            Ok(())
        }
        Verdict::Over { quota, retry_after } => {
            request.extensions_mut().insert(quota);
            Err(Problem::because(Code::RateLimited, format!("this key takes {}", words(limit))).after(retry_after))
        }
    }
}

/// Takes a place among the calls and streams that a key has under way on this node.
///
/// # Errors
/// 429 when all are taken.
pub fn of_calls(services: &Services, live: &LiveKeyHandle) -> Result<CallPlace, Problem> {
    let limit = services.settings.calls_per_key;
    live.begin_call(limit).ok_or_else(|| {
        let message = format!("this key has {limit} calls and open streams, and takes no more before one ends");
        Problem::because(Code::RateLimited, message).after(CALLS_RETRY)
    })
}

/// Counts a call against the limit of its server, which all keys of the organization share, and tells its caller how the
/// limit stands.
///
/// # Errors
/// 429 over the limit.
pub async fn of_server(
    services: &Services,
    request: &HttpRequest,
    server: &ServerRecord,
    limit: RateLimit,
) -> Result<(), Problem> {
    let (quota, verdict) = count(services, server, limit).await?;
    let mut extensions = request.extensions_mut();
    if verdict.is_err() || !extensions.contains::<Quota>() {
        extensions.insert(quota);
    }
    verdict
}

/// Counts a call against the limit of its server, if it has one, where no header can tell of it.
///
/// # Errors
/// 429 over the limit.
pub async fn of_tool(services: &Services, server: &ServerRecord) -> Result<(), Problem> {
    match server.rate_limit {
        Some(limit) => count(services, server, limit).await?.1,
        None => Ok(()),
    }
}

async fn count(
    services: &Services,
    server: &ServerRecord,
    limit: RateLimit,
) -> Result<(Quota, Result<(), Problem>), Problem> {
    Ok(match services.limiter.take(Limited::Server(server.id), limit).await? {
        Verdict::Within(quota) => (quota, Ok(())),
        Verdict::Over { quota, retry_after } => {
            let message = format!("the server {} takes {}, from all keys together", server.slug, words(limit));
            (quota, Err(Problem::because(Code::RateLimited, message).after(retry_after)))
        }
    })
}

fn words(limit: RateLimit) -> String {
    let (requests, seconds) = (limit.requests(), limit.per_seconds());
    let s = |number: u32| if number == 1 { "" } else { "s" };
    format!("{requests} request{} in {seconds} second{}", s(requests), s(seconds))
}

/// Adds what is told of a limit to an answer, whichever it is, if the request was counted against one.
pub fn told<B: MessageBody>(mut response: ServiceResponse<B>) -> ServiceResponse<B> {
    let quota = response.request().extensions().get::<Quota>().copied();
    if let Some(quota) = quota {
        let headers = response.headers_mut();
        headers.insert(LIMIT, HeaderValue::from(quota.limit.requests()));
        headers.insert(REMAINING, HeaderValue::from(quota.remaining));
        headers.insert(RESET, HeaderValue::from(whole_seconds(quota.reset)));
    }
    response
}
