//! How a server is authenticated to, as requests say it and as views show it.

use actix_web::http::header::HeaderName;
use domain::field::FieldErrors;
use domain::server::{AuthKind, AuthScope, OAuthClient, ServerAuth, TenantAuth, UpstreamAuth};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use crate::gateway::passport::credential;

const SECRET_MAX: usize = 8192;
const SCOPES_MAX: usize = 50;
const SCOPE_MAX: usize = 200;
const CLIENT_ID_MAX: usize = 512;

/// How to authenticate to a server.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewAuth {
    /// `none`, `bearer`, `header`, `basic` or `oauth2`.
    kind: AuthKindName,
    /// `organization`, the default: one credential for all of its callers, given here. `tenant`: each tenant connects with
    /// a credential of its own; `oauth2` is always so.
    scope: Option<AuthScopeName>,
    /// The header's name, for kind `header`.
    #[schema(example = "X-Service-Token", max_length = 100)]
    header: Option<String>,
    /// The token, the header's value or the password, for scope `organization`; the client's secret for kind `oauth2`, if it
    /// has one. Sealed at once and never shown again.
    #[schema(value_type = Option<String>, format = Password, max_length = 8192)]
    secret: Option<SecretString>,
    /// The user name, for kind `basic` of scope `organization`.
    #[schema(max_length = 256)]
    username: Option<String>,
    /// Keyrack's client id at the server's authorization server, for kind `oauth2`. Without it, Keyrack registers itself
    /// where the server lets it (RFC 7591).
    #[schema(max_length = 512)]
    client_id: Option<String>,
    /// What to ask for, for kind `oauth2`; what the server says when not given.
    #[schema(max_items = 50, example = json!(["notes.read"]))]
    scopes: Option<Vec<String>>,
}

/// The kinds of authentication.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthKindName {
    /// Not at all.
    None,
    /// `Authorization: Bearer`
    Bearer,
    /// A header of its own.
    Header,
    /// `Authorization: Basic`
    Basic,
    /// OAuth 2.1: an account's owner consents.
    OAuth2,
}

/// Whose credential a server gets.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthScopeName {
    /// The organization's.
    Organization,
    /// That of the tenant that calls.
    Tenant,
}

impl From<AuthKindName> for AuthKind {
    fn from(name: AuthKindName) -> Self {
        match name {
            AuthKindName::None => Self::None,
            AuthKindName::Bearer => Self::Bearer,
            AuthKindName::Header => Self::Header,
            AuthKindName::Basic => Self::Basic,
            AuthKindName::OAuth2 => Self::OAuth2,
        }
    }
}

impl NewAuth {
    /// Checks it; `auth` is where the shape stands in requests.
    pub(super) fn parse(self, errors: &mut FieldErrors) -> Option<ServerAuth> {
        let kind = AuthKind::from(self.kind);
        let scope = match (self.scope, kind) {
            (None, AuthKind::OAuth2) | (Some(AuthScopeName::Tenant), _) => AuthScope::Tenant,
            (None | Some(AuthScopeName::Organization), _) => AuthScope::Organization,
        };
        let before = errors.0.len();
        if scope == AuthScope::Organization && kind == AuthKind::OAuth2 {
            errors.add("auth.scope", "must be tenant for kind oauth2: it is somebody's consent");
        }
        if scope == AuthScope::Tenant && kind == AuthKind::None {
            errors.add("auth.kind", "must be bearer, header, basic or oauth2 for scope tenant");
        }
        let own = scope == AuthScope::Organization;
        let oauth = kind == AuthKind::OAuth2;
        let unneeded = [
            ("auth.header", self.header.is_some() && kind != AuthKind::Header),
            ("auth.username", self.username.is_some() && !(own && kind == AuthKind::Basic)),
            ("auth.secret", self.secret.is_some() && !oauth && (!own || kind == AuthKind::None)),
            ("auth.clientId", self.client_id.is_some() && !oauth),
            ("auth.scopes", self.scopes.is_some() && !oauth),
        ];
        for (field, _) in unneeded.iter().filter(|(_, unneeded)| *unneeded) {
            errors.add(*field, format!("does not go with kind {} of scope {}", kind.as_str(), scope.as_str()));
        }
        if errors.0.len() > before {
            return None;
        }
        match scope {
            AuthScope::Organization => own_credential(
                kind,
                Given { secret: self.secret, username: self.username, header: self.header },
                "auth.",
                errors,
            )
            .map(ServerAuth::Organization),
            AuthScope::Tenant => {
                let auth = match kind {
                    AuthKind::None => return None,
                    AuthKind::Bearer => TenantAuth::Bearer,
                    AuthKind::Header => TenantAuth::Header { name: header_name(self.header, errors)? },
                    AuthKind::Basic => TenantAuth::Basic,
                    AuthKind::OAuth2 => TenantAuth::OAuth2(client(self.client_id, self.secret, self.scopes, errors)?),
                };
                Some(ServerAuth::Tenant(auth))
            }
        }
    }
}

/// A credential as somebody gives it.
pub struct Given {
    /// The token, the header's value or the password.
    pub secret: Option<SecretString>,
    /// The user name.
    pub username: Option<String>,
    /// The header's name.
    pub header: Option<String>,
}

