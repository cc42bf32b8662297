//! A server that takes any credential but none, and says which it saw.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::Data;
use actix_web::{App, Error, HttpMessage, HttpServer, error::ErrorUnauthorized};
use serde_json::json;

use super::whoami::{Caller, service};

type Refused = Arc<Mutex<Vec<String>>>;

/// The running server.
pub struct BearerServer {
    /// Its MCP endpoint.
    pub url: String,
    refused: Refused,
}

impl BearerServer {
    /// Starts one on a free loopback port. `whoami` answers `{"bearer": …}`, or `{"authorization": …}` for another
    /// scheme, or `{"apiKey": …}` for the header `X-Service-Key`.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
        let refused = Refused::default();
        let (shared, mcp) = (Data::new(Arc::clone(&refused)), service());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .wrap(from_fn(with_a_credential))
                .service(mcp.clone().scope_with_path("/mcp"))
        })
        .workers(1)
        .h1_allow_half_closed(false)
        .disable_signals()
        .listen(listener)
        .expect("listening")
        .run();
        tokio::spawn(server);
        Self { url, refused }
    }

    /// Refuses this bearer token from now on, as a service does whose key was taken back.
    pub fn refuse(&self, bearer: &str) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).push(bearer.to_owned());
    }
}

async fn with_a_credential(
    refused: Data<Refused>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let caller = match (header("authorization"), header("x-service-key")) {
        (Some(value), _) => match value.strip_prefix("Bearer ") {
            Some(bearer) if refused.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|no| no == bearer) => {
                return Err(ErrorUnauthorized("refused"));
            }
            Some(bearer) => json!({"bearer": bearer}),
            None => json!({"authorization": value}),
        },
        (None, Some(key)) => json!({"apiKey": key}),
        (None, None) => return Err(ErrorUnauthorized("no credential")),
    };
    request.extensions_mut().insert(Caller(caller));
    next.call(request).await
}
