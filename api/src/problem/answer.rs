//! How a problem is answered over REST, and the shape of every error.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError};
use serde::Serialize;
use tracing_actix_web::RequestId;
use utoipa::ToSchema;

use super::{MCP_METHODS, Problem};
use crate::code::Code;

/// Seconds after which a caller may try again when a dependency is down.
const RETRY_AFTER_SECONDS: &str = "1";

/// The body of every error answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorContent,
}

/// An error.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorContent {
    /// What went wrong, in a word.
    pub code: Code,
    /// What went wrong and what to do, for a person.
    #[schema(example = "this needs the role editor or a higher one")]
    pub message: String,
    /// Quote it when you report a problem; logs and audit rows have it too.
    #[schema(example = "01985a7c-0000-7000-8000-000000000000")]
    pub request_id: String,
    /// More, where there is more.
    pub details: Details,
}

/// More about an error.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// The wrong fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub field_errors: Vec<FieldProblem>,
    /// With `connection_required`: where a person connects the tenant to the server. The link works once and for ten
    /// minutes. There is none for callers who may not connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://keyrack.example.com/connect/…")]
    pub connect_url: Option<String>,
}

/// A wrong field.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldProblem {
    /// The field, as the request named it.
    #[schema(example = "name")]
    pub field: String,
    /// What is wrong with it.
    #[schema(example = "must not be empty")]
    pub message: String,
}

impl Problem {
    /// Logs the cause, if there is one: the end of the chain, once.
    pub fn log(&self, request_id: Option<RequestId>) {
        if let Some(cause) = &self.cause {
            let error = cause.as_ref() as &dyn std::error::Error;
            let id = request_id.map(tracing::field::display);
            tracing::error!(code = self.code.as_str(), request_id = id, error, "request failed");
        }
    }

    /// The content for a REST body.
    #[must_use]
    pub fn content(&self, request_id: Option<RequestId>) -> ErrorContent {
        ErrorContent {
            code: self.code,
            message: self.message.clone(),
            request_id: request_id.map(|id| id.to_string()).unwrap_or_default(),
            details: Details {
                field_errors: self
                    .fields
                    .iter()
                    .map(|error| FieldProblem { field: error.field.clone(), message: error.message.clone() })
                    .collect(),
                connect_url: self.connect_url.clone(),
            },
        }
    }

    /// Adds the headers that go with the code.
    pub fn decorate(&self, response: &mut HttpResponse) {
        let headers = response.headers_mut();
        match self.code {
            Code::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="keyrack""#));
            }
            Code::MethodNotAllowed => {
                headers.insert(ALLOW, HeaderValue::from_static(MCP_METHODS));
            }
            Code::Unavailable => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
            }
            _ => {}
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }

    /// The whole REST answer.
    #[must_use]
    pub fn respond(&self, request: &HttpRequest) -> HttpResponse {
        let id = request.extensions().get::<RequestId>().copied();
        self.log(id);
        self.body(id)
    }

    fn body(&self, request_id: Option<RequestId>) -> HttpResponse {
        let mut response = HttpResponse::build(self.code.status())
            .insert_header((CONTENT_TYPE, "application/json"))
            .json(ErrorBody { error: self.content(request_id) });
        self.decorate(&mut response);
        response
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    // actix calls this without the request; `layer::finish` answers again with the request's id.
    fn error_response(&self) -> HttpResponse {
        self.body(None)
    }
}
