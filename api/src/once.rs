//! `Idempotency-Key`: a creating write that is repeated is made once, and answered again as it was answered first.

use std::future::{Future, Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use bytes::Bytes;
use domain::access::TenantScope;
use domain::idempotency::{Asked, Claim, Claimed, Ended, IdempotencyKey, InvalidIdempotencyKey, KeptAnswer};
use domain::time::{Clock, SystemClock};
use serde::Serialize;
use utoipa::IntoParams;

use crate::code::Code;
use crate::compose::Services;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// How long a repetition waits for the first request before it gets 409.
const PATIENCE: u32 = 20;
const STEP: Duration = Duration::from_millis(100);

/// The header, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read by utoipa alone")]
pub struct OnceHeader {
    /// A name of your own for this write, such as a random UUID. Repeating the same write under the same name within 24
    /// hours gives the first answer again, with `Idempotent-Replayed: true`, and makes nothing.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]{1,255}$",
        required = false
    )]
    idempotency_key: Option<String>,
}

/// Whether, and under which name, a write may be repeated; not read yet, since callers are proven first.
pub struct Once {
    key: Result<Option<IdempotencyKey>, InvalidIdempotencyKey>,
    method: String,
    path: String,
    query: String,
}

/// A thing that was made, and its answer.
pub struct Made {
    status: StatusCode,
    body: String,
    kept: String,
}

impl Made {
    /// The answer, which is kept as it is. What it holds must not be secret.
    ///
    /// # Errors
    /// 500 when it cannot be written as JSON.
    pub fn new(status: StatusCode, answer: &impl Serialize) -> Result<Self, Problem> {
        Self::keeping(status, answer, answer)
    }

    /// The answer, and what is kept of it: the answer without what may be shown once.
    ///
    /// # Errors
    /// 500 when one of them cannot be written as JSON.
    pub fn keeping(status: StatusCode, answer: &impl Serialize, kept: &impl Serialize) -> Result<Self, Problem> {
        let text = |error: serde_json::Error| Problem::internal(error);
        let body = serde_json::to_string(answer).map_err(text)?;
        let kept = serde_json::to_string(kept).map_err(text)?;
        Ok(Self { status, body, kept })
    }
}

impl FromRequest for Once {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut given = request.headers().get_all(IDEMPOTENCY_KEY);
        let key = match (given.next(), given.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => {
                value.to_str().map_err(|_| InvalidIdempotencyKey).and_then(|text| text.parse().map(Some))
            }
            (Some(_), Some(_)) => Err(InvalidIdempotencyKey),
        };
        // The same operation answers under both prefixes.
        let path = request.path();
        let path = path.strip_prefix("/api/v1").or_else(|| path.strip_prefix("/api")).unwrap_or(path);
        ready(Ok(Self {
            key,
            method: request.method().to_string(),
            path: path.to_owned(),
            query: request.query_string().to_owned(),
        }))
    }
}

impl Once {
    /// The name alone, for a write that keeps it with what it makes.
    ///
    /// # Errors
    /// 400 for one that cannot be one.
    pub fn key(self) -> Result<Option<IdempotencyKey>, Problem> {
        self.key.map_err(|fault| Problem::field(Code::ValidationFailed, "Idempotency-Key", fault))
    }

    /// Makes a thing, to its end also when the caller leaves; or answers as the first request with the same key was
    /// answered. `body` is the request's.
    ///
    /// # Errors
    /// What `work` ends with; 400 for a key that cannot be one; 409 when the key was used for another write, or its
    /// first request is still under way or ended in the dark.
    pub async fn make(
        self,
        services: &Services,
        scope: &TenantScope,
        body: &Bytes,
        work: impl Future<Output = Result<Made, Problem>> + Send + 'static,
    ) -> Result<HttpResponse, Problem> {
        let key = self.key.map_err(|fault| Problem::field(Code::ValidationFailed, "Idempotency-Key", fault))?;
        let Some(key) = key else {
            let made = to_the_end(work).await?;
            return Ok(answer(made.status, made.body));
        };
        let asked = Asked { method: &self.method, path: &self.path, query: &self.query, body };
        let claim = services.claims.claim(scope, &key, asked);
        if let Some(kept) = first_answer(services, &claim).await? {
            let mut response = answer(StatusCode::from_u16(kept.status).unwrap_or(StatusCode::CREATED), kept.body);
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            return Ok(response);
        }
        let store = std::sync::Arc::clone(&services.idempotency);
        let made = to_the_end(async move {
            let made = work.await;
            let ended = match &made {
                Ok(made) => Ended::Made(KeptAnswer { status: made.status.as_u16(), body: made.kept.clone() }),
                Err(problem) if problem.code().status().is_client_error() => Ended::Refused,
                // It may have been made: a change stands also when its audit row came too late.
                Err(_) => Ended::Unknown,
            };
            if let Err(fault) = store.end(&claim, ended).await {
                // The claim stands without an end, and is taken for unknown when its time is over.
                tracing::error!(error = &fault as &dyn std::error::Error, "the end of a write could not be noted");
            }
            made
        })
        .await?;
        Ok(answer(made.status, made.body))
    }
}

/// The first request's answer, when it has one; none when this is the first. Waits a while for one that is under way.
async fn first_answer(services: &Services, claim: &Claim) -> Result<Option<KeptAnswer>, Problem> {
    let conflict = |message: &str| Problem::because(Code::IdempotencyConflict, message);
    for _ in 0..PATIENCE {
        match services.idempotency.claim(claim, SystemClock.now()).await? {
            Claimed::First => return Ok(None),
            Claimed::Again(answer) => return Ok(Some(answer)),
            Claimed::Other => {
                return Err(conflict("this Idempotency-Key was used for another request; use a new one"));
            }
            Claimed::Unknown => {
                return Err(conflict(
                    "the first request with this Idempotency-Key ended before it was known whether it succeeded; look \
                     whether the thing was made, and use a new key if it was not",
                ));
            }
            Claimed::UnderWay => tokio::time::sleep(STEP).await,
        }
    }
    Err(conflict("the first request with this Idempotency-Key is still under way").after(Duration::from_secs(1)))
}

fn answer(status: StatusCode, body: String) -> HttpResponse {
    HttpResponse::build(status).insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json"))).body(body)
}
