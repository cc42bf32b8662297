//! `/.well-known/oauth-*`: MCP clients ask for it when they get 401. Keys are not OAuth, so the answer is a JSON 404 and
//! never a page.

use actix_web::{HttpResponse, get};

use crate::code::Code;
use crate::problem::{ErrorBody, Problem};

/// There is no OAuth here: keys go into a header.
///
/// # Errors
/// Always 404.
#[utoipa::path(
    operation_id = "no_oauth", tag = "system",
    params(("rest" = String, Path, description = "Whatever a client asks for.", example = "protected-resource")),
    responses((status = 404, description = "`not_found`", body = ErrorBody))
)]
#[get("/.well-known/oauth-{rest:.*}")]
pub async fn no_oauth() -> Result<HttpResponse, Problem> {
    Err(Problem::because(Code::NotFound, "Keyrack has no OAuth; send the key as X-API-Key or Authorization: Bearer"))
}
