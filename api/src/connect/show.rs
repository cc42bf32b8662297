//! `GET /connect/{link}`: the form. It changes nothing and uses nothing up, since programs open links before people do.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use domain::connect::Browser;

use super::cookie;
use super::live::open;
use super::pages::{self, Again};
use crate::compose::Services;

pub(super) async fn show(services: Data<Services>, request: HttpRequest, link: Path<String>) -> HttpResponse {
    let live = match open(&services, &request, &link).await {
        Ok(live) => live,
        Err(closed) => return closed.page(),
    };
    // One name for all pages that a browser has open.
    let browser = match cookie::browser(&services, &request).map_or_else(Browser::new, Ok) {
        Ok(browser) => browser,
        Err(error) => {
            tracing::error!(%error, "a connect page has no cookie");
            return pages::unavailable();
        }
    };
    let proof = services.browsers.binding(&browser, &link).to_hex();
    let mut answer = pages::form(StatusCode::OK, &live, &proof, &Again::default());
    if answer.add_cookie(&cookie::naming(&services, &browser)).is_err() {
        return pages::unavailable();
    }
    answer
}