/// Checks a credential of a kind that is no consent; `within` stands before the fields' names.
pub fn own_credential(kind: AuthKind, given: Given, within: &str, errors: &mut FieldErrors) -> Option<UpstreamAuth> {
    if kind == AuthKind::None {
        return Some(UpstreamAuth::None);
    }
    let Some(secret) = given.secret.filter(|secret| !secret.expose_secret().is_empty()) else {
        errors.add(format!("{within}secret"), format!("is required for kind {}", kind.as_str()));
        return None;
    };
    let too_long = secret.expose_secret().len() > SECRET_MAX;
    let auth = match kind {
        AuthKind::None | AuthKind::OAuth2 => return None,
        AuthKind::Bearer => UpstreamAuth::Bearer(secret),
        AuthKind::Header => UpstreamAuth::Header { name: header_name(given.header, errors)?, value: secret },
        AuthKind::Basic => UpstreamAuth::Basic {
            username: errors.take(&format!("{within}username"), username(given.username))?,
            password: secret,
        },
    };
    if too_long || credential(&auth).is_none() {
        let why = format!("must be at most {SECRET_MAX} visible ASCII characters, as it is sent in a header");
        errors.add(format!("{within}secret"), why);
        return None;
    }
    Some(auth)
}

fn username(username: Option<String>) -> Result<String, &'static str> {
    // RFC 7617, section 2: a user name has no colon.
    match username {
        Some(name)
            if !name.is_empty() && name.len() <= 256 && !name.contains(':') && !name.contains(char::is_control) =>
        {
            Ok(name)
        }
        _ => Err("is required for kind basic: 1 to 256 characters without a colon or control characters"),
    }
}

fn client(
    id: Option<String>,
    secret: Option<SecretString>,
    scopes: Option<Vec<String>>,
    errors: &mut FieldErrors,
) -> Option<OAuthClient> {
    let before = errors.0.len();
    // RFC 6749, appendix A: visible ASCII and blanks in client ids and secrets, no blanks in scopes.
    let visible = |text: &str, most: usize| {
        !text.is_empty() && text.len() <= most && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
    };
    if id.as_deref().is_some_and(|id| !visible(id, CLIENT_ID_MAX)) {
        errors.add("auth.clientId", format!("must be 1 to {CLIENT_ID_MAX} visible ASCII characters"));
    }
    if secret.as_ref().is_some_and(|secret| !visible(secret.expose_secret(), SECRET_MAX)) {
        errors.add("auth.secret", format!("must be 1 to {SECRET_MAX} visible ASCII characters"));
    }
    if secret.is_some() && id.is_none() {
        errors.add("auth.clientId", "is required beside a client's secret");
    }
    let scopes = scopes.unwrap_or_default();
    if scopes.len() > SCOPES_MAX {
        errors.add("auth.scopes", format!("must be at most {SCOPES_MAX}"));
    }
    let token = |scope: &String| visible(scope, SCOPE_MAX) && !scope.contains([' ', '"', '\\']);
    if let Some(index) = scopes.iter().position(|scope| !token(scope)) {
        let why = format!("must be 1 to {SCOPE_MAX} visible ASCII characters without blanks, quotes and backslashes");
        errors.add(format!("auth.scopes[{index}]"), why);
    }
    (errors.0.len() == before).then_some(OAuthClient { id, secret, scopes })
}

fn header_name(header: Option<String>, errors: &mut FieldErrors) -> Option<String> {
    // Headers that HTTP or MCP themselves need, or that say who calls.
    const RESERVED: [&str; 14] = [
        "accept",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "last-event-id",
        "mcp-protocol-version",
        "mcp-session-id",
        "te",
        "transfer-encoding",
        "upgrade",
        "x-keyrack-assertion",
    ];
    let parsed = header.as_deref().and_then(|name| name.parse::<HeaderName>().ok());
    match parsed {
        Some(name) if name.as_str().len() <= 100 && !RESERVED.contains(&name.as_str()) => Some(name.to_string()),
        Some(name) => {
            errors.add("auth.header", format!("{name} is reserved"));
            None
        }
        None => {
            errors.add("auth.header", "is required for kind header, for example X-Service-Token");
            None
        }
    }
}

/// How a server is authenticated to. No secret is shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthShape {
    /// `none`, `bearer`, `header`, `basic` or `oauth2`.
    kind: &'static str,
    /// `organization`: one credential for all of its callers. `tenant`: each tenant's own connection.
    scope: &'static str,
    /// The header's name, for kind `header`.
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<String>,
    /// Keyrack's client id, for kind `oauth2` with a client that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// What is asked for, for kind `oauth2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
}

impl From<&ServerAuth> for AuthShape {
    fn from(auth: &ServerAuth) -> Self {
        let client = match auth {
            ServerAuth::Tenant(TenantAuth::OAuth2(client)) => Some(client),
            ServerAuth::Tenant(TenantAuth::Bearer | TenantAuth::Header { .. } | TenantAuth::Basic)
            | ServerAuth::Organization(_) => None,
        };
        Self {
            kind: auth.kind().as_str(),
            scope: auth.scope().as_str(),
            header: auth.header().map(str::to_owned),
            client_id: client.and_then(|client| client.id.clone()),
            scopes: client.map(|client| client.scopes.clone()),
        }
    }
}
