//! What goes wrong, as the caller is told. Every fault of the domain becomes a [`Problem`] in this module and nowhere else; the
//! cause is logged once, at this boundary, and never sent.

mod answer;
mod decisions;
mod messages;
mod people;
mod things;
mod upstream;
mod work;

use std::fmt;
use std::time::Duration;

use domain::field::{FieldError, FieldErrors};

pub use answer::{Details, ErrorBody, ErrorContent, FieldProblem};

use crate::code::{Code, ProtocolError};

/// A time as headers have it: rounded up, since whoever comes earlier comes too early.
#[must_use]
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// The methods of MCP paths; OPTIONS is for pages of other origins.
pub const MCP_METHODS: &str = "GET, POST, DELETE, OPTIONS";

/// A refusal or failure on its way to the caller.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    message: String,
    fields: Vec<FieldError>,
    // Where the protocol has a number of its own.
    protocol: Option<ProtocolError>,
    // Where whoever is meant connects, for `connection_required`.
    connect_url: Option<String>,
    // Seconds, for codes that do not always have the same.
    retry_after: Option<u64>,
    // Boxed and optional: only faults of our own or of dependencies have one.
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Problem {
    /// A problem with the code's general meaning as its message.
    #[must_use]
    pub fn new(code: Code) -> Self {
        let message = code.meaning().to_owned();
        Self { code, message, fields: Vec::new(), protocol: None, connect_url: None, retry_after: None, cause: None }
    }

    /// A problem with a message of its own.
    #[must_use]
    pub fn because(code: Code, message: impl ToString) -> Self {
        Self { message: message.to_string(), ..Self::new(code) }
    }

    /// A problem with one field.
    #[must_use]
    pub fn field(code: Code, field: &str, message: impl ToString) -> Self {
        let message = message.to_string();
        Self {
            fields: vec![FieldError { field: field.to_owned(), message: message.clone() }],
            ..Self::because(code, format!("{field} {message}"))
        }
    }

    /// A problem with these fields.
    #[must_use]
    pub fn fields(code: Code, errors: FieldErrors) -> Self {
        Self { message: errors.to_string(), fields: errors.0, ..Self::new(code) }
    }

    /// A message that the protocol itself calls wrong.
    #[must_use]
    pub fn protocol(error: ProtocolError, message: impl ToString) -> Self {
        Self { protocol: Some(error), ..Self::because(Code::InvalidRequest, message) }
    }

    /// The same, with the time after which the caller may try again; in whole seconds, and at least one.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self { retry_after: Some(whole_seconds(wait).max(1)), ..self }
    }

    /// The same, with the link on which whoever is meant connects.
    #[must_use]
    pub fn with_connect_url(self, url: String) -> Self {
        Self { message: format!("{} at {url}", self.message), connect_url: Some(url), ..self }
    }

    /// A fault of our own, which the caller is told nothing of.
    #[must_use]
    pub fn internal(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::caused(Code::Internal, cause)
    }

    fn caused(code: Code, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { cause: Some(Box::new(cause)), ..Self::new(code) }
    }

    /// Its code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// What the caller is told.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The number inside a JSON-RPC error.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.protocol.map_or_else(|| self.code.number(), ProtocolError::number)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Problem {}
