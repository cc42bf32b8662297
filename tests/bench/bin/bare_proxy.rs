//! The baseline of the load bench: a reverse proxy on actix-web and awc that does nothing but proxy.
//!
//! Keyrack's gateway stands on the same two libraries, so the distance between the two is the price of Keyrack's
//! checks and records, and of nothing else. It streams both bodies and copies end-to-end headers as RFC 9110 §7.6
//! asks of any proxy. It must never check, log, count or rewrite anything else, and must never be handicapped: a
//! change that makes it faster belongs here even though it makes Keyrack's ratio worse.
//!
//! Usage: `bare_proxy PORT UPSTREAM` (0 takes a free port; UPSTREAM is `http://host:port`, without a path); prints
//! `http://127.0.0.1:PORT` when it is ready.

use std::time::Duration;

use actix_web::body::SizedStream;
use actix_web::http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use actix_web::http::uri::{Authority, InvalidUriParts, Parts, Scheme, Uri};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use awc::{Client, Connector};
use mimalloc::MiMalloc;

// The same as Keyrack's, so that the distance is not one of allocators.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How long an idle connection is kept, on either side; as nginx's default, and longer than a bench's turn.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// No connection is replaced for its age while a bench runs.
const LIFETIME: Duration = Duration::from_hours(24);

struct Upstream {
    client: Client,
    scheme: Scheme,
    authority: Authority,
}

impl Upstream {
    fn new(scheme: Scheme, authority: Authority) -> Self {
        let connector = Connector::new().limit(0).conn_keep_alive(KEEP_ALIVE).conn_lifetime(LIFETIME);
        let client =
            Client::builder().connector(connector).disable_timeout().disable_redirects().no_default_headers().finish();
        Self { client, scheme, authority }
    }

    fn uri(&self, incoming: &Uri) -> Result<Uri, InvalidUriParts> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = incoming.path_and_query().cloned();
        Uri::from_parts(parts)
    }
}

/// The header names that `Connection` declares to be hop-by-hop; none, and nothing allocated, in most messages.
fn connection_options(headers: &HeaderMap) -> Vec<&str> {
    headers
        .get_all(CONNECTION)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect()
}

/// Whether a header belongs to one connection and not to the message. `Content-Length` is counted among them, since
/// both libraries write it themselves from the body's size.
fn is_hop_by_hop(name: &HeaderName, options: &[&str]) -> bool {
    const NAMED: [HeaderName; 8] =
        [CONNECTION, CONTENT_LENGTH, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    NAMED.contains(name)
        || name == "keep-alive"
        || options.iter().any(|option| option.eq_ignore_ascii_case(name.as_str()))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

async fn proxy(request: HttpRequest, body: web::Payload, upstream: web::Data<Upstream>) -> HttpResponse {
    let Ok(uri) = upstream.uri(request.uri()) else {
        return HttpResponse::BadRequest().finish();
    };
    let mut onward = upstream.client.request(request.method().clone(), uri).no_decompress();
    let options = connection_options(request.headers());
    for (name, value) in request.headers() {
        if *name != HOST && !is_hop_by_hop(name, &options) {
            onward.headers_mut().append(name.clone(), value.clone());
        }
    }
    let sent = match content_length(request.headers()) {
        Some(length) => onward.send_body(SizedStream::new(length, body)),
        None if request.headers().contains_key(TRANSFER_ENCODING) => onward.send_stream(body),
        None => onward.send(),
    };
    let response = match sent.await {
        Ok(response) => response,
        Err(error) => return HttpResponse::BadGateway().body(error.to_string()),
    };

    let mut answer = HttpResponse::build(response.status());
    let options = connection_options(response.headers());
    for (name, value) in response.headers() {
        if !is_hop_by_hop(name, &options) {
            answer.append_header((name.clone(), value.clone()));
        }
    }
    match content_length(response.headers()) {
        Some(length) => answer.body(SizedStream::new(length, response)),
        None => answer.streaming(response),
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    const USAGE: &str = "usage: bare_proxy PORT UPSTREAM";
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().ok_or(USAGE)?.parse()?;
    let upstream = arguments.next().ok_or(USAGE)?.parse::<Uri>()?.into_parts();
    let (Some(scheme), Some(authority)) = (upstream.scheme, upstream.authority) else {
        return Err(USAGE.into());
    };

    let server = HttpServer::new(move || {
        // Called once per worker: each has its own client, and with it its own connections.
        let upstream = Upstream::new(scheme.clone(), authority.clone());
        App::new().app_data(web::Data::new(upstream)).default_service(web::to(proxy))
    })
    .workers(1)
    .keep_alive(KEEP_ALIVE)
    .h1_allow_half_closed(false)
    .tcp_nodelay(true)
    .shutdown_timeout(1)
    .bind(("127.0.0.1", port))?;
    for address in server.addrs() {
        println!("http://{address}");
    }
    server.run().await?;
    Ok(())
}
