//! The token endpoint: a code or a refresh token for an access token.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::form_urlencoded::{Serializer, byte_serialize};
use zeroize::Zeroizing;

use super::ask::{Ask, Reply};
use super::fault::error_code;
use super::{AuthMethod, OAuthClient, OAuthFault, Step, TokenSource, metadata};

/// Tokens of one grant.
#[derive(Debug, Clone)]
pub struct TokenSet {
    /// What the MCP server gets.
    pub access_token: SecretString,
    /// How long it lasts, if that is known.
    pub lasts: Option<Duration>,
    /// What the next one comes for, if there is to be one.
    pub refresh_token: Option<SecretString>,
    /// What was granted, where it is not what was asked for.
    pub scope: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    access_token: SecretString,
    token_type: String,
    #[serde(default)]
    expires_in: Option<Seconds>,
    refresh_token: Option<SecretString>,
    scope: Option<String>,
}

/// Some servers write the number as a text, or with a fraction.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Whole(u64),
    Broken(f64),
    Text(String),
}

impl Seconds {
    fn duration(self) -> Option<Duration> {
        match self {
            Self::Whole(seconds) => Some(Duration::from_secs(seconds)),
            Self::Broken(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            Self::Text(text) => text.parse().ok().map(Duration::from_secs),
        }
    }
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl OAuthClient {
    /// Exchanges the code that a person brought back.
    ///
    /// # Errors
    /// [`OAuthFault`]
    pub async fn exchange(
        &self,
        source: &TokenSource,
        code: &SecretString,
        verifier: &SecretString,
    ) -> Result<TokenSet, OAuthFault> {
        let asked = [
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", verifier.expose_secret()),
        ];
        self.tokens(Step::Exchange, source, &asked).await
    }

    /// Exchanges a refresh token. The answer's refresh token is the one to use next: the same, where the server gives no
    /// other.
    ///
    /// # Errors
    /// [`OAuthFault`]; [`OAuthFault::ends_grant`] says whether there is any use in trying again
    pub async fn refresh(&self, source: &TokenSource, token: &SecretString) -> Result<TokenSet, OAuthFault> {
        let asked = [("grant_type", "refresh_token"), ("refresh_token", token.expose_secret())];
        let mut tokens = self.tokens(Step::Refresh, source, &asked).await?;
        tokens.refresh_token.get_or_insert_with(|| token.clone());
        Ok(tokens)
    }

    async fn tokens(&self, step: Step, source: &TokenSource, asked: &[(&str, &str)]) -> Result<TokenSet, OAuthFault> {
        let reply = self.ask(step, request(source, asked)).await?;
        if reply.status != StatusCode::OK {
            return Err(refusal(step, &reply));
        }
        let answer: Answer = metadata::read(step, &reply)?;
        let sendable = |token: &SecretString| {
            let token = token.expose_secret().as_bytes();
            !token.is_empty() && token.iter().all(u8::is_ascii_graphic)
        };
        if !answer.token_type.eq_ignore_ascii_case("bearer") || !sendable(&answer.access_token) {
            return Err(OAuthFault::Document { step, what: "the token is none that can be sent as Bearer" });
        }
        Ok(TokenSet {
            access_token: answer.access_token,
            lasts: answer.expires_in.and_then(Seconds::duration),
            refresh_token: answer.refresh_token.filter(|token| !token.expose_secret().is_empty()),
            scope: answer.scope,
        })
    }
}

/// A request for tokens, by the client that they are for.
fn request(source: &TokenSource, asked: &[(&str, &str)]) -> Ask {
    let client = &source.client;
    let mut form = Serializer::new(String::new());
    form.extend_pairs(asked).append_pair("resource", &source.resource);
    let mut basic = None;
    match (client.method, &client.secret) {
        (AuthMethod::Basic, Some(secret)) => basic = Some(basic_auth(&client.id, secret)),
        (AuthMethod::Post, Some(secret)) => {
            form.append_pair("client_id", &client.id).append_pair("client_secret", secret.expose_secret());
        }
        (AuthMethod::None, _) | (_, None) => {
            form.append_pair("client_id", &client.id);
        }
    }
    let mut ask = Ask::post(source.endpoint.clone(), "application/x-www-form-urlencoded", form.finish());
    if let Some(basic) = basic {
        ask.headers.insert(AUTHORIZATION, basic);
    }
    ask
}

/// RFC 6749, section 2.3.1: both are form-encoded before they are put together.
fn basic_auth(id: &str, secret: &SecretString) -> HeaderValue {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encoded(id), encoded(secret.expose_secret())));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
        .expect("base64 is a header's value");
    value.set_sensitive(true);
    value
}

/// What a status other than success means.
pub(super) fn refusal(step: Step, reply: &Reply) -> OAuthFault {
    match serde_json::from_slice::<Refusal>(&reply.body) {
        Ok(refusal) if reply.status.is_client_error() => OAuthFault::Refused { step, code: error_code(&refusal.error) },
        Ok(_) | Err(_) => OAuthFault::Status { step, status: reply.status },
    }
}
