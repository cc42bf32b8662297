//! The connect page: what a connect link opens (`/connect/…`). It takes a tenant's credential for a server, or sends its
//! owner to the server's authorization server and takes what comes back. Plain HTML, for every browser, without scripts.
//!
//! Whoever opens it has no key and no account here. What they may do is what the link's maker may do now
//! ([`live`]); what they send counts only from the browser that asked for the page ([`cookie`]).

mod callback;
mod cookie;
mod give;
mod live;
mod pages;
mod show;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, http::header};

/// What addresses of connect links begin with.
pub const PREFIX: &str = "/connect";
/// Where authorization servers send people back to.
pub const CALLBACK: &str = "/connect/callback";

/// The routes. A link's token is longer than the other names, and never one of them.
pub fn routes(routes: &mut ServiceConfig) {
    routes
        .service(web::resource("/connect/page.css").route(web::get().to(style)))
        .service(web::resource(CALLBACK).route(web::get().to(callback::callback)))
        .service(web::resource("/connect/{link}").route(web::get().to(show::show)).route(web::post().to(give::give)));
}

async fn style() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "max-age=3600"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(include_str!("page.css"))
}
