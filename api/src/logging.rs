//! Log lines: for a person, or as JSON. And the span that every request runs in.

use std::io::IsTerminal;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use tracing::Span;
use tracing_actix_web::{RequestId, RootSpanBuilder};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::settings::LogFormat;
use crate::{connect, gateway};

/// Begins logging to standard error.
///
/// # Errors
/// When `directives` cannot be read, or logging has begun already.
pub fn begin(directives: &str, format: LogFormat) -> Result<(), String> {
    begin_with(directives, format, BoxMakeWriter::new(std::io::stderr))
}

fn begin_with(directives: &str, format: LogFormat, writer: BoxMakeWriter) -> Result<(), String> {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter(directives)?)
        .with_writer(writer)
        .with_ansi(std::io::stderr().is_terminal());
    let begun = match format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
    };
    begun.map_err(|error| error.to_string())
}

/// What is logged. Of rmcp nothing is: it logs messages whole, and they are callers' and servers' own.
fn filter(directives: &str) -> Result<EnvFilter, String> {
    let filter = EnvFilter::try_new(directives).map_err(|error| error.to_string())?;
    Ok(filter.add_directive("rmcp=off".parse().expect("a directive")))
}

/// The span of a request: its id, method and area. Never the path or query, which callers write, and never a header.
#[derive(Debug, Clone, Copy)]
pub struct RequestSpan;

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        use actix_web::HttpMessage;
        let id = request.extensions().get::<RequestId>().copied();
        let (id, method, area) = (id.map(tracing::field::display), request.method().as_str(), area(request.path()));
        if area == gateway::PREFIX {
            // The busiest path has its decisions in the audit log; a span for each call would cost as much as its checks.
            tracing::debug_span!("request", id, method, area)
        } else {
            tracing::info_span!("request", id, method, area)
        }
    }

    fn on_request_end<B: MessageBody>(_: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        match outcome {
            Ok(response) => tracing::debug!(status = response.status().as_u16(), "answered"),
            Err(error) => tracing::error!(%error, "not answered"),
        }
    }
}

/// The part of a path that is ours: callers write the rest, and somebody will write a key there.
fn area(path: &str) -> &'static str {
    const AREAS: [&str; 10] = [
        gateway::PREFIX,
        connect::PREFIX,
        "/api/v1/api-keys",
        "/api/v1/mcp-servers",
        "/api/v1/auth",
        "/api/v1/me",
        "/api/v1/org",
        "/api/v1",
        "/api",
        "/swagger-ui",
    ];
    AREAS.into_iter().find(|area| path.starts_with(area)).unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_messages_are_not_logged_however_much_is_asked_for() {
        for directives in ["trace", "rmcp=trace,info"] {
            let filter = filter(directives).expect("directives");
            let subscriber = tracing_subscriber::fmt().with_env_filter(filter).finish();
            tracing::subscriber::with_default(subscriber, || {
                assert!(tracing::enabled!(target: "keyrack", tracing::Level::INFO));
                assert!(!tracing::enabled!(target: "rmcp::service", tracing::Level::ERROR), "{directives}");
            });
        }
    }
}
