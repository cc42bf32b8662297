//! The refresh token's cookie: out of reach for scripts, and not sent by other sites' requests.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use domain::organization::service::REFRESH_TOKEN_LIFETIME;
use secrecy::{ExposeSecret, SecretString};

const NAME: &str = "keyrack_refresh";

fn cookie(value: String, secure: bool, max_age: Duration) -> Cookie<'static> {
    Cookie::build(NAME, value)
        .path("/api")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure)
        .max_age(max_age)
        .finish()
}

/// A cookie with this token. `secure` where clients come by https.
pub fn holding(token: &SecretString, secure: bool) -> Cookie<'static> {
    let seconds = i64::try_from(REFRESH_TOKEN_LIFETIME.as_secs()).unwrap_or(i64::MAX);
    cookie(token.expose_secret().to_owned(), secure, Duration::seconds(seconds))
}

/// A cookie that removes the token.
pub fn cleared(secure: bool) -> Cookie<'static> {
    cookie(String::new(), secure, Duration::ZERO)
}

/// The token that a request brings.
pub fn presented(request: &HttpRequest) -> Option<SecretString> {
    request.cookie(NAME).map(|cookie| cookie.value().to_owned().into())
}
