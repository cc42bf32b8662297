//! What happens around every request: its names are checked before anything else, its answer gets the request id.

use std::net::IpAddr;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use actix_web::http::uri::Authority;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};
use tracing_actix_web::RequestId;
use url::{Host, Url};

use crate::code::Code;
use crate::compose::Services;
use crate::limit;
use crate::problem::Problem;
use crate::routes::is_mcp_path;
use crate::settings::Settings;
use crate::{cors, gateway};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The names that this installation answers to. Checking them defeats DNS rebinding: a page in a browser can reach a
/// server on loopback, but not with its Host and Origin.
#[derive(Debug, Clone)]
pub struct Names {
    hosts: Vec<String>,
    origins: Vec<String>,
    loopback: bool,
    secure: bool,
}

impl Names {
    /// The names that the settings give, and those of the public URL.
    #[must_use]
    pub fn new(settings: &Settings, public_url: &Url) -> Self {
        let mut hosts: Vec<String> = settings.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        hosts.extend(public_url.host_str().map(|host| without_port(host).to_ascii_lowercase()));
        let mut origins = settings.allowed_origins.clone();
        origins.push(public_url.origin().ascii_serialization());
        Self { hosts, origins, loopback: settings.listen.ip().is_loopback(), secure: public_url.scheme() == "https" }
    }

    /// Whether clients come by https.
    #[must_use]
    pub const fn secure(&self) -> bool {
        self.secure
    }

    /// Whether a Host header, with or without a port, names this installation.
    #[must_use]
    pub fn allows_host(&self, header: &str) -> bool {
        let host = without_port(header);
        self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host)) || (self.loopback && is_loopback(host))
    }

    /// Whether an Origin header is of a page that may call.
    #[must_use]
    pub fn allows_origin(&self, header: &str) -> bool {
        if self.origins.iter().any(|origin| origin == header) {
            return true;
        }
        let Ok(url) = Url::parse(header) else { return false };
        self.loopback
            && match url.host() {
                Some(Host::Domain(name)) => is_loopback(name),
                Some(Host::Ipv4(address)) => address.is_loopback(),
                Some(Host::Ipv6(address)) => address.is_loopback(),
                None => false,
            }
    }

    fn check(&self, request: &ServiceRequest) -> Result<(), Problem> {
        let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
        // HTTP/2 has the host in the request's target, where actix puts it into the uri.
        let host = text(HOST).or_else(|| request.uri().authority().map(Authority::as_str));
        if !host.is_some_and(|host| self.allows_host(host)) {
            return Err(Problem::because(Code::OriginNotAllowed, "the Host header does not name this installation"));
        }
        match text(ORIGIN) {
            Some(origin) if !self.allows_origin(origin) => {
                Err(Problem::because(Code::OriginNotAllowed, "pages of that origin may not call this installation"))
            }
            _ => Ok(()),
        }
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rfind(']') {
        Some(end) => authority[..=end].trim_start_matches('[').trim_end_matches(']'),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit('.').next().unwrap_or(host);
    name.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Checks names, and gives every answer its request id; a [`Problem`] is logged and written here, once.
///
/// # Errors
/// Whatever the service itself could not turn into an answer.
pub async fn finish<B: MessageBody + 'static>(
    services: actix_web::web::Data<Services>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let id = request.extensions().get::<RequestId>().copied();
    // Probes come by address, and learn nothing.
    let probe = matches!(request.path(), "/health" | "/ready");
    if !probe && let Err(problem) = services.names.check(&request) {
        let response = answer(&problem, request.path(), request.request());
        return Ok(tagged(request.into_response(response).map_into_right_body(), id));
    }
    // Only pages send one; it was checked just now.
    let origin = request.headers().get(ORIGIN).filter(|_| !probe).cloned();
    if let Some(mut response) = cors::options(&request) {
        if let Some(origin) = origin {
            cors::expose(origin, response.headers_mut());
        }
        return Ok(tagged(request.into_response(response).map_into_right_body(), id));
    }
    let response = next.call(request).await?;
    let rewritten = response
        .response()
        .error()
        .and_then(|error| error.as_error::<Problem>())
        .map(|problem| problem.respond(response.request()));
    let response = match rewritten {
        Some(rewritten) => response.into_response(rewritten).map_into_right_body(),
        None => response.map_into_left_body(),
    };
    let mut response = limit::told(response);
    if services.stopping.begun() {
        // Whoever keeps the connection would find nobody at its other end.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    if let Some(origin) = origin {
        cors::expose(origin, response.headers_mut());
    }
    Ok(tagged(response, id))
}

fn answer(problem: &Problem, path: &str, request: &actix_web::HttpRequest) -> actix_web::HttpResponse {
    if is_mcp_path(path) { gateway::refusal::respond(problem, request, None) } else { problem.respond(request) }
}

fn tagged<B>(mut response: ServiceResponse<B>, id: Option<RequestId>) -> ServiceResponse<B> {
    if let Some(id) = id {
        let mut text = uuid::Uuid::encode_buffer();
        let text = id.as_hyphenated().encode_lower(&mut text);
        if let Ok(value) = HeaderValue::from_str(text) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
    }
    response
}

/// The answer where no route is.
///
/// # Errors
/// Always 404.
pub async fn no_route() -> Result<actix_web::HttpResponse, Problem> {
    Err(Problem::because(Code::NotFound, "there is no such route; /swagger-ui/ shows all"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(listen: &str, public: &str) -> Names {
        let set = [
            ("listen", listen.to_owned()),
            ("public-url", public.to_owned()),
            ("allowed-hosts", "keys.internal".to_owned()),
        ];
        let settings = Settings::read(|row| set.iter().find(|(flag, _)| *flag == row.flag).map(|(_, v)| v.clone()))
            .unwrap_or_else(|faults| panic!("{faults:?}"));
        Names::new(&settings, &Url::parse(public).expect("a url"))
    }

    #[test]
    fn only_the_installations_own_names_pass() {
        let public = names("0.0.0.0:80", "https://keys.example.com");
        for good in ["keys.example.com", "KEYS.example.com:443", "keys.internal:8080"] {
            assert!(public.allows_host(good), "{good}");
        }
        for bad in ["evil.example.com", "localhost", "127.0.0.1", "", "keys.example.com.evil.com"] {
            assert!(!public.allows_host(bad), "{bad}");
        }
        assert!(public.allows_origin("https://keys.example.com"));
        for bad in ["http://keys.example.com", "https://evil.example.com", "null", "http://localhost:3000"] {
            assert!(!public.allows_origin(bad), "{bad}");
        }
    }

    #[test]
    fn an_ipv6_public_url_names_its_own_host() {
        assert!(names("[::]:80", "https://[2001:db8::1]").allows_host("[2001:db8::1]:443"));
    }

    #[test]
    fn a_loopback_installation_answers_to_loopback_names() {
        let local = names("127.0.0.1:8080", "http://127.0.0.1:8080");
        for good in ["localhost:8080", "127.0.0.1", "[::1]:8080", "LocalHost", "app.LOCALHOST:80"] {
            assert!(local.allows_host(good), "{good}");
        }
        assert!(local.allows_origin("http://localhost:6274"));
        for bad in ["evil.example.com", "localhost.evil.com", "notlocalhost", "localhost."] {
            assert!(!local.allows_host(bad), "{bad}");
        }
        assert!(!local.allows_origin("http://evil.example.com"));
    }
}
