//! Why a server gave no answer. rmcp wraps what its HTTP client says several times over, and of a stream that broke off
//! says only that it did; both are found again here.

use std::error::Error;
use std::sync::{Mutex, PoisonError};

use http::StatusCode;
use rmcp::model::ErrorData;
use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::{SseError, StreamableHttpError};

use super::HeaderFault;
use crate::upstream::{BodyFault, UpstreamFault};

/// Why a server gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientFault {
    /// It could not be reached, or the connection broke.
    #[error("the server cannot be reached")]
    Unreachable(#[source] HttpFault),
    /// It took too long. What was asked of it may have been done.
    #[error("the server did not answer in time")]
    TimedOut,
    /// It refused what we authenticate with: 401 or 403.
    #[error("the server refused Keyrack's credential with {}", .0.as_u16())]
    Refused(StatusCode),
    /// It answered with an HTTP status and nothing of MCP; `retry_after` is its own text, at most 128 bytes.
    #[error("the server answered with HTTP status {}", .status.as_u16())]
    Status {
        /// The status.
        status: StatusCode,
        /// Its `Retry-After`.
        retry_after: Option<String>,
    },
    /// It redirects where we do not follow.
    #[error("the server redirects elsewhere; register the URL that it redirects to")]
    Redirected,
    /// It does not speak MCP as we know it.
    #[error("the server broke the protocol: {0}")]
    Protocol(&'static str),
    /// It answered with an error of the protocol, which is kept whole.
    #[error("the server answered with an error of the protocol ({})", .0.code.0)]
    Server(ErrorData),
    /// What we authenticate with could not be made.
    #[error("the request could not be signed")]
    Headers(#[source] HeaderFault),
    /// Whoever asked does not want it any more.
    #[error("cancelled")]
    Cancelled,
}

/// What our HTTP client says of a request.
#[derive(Debug, thiserror::Error)]
pub enum HttpFault {
    /// No answer began.
    #[error("no answer")]
    Upstream(#[from] UpstreamFault),
    /// It broke off.
    #[error("the answer broke off")]
    Body(#[from] BodyFault),
    /// It ended before it was complete.
    #[error("the answer ended early")]
    Ended,
    /// It was 401 or 403.
    #[error("refused with {}", .0.as_u16())]
    Refused(StatusCode),
    /// It was another status, without a message.
    #[error("HTTP status {}", .0.as_u16())]
    Status(StatusCode, Option<String>),
    /// It leads elsewhere.
    #[error("redirected elsewhere")]
    Redirected,
    /// It is not an answer of MCP.
    #[error("{0}")]
    Protocol(&'static str),
    /// No headers, no request.
    #[error("no headers")]
    Headers(#[source] HeaderFault),
}

impl From<HttpFault> for ClientFault {
    fn from(fault: HttpFault) -> Self {
        match fault {
            HttpFault::Upstream(UpstreamFault::ConnectTimeout) => Self::TimedOut,
            HttpFault::Upstream(_) | HttpFault::Body(_) | HttpFault::Ended => Self::Unreachable(fault),
            HttpFault::Refused(status) => Self::Refused(status),
            HttpFault::Status(status, retry_after) => Self::Status { status, retry_after },
            HttpFault::Redirected => Self::Redirected,
            HttpFault::Protocol(what) => Self::Protocol(what),
            HttpFault::Headers(fault) => Self::Headers(fault),
        }
    }
}

/// What broke a stream last. rmcp ends the request that waits for one without a reason; this is the reason.
#[derive(Debug, Default)]
pub(super) struct Broken(Mutex<Option<HttpFault>>);

impl Broken {
    pub(super) fn note(&self, fault: HttpFault) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    fn reason(&self) -> ClientFault {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(HttpFault::Ended).into()
    }
}

impl ClientFault {
    /// Of a handshake that failed.
    pub(super) fn of_handshake(error: ClientInitializeError, broken: &Broken) -> Self {
        match error {
            ClientInitializeError::TransportError { error, .. } => Self::of_transport(error, broken),
            ClientInitializeError::ConnectionClosed(_) => broken.reason(),
            ClientInitializeError::JsonRpcError(error) => Self::Server(error),
            ClientInitializeError::LegacyFallbackFailed { fallback, .. } => Self::of_handshake(*fallback, broken),
            ClientInitializeError::NoCompatibleProtocolVersion { .. } => {
                Self::Protocol("it speaks no version of the protocol that Keyrack speaks")
            }
            ClientInitializeError::Cancelled => Self::Cancelled,
            _ => Self::Protocol("its answer to the handshake is none"),
        }
    }

    /// Of a request that failed.
    pub(super) fn of_request(error: ServiceError, broken: &Broken) -> Self {
        match error {
            ServiceError::McpError(error) => Self::Server(error),
            ServiceError::TransportSend(error) => Self::of_transport(error, broken),
            ServiceError::TransportClosed => broken.reason(),
            ServiceError::Timeout { .. } => Self::TimedOut,
            ServiceError::Cancelled { .. } => Self::Cancelled,
            _ => Self::Protocol("its answer does not fit the request"),
        }
    }

    fn of_transport(error: DynamicTransportError, broken: &Broken) -> Self {
        match error.error.downcast::<StreamableHttpError<HttpFault>>() {
            Ok(error) => match *error {
                StreamableHttpError::Client(fault) => fault.into(),
                StreamableHttpError::Sse(SseError::Body(_)) | StreamableHttpError::TransportChannelClosed => {
                    broken.reason()
                }
                StreamableHttpError::SessionExpired => Self::Protocol("it ended the session"),
                StreamableHttpError::ReinitializationFailed(error) => Self::Server(error),
                StreamableHttpError::SessionRecoveryTimeout | StreamableHttpError::ControlRequestTimeout => {
                    Self::TimedOut
                }
                _ => Self::Protocol("its answer is no message"),
            },
            Err(other) => find(&*other),
        }
    }
}

/// A fault of ours somewhere below.
fn find(error: &(dyn Error + 'static)) -> ClientFault {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(fault) = error.downcast_ref::<HttpFault>() {
            return match fault {
                HttpFault::Refused(status) => ClientFault::Refused(*status),
                _ => ClientFault::Unreachable(HttpFault::Ended),
            };
        }
        next = error.source();
    }
    ClientFault::Unreachable(HttpFault::Ended)
}
