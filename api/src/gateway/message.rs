//! What a caller sends, read once, and refused where the protocol says so: before the guard, and before anything goes
//! upstream. Everything else about it is the server's to judge.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::HeaderValue;
use domain::mcp::mirror::{Header, MirrorHeaders};
use domain::mcp::{Envelope, Era, Kind};

use super::headers::{MCP_METHOD, MCP_NAME, MCP_PROTOCOL_VERSION, says_utf8};
use crate::code::{Code, ProtocolError};
use crate::problem::Problem;

/// What a caller sent.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// The message; none where there is no body, as by GET and DELETE.
    pub message: Option<Envelope<'a>>,
    /// Which rules hold for it.
    pub era: Era,
}

impl<'a> Incoming<'a> {
    /// Reads a request whose body this is.
    ///
    /// # Errors
    /// 405 for a method that MCP does not have. 400 for a body that is no message, or that the headers contradict.
    pub fn read(request: &HttpRequest, body: &'a [u8]) -> Result<Self, Problem> {
        let header = |name| Header::of(request.headers().get_all(name).map(HeaderValue::as_bytes));
        let headers =
            MirrorHeaders { version: header(MCP_PROTOCOL_VERSION), method: header(MCP_METHOD), name: header(MCP_NAME) };
        // Nothing else goes upstream: TRACE, for one, would answer with what the server's credential is.
        if ![Method::POST, Method::GET, Method::DELETE].contains(request.method()) {
            return Err(Problem::new(Code::MethodNotAllowed));
        }
        if body.is_empty() && request.method() != Method::POST {
            return Ok(Self { message: None, era: headers.era()? });
        }
        if !says_utf8(request.headers()) {
            let why = "the message must be JSON in UTF-8, without a Content-Encoding";
            return Err(Problem::because(Code::InvalidRequest, why));
        }
        let message = Envelope::read(body)?;
        if message.kind == Kind::Batch && !headers.era()?.has_batches() {
            let why = "the message must be one JSON object: arrays ended with revision 2025-03-26 of the protocol";
            return Err(Problem::protocol(ProtocolError::InvalidRequest, why));
        }
        let era = headers.check(&message)?;
        Ok(Self { message: Some(message), era })
    }
}
