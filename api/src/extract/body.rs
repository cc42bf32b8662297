//! JSON bodies: bounded, complete, without unknown fields, and every fault named by its place.

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{self, Data};
use actix_web::{FromRequest, HttpRequest};
use domain::field::FieldErrors;
use serde::de::DeserializeOwned;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::time::Duration;
use validator::{Validate, ValidationErrors, ValidationErrorsKind};

use crate::code::Code;
use crate::compose::Services;
use crate::extract::patience::within;
use crate::problem::Problem;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// A JSON body of this shape, not read yet: actix runs all extractors of a handler side by side, and a wrong body must
/// not overtake a refused caller. [`Body::read`] comes after the caller is proven.
pub struct Body<T> {
    payload: Result<web::Payload, actix_web::Error>,
    limit: usize,
    json: bool,
    shape: PhantomData<fn() -> T>,
}

impl<T: 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limit = request.app_data::<Data<Services>>().map_or(1 << 20, |services| services.settings.body_limit);
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let json = kind
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
        let payload = web::Payload::from_request(request, payload).into_inner();
        ready(Ok(Self { payload, limit, json, shape: PhantomData }))
    }
}

impl<T: DeserializeOwned + Validate> Body<T> {
    /// Reads and checks the body.
    ///
    /// # Errors
    /// 400 for what cannot be read or has wrong fields, 413 over the limit.
    pub async fn read(self) -> Result<T, Problem> {
        Ok(self.read_both().await?.0)
    }

    /// Reads and checks the body; what a body without fields would be, when there is none.
    ///
    /// # Errors
    /// Those of [`Body::read`].
    pub async fn read_or_default(self) -> Result<T, Problem>
    where
        T: Default,
    {
        let payload = self.payload.map_err(|_| Problem::because(Code::InvalidRequest, "the body cannot be read"))?;
        let bytes = read(payload, self.limit).await?;
        if bytes.is_empty() { Ok(T::default()) } else { checked(&bytes, self.json) }
    }

    /// Reads and checks the body, and also gives it as it was sent.
    ///
    /// # Errors
    /// Those of [`Body::read`].
    pub async fn read_both(self) -> Result<(T, bytes::Bytes), Problem> {
        let payload = self.payload.map_err(|_| Problem::because(Code::InvalidRequest, "there is no body"))?;
        let bytes = read(payload, self.limit).await?;
        Ok((checked(&bytes, self.json)?, bytes))
    }
}

fn checked<T: DeserializeOwned + Validate>(bytes: &[u8], json: bool) -> Result<T, Problem> {
    if !json {
        return Err(Problem::because(
            Code::InvalidRequest,
            "the body must be sent with Content-Type: application/json",
        ));
    }
    let value: T = parse(bytes)?;
    value.validate().map_err(|errors| Problem::from(flatten(&errors)))?;
    Ok(value)
}

/// A query of this shape, not read yet, for the same reason.
pub struct Asked<T> {
    query: String,
    shape: PhantomData<fn() -> T>,
}

impl<T: 'static> FromRequest for Asked<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self { query: request.query_string().to_owned(), shape: PhantomData }))
    }
}

impl<T: DeserializeOwned> Asked<T> {
    /// Reads the query.
    ///
    /// # Errors
    /// 400
    pub fn read(&self) -> Result<T, Problem> {
        web::Query::<T>::from_query(&self.query).map(web::Query::into_inner).map_err(|error| {
            let text = error.to_string();
            let what = what_is_wrong(text.strip_prefix("Query deserialize error: ").unwrap_or(&text));
            Problem::because(Code::ValidationFailed, format!("the query cannot be read: {what}"))
        })
    }
}

/// Reads a body up to a limit.
///
/// # Errors
/// 413 over the limit, 400 when the client stops in the middle or takes too long.
pub async fn read(payload: web::Payload, limit: usize) -> Result<bytes::Bytes, Problem> {
    read_within(PATIENCE, payload, limit).await
}

async fn read_within(patience: Duration, payload: web::Payload, limit: usize) -> Result<bytes::Bytes, Problem> {
    // Whoever sends was let through before: a body that is held back must not act on an old decision much later.
    let Some(read) = within(patience, payload.to_bytes_limited(limit)).await else {
        let why = format!("the body must arrive within {} seconds", patience.as_secs());
        return Err(Problem::because(Code::InvalidRequest, why));
    };
    match read {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Problem::because(Code::InvalidRequest, "the body ended before it was complete")),
        Err(_) => Err(Problem::because(Code::PayloadTooLarge, format!("the body must be at most {limit} bytes"))),
    }
}

