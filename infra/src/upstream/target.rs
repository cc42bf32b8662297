//! Where a request goes: what can be said of a URL once, and not at every request.

use std::sync::Arc;

use http::header::HeaderValue;
use http::{HeaderMap, Request, Uri, header};
use url::{Host, Url};

/// A host that connections are made to. Plain and TLS connections are never shared: a credential that is meant for TLS
/// must not find a plain connection to the same host.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    /// Whether TLS is spoken.
    pub(super) tls: bool,
    /// A name, or an address; an IPv6 address without brackets.
    pub(super) host: String,
    /// The port.
    pub(super) port: u16,
}

/// The URL cannot be one of an upstream server.
#[derive(Debug, thiserror::Error)]
#[error("not the URL of a server")]
pub struct NotATarget;

/// A URL, ready to be sent to.
#[derive(Debug, Clone)]
pub struct Target {
    url: Url,
    endpoint: Arc<Endpoint>,
    // HTTP/1 asks for the path alone and a Host header, HTTP/2 for everything in one.
    path: Uri,
    whole: Uri,
    host: HeaderValue,
}

impl Target {
    /// Reads a URL with the scheme `http` or `https`.
    ///
    /// # Errors
    /// [`NotATarget`]
    pub fn of(url: &Url) -> Result<Self, NotATarget> {
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(NotATarget),
        };
        let host = match url.host().ok_or(NotATarget)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let port = url.port_or_known_default().ok_or(NotATarget)?;
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        Ok(Self {
            path: path.parse().map_err(|_| NotATarget)?,
            whole: format!("{}://{authority}{path}", url.scheme()).parse().map_err(|_| NotATarget)?,
            host: HeaderValue::from_str(authority).map_err(|_| NotATarget)?,
            endpoint: Arc::new(Endpoint { tls, host, port }),
            url: url.clone(),
        })
    }

    /// The URL.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    pub(super) const fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Addresses a request as HTTP/1.1 wants it.
    pub(super) fn address_h1<B>(&self, request: &mut Request<B>) {
        *request.uri_mut() = self.path.clone();
        let headers: &mut HeaderMap = request.headers_mut();
        headers.insert(header::HOST, self.host.clone());
    }

    /// Addresses a request as HTTP/2 wants it.
    pub(super) fn address_h2<B>(&self, request: &mut Request<B>) {
        *request.uri_mut() = self.whole.clone();
        request.headers_mut().remove(header::HOST);
    }
}
