//! `GET /accept-invitation`: the page that an invitation's link opens. The token stands behind the `#`, which browsers do
//! not send: this server sees it when the person accepts, and no log on the way sees it before.

use actix_web::HttpResponse;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

/// Where the page is.
pub const ACCEPT_PAGE: &str = "/accept-invitation";
/// Where its script is.
pub const ACCEPT_SCRIPT: &str = "/accept-invitation.js";

/// Its own script, its own API, and nothing else; and no other page around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

fn answer(kind: &str, body: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .body(body)
}

/// The page.
pub async fn page() -> HttpResponse {
    answer("text/html; charset=utf-8", include_str!("accept.html"))
}

/// Its script.
pub async fn script() -> HttpResponse {
    answer("text/javascript; charset=utf-8", include_str!("accept.js"))
}
