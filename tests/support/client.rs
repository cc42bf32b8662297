//! Requests and answers. A failed expectation prints both, and the last log lines.

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::logs;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was asked, for failures.
    pub asked: String,
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Reads a response to its end.
    pub async fn read(asked: String, response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.unwrap_or_else(|error| format!("<broken: {error}>"));
        Self { asked, status, headers, body }
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| self.fail(&format!("the body is not JSON: {error}")))
    }

    /// The code of an error, REST or JSON-RPC; empty when it has none.
    #[must_use]
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let error = &body["error"];
        let code = error["data"]["code"].as_str().or_else(|| error["code"].as_str());
        code.unwrap_or_default().to_owned()
    }

    /// Expects a status; the body as JSON.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        if self.status != status {
            self.fail(&format!("expected {status}"));
        }
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// Expects a status, whatever the body is.
    #[track_caller]
    pub fn expect_status(&self, status: u16) {
        if self.status != status {
            self.fail(&format!("expected {status}"));
        }
    }

    /// Expects an error with this status and code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> &Self {
        if (self.status, self.code().as_str()) != (status, code) {
            self.fail(&format!("expected {status} {code}"));
        }
        self
    }

    /// Expects an error that names this field.
    #[track_caller]
    pub fn names_field(&self, field: &str) -> &Self {
        let body = self.json();
        let details =
            if body["error"]["data"].is_null() { &body["error"]["details"] } else { &body["error"]["data"]["details"] };
        let named =
            details["fieldErrors"].as_array().is_some_and(|errors| errors.iter().any(|error| error["field"] == field));
        if !named {
            self.fail(&format!("expected an error about {field}"));
        }
        self
    }

    /// The body without the request id, which is the one thing that differs between equal answers.
    #[must_use]
    pub fn body_without_request_id(&self) -> String {
        match self.headers.get("x-request-id").and_then(|id| id.to_str().ok()) {
            Some(id) => self.body.replace(id, "<request id>"),
            None => self.body.clone(),
        }
    }

    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        panic!(
            "{why}\nasked    {}\nanswered {} {}\n{}\nlog:\n{}",
            self.asked,
            self.status,
            self.body,
            "-".repeat(60),
            logs::tail()
        )
    }
}
