//! The cookie that tells a browser from others. Out of reach for scripts; it comes along when people are sent back from
//! an authorization server, and not with forms of other sites.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use domain::connect::Browser;

use super::PREFIX;
use crate::compose::Services;

// With https, a name that no other host of the domain can set.
const SECURE: &str = "__Host-keyrack-connect";
const PLAIN: &str = "keyrack-connect";

/// As long as an authorization that is under way.
const LASTS: Duration = Duration::minutes(30);

/// The browser that asks, if it was here before.
pub(super) fn browser(services: &Services, request: &HttpRequest) -> Option<Browser> {
    let name = if services.names.secure() { SECURE } else { PLAIN };
    request.cookie(name).and_then(|cookie| Browser::named(cookie.value()))
}

/// The cookie of a browser.
pub(super) fn naming(services: &Services, browser: &Browser) -> Cookie<'static> {
    let secure = services.names.secure();
    let (name, path) = if secure { (SECURE, "/") } else { (PLAIN, PREFIX) };
    Cookie::build(name, browser.name().to_owned())
        .path(path)
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure)
        .max_age(LASTS)
        .finish()
}
