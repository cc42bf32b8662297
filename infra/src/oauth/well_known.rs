//! Where documents are when nobody says so: `/.well-known/…` is put before the path (RFC 8414, section 3.1, and RFC
//! 9728, section 3.1), and MCP's clients try the places of OpenID Connect too.

use url::Url;

/// Where a server's resource metadata may be, in the order to try.
pub(super) fn of_resource(server: &Url) -> Vec<Url> {
    let mut places = vec![inserted(server, "oauth-protected-resource")];
    if !path(server).is_empty() {
        places.push(at(server, "/.well-known/oauth-protected-resource"));
    }
    places
}

/// Where an authorization server's metadata may be, in the order to try.
pub(super) fn of_issuer(issuer: &Url) -> Vec<Url> {
    let mut places = vec![inserted(issuer, "oauth-authorization-server"), inserted(issuer, "openid-configuration")];
    if !path(issuer).is_empty() {
        places.push(at(issuer, &format!("{}/.well-known/openid-configuration", path(issuer))));
    }
    places
}

/// Its path, of which a slash at the end is no part.
fn path(url: &Url) -> &str {
    url.path().trim_end_matches('/')
}

fn inserted(url: &Url, name: &str) -> Url {
    at(url, &format!("/.well-known/{name}{}", path(url)))
}

fn at(url: &Url, path: &str) -> Url {
    let mut url = url.clone();
    url.set_path(path);
    url.set_query(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(places: &[Url]) -> Vec<&str> {
        places.iter().map(Url::as_str).collect()
    }

    fn url(text: &str) -> Url {
        text.parse().expect("a URL")
    }

    #[test]
    fn resource_metadata_is_before_the_path_and_then_at_the_root() {
        assert_eq!(
            texts(&of_resource(&url("https://a.example:8443/public/mcp/?x=y"))),
            [
                "https://a.example:8443/.well-known/oauth-protected-resource/public/mcp",
                "https://a.example:8443/.well-known/oauth-protected-resource",
            ]
        );
        assert_eq!(
            texts(&of_resource(&url("https://a.example"))),
            ["https://a.example/.well-known/oauth-protected-resource"]
        );
    }

    #[test]
    fn an_issuers_metadata_is_where_mcp_says() {
        assert_eq!(
            texts(&of_issuer(&url("https://auth.example.com/tenant1"))),
            [
                "https://auth.example.com/.well-known/oauth-authorization-server/tenant1",
                "https://auth.example.com/.well-known/openid-configuration/tenant1",
                "https://auth.example.com/tenant1/.well-known/openid-configuration",
            ]
        );
        assert_eq!(
            texts(&of_issuer(&url("https://auth.example.com/"))),
            [
                "https://auth.example.com/.well-known/oauth-authorization-server",
                "https://auth.example.com/.well-known/openid-configuration",
            ]
        );
    }
}