/// Reads the start of a refused request's body, if it is short and there soon; its JSON-RPC id goes into the refusal.
pub async fn read_start(payload: web::Payload) -> Option<bytes::Bytes> {
    const SHORT: usize = 64 * 1024;
    const SOON: Duration = Duration::from_millis(500);
    tokio::time::timeout(SOON, read(payload, SHORT)).await.ok()?.ok()
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        // serde_json's messages for data errors name fields and types, and can quote a value; keep only what is ours.
        if inner.is_data() {
            Problem::field(
                Code::ValidationFailed,
                if path == "." { "body" } else { &path },
                what_is_wrong(&inner.to_string()),
            )
        } else {
            Problem::because(
                Code::InvalidRequest,
                format!("the body is not JSON: line {}, column {}", inner.line(), inner.column()),
            )
        }
    })?;
    reader.end().map_err(|_| Problem::because(Code::InvalidRequest, "the body has more than one JSON value"))?;
    Ok(value)
}

/// serde's text about a value, without the value.
fn what_is_wrong(text: &str) -> String {
    let text = text.split(" at line ").next().unwrap_or_default();
    if let Some(rest) = text.strip_prefix("invalid type: ") {
        // "string \"hunter2\", expected u32": the value may be a secret in the wrong place.
        let expected = rest.rsplit(", expected ").next().unwrap_or("another type");
        return format!("has the wrong type: expected {expected}");
    }
    if let Some(rest) = text.strip_prefix("invalid value: ") {
        return format!("is not allowed: expected {}", rest.rsplit(", expected ").next().unwrap_or("another value"));
    }
    if let Some(rest) = text.strip_prefix("unknown variant ") {
        return format!("is not one of the allowed values: {}", rest.rsplit(", expected ").next().unwrap_or_default());
    }
    text.to_owned()
}

fn flatten(errors: &ValidationErrors) -> FieldErrors {
    let mut flat = FieldErrors::default();
    collect(errors, "", &mut flat);
    flat
}

fn collect(errors: &ValidationErrors, prefix: &str, flat: &mut FieldErrors) {
    for (field, kind) in errors.errors() {
        let place = if prefix.is_empty() { field.to_string() } else { format!("{prefix}.{field}") };
        match kind {
            ValidationErrorsKind::Field(errors) => {
                for error in errors {
                    let message = error.message.as_deref().unwrap_or("is not allowed");
                    flat.add(place.clone(), message);
                }
            }
            ValidationErrorsKind::Struct(errors) => collect(errors, &place, flat),
            ValidationErrorsKind::List(list) => {
                for (index, errors) in list {
                    collect(errors, &format!("{place}[{index}]"), flat);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::error::PayloadError;
    use actix_web::test::TestRequest;
    use bytes::Bytes;
    use futures_util::stream::{self, Stream, StreamExt};

    use super::*;

    async fn arriving(parts: impl Stream<Item = Result<Bytes, PayloadError>> + 'static) -> web::Payload {
        let request = TestRequest::default().to_http_request();
        let mut payload: Payload = Payload::Stream { payload: Box::pin(parts) };
        web::Payload::from_request(&request, &mut payload).await.expect("a payload")
    }

    fn part(text: &'static str) -> impl Stream<Item = Result<Bytes, PayloadError>> {
        stream::iter([Ok(Bytes::from_static(text.as_bytes()))])
    }

    #[actix_web::test]
    async fn a_body_that_does_not_arrive_in_time_is_refused_however_much_of_it_came() {
        let held_back = arriving(part("{").chain(stream::pending())).await;
        let problem = read_within(Duration::from_millis(20), held_back, 100).await.expect_err("too late");
        assert_eq!(problem.code(), Code::InvalidRequest);
        assert!(problem.to_string().contains("must arrive within"), "{problem}");
        // One that trickles is not given more time with each byte.
        let trickle = stream::repeat_with(|| Bytes::from_static(b" ")).then(|byte| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(byte)
        });
        let problem = read_within(Duration::from_millis(20), arriving(trickle).await, 1 << 20).await;
        assert_eq!(problem.expect_err("too late").code(), Code::InvalidRequest);
    }

    #[actix_web::test]
    async fn a_body_that_arrives_in_time_is_read() {
        let whole = arriving(part("{").chain(part("}"))).await;
        assert_eq!(read(whole, 100).await.expect("a body"), "{}");
    }

    #[test]
    fn a_body_has_half_a_minute() {
        assert_eq!(PATIENCE, Duration::from_secs(30));
    }
}
