//! The pages as text. Everything that somebody wrote is escaped, and set apart from the direction of its surroundings.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use domain::field::{FieldError, FieldErrors};
use domain::server::{AuthKind, ServerAuth, ServerRecord};
use domain::tenant::Tenant;
use url::Url;

use super::live::Live;

/// Our own style, forms to ourselves, and nothing else; and no other page around it.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Longest secret that the form lets somebody type; the check is the server's.
const SECRET_MAX: usize = 8192;

/// What went wrong with what somebody sent, and what they typed that is no secret.
#[derive(Default)]
pub(super) struct Again {
    /// In words for them, in the fields' order: field and message.
    pub(super) errors: Vec<(String, String)>,
    /// The user name that they typed.
    pub(super) username: String,
}

impl Again {
    pub(super) fn of(errors: &FieldErrors, kind: AuthKind, username: &str) -> Self {
        let said = |error: &FieldError| {
            let label = match (kind, error.field.as_str()) {
                (_, "username") => "The user name",
                (AuthKind::Basic, _) => "The password",
                (AuthKind::Header, _) => "The value",
                (AuthKind::None | AuthKind::Bearer | AuthKind::OAuth2, _) => "The access token",
            };
            (error.field.clone(), format!("{label} {}.", error.message))
        };
        Self { errors: errors.0.iter().map(said).collect(), username: username.to_owned() }
    }

    pub(super) fn because(message: &str) -> Self {
        Self { errors: vec![(String::new(), message.to_owned())], username: String::new() }
    }

    fn names(&self, field: &str) -> bool {
        self.errors.iter().any(|(name, _)| name == field)
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
    out
}

/// Somebody's words, which may run from right to left.
fn words(text: &str) -> String {
    format!("<bdi>{}</bdi>", escaped(text))
}

fn page(status: StatusCode, title: &str, head: &str, body: &str) -> HttpResponse {
    let title = escaped(title);
    let page = format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Keyrack: {title}</title>
<link rel="stylesheet" href="/connect/page.css">
{head}</head>
<body>
<main>
{body}</main>
</body>
</html>
"#
    );
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        // Not `no-referrer`, with which browsers hide from us as well where a form comes from. Nobody else learns anything.
        .insert_header((REFERRER_POLICY, "same-origin"))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .body(page)
}

fn says(status: StatusCode, title: &str, sentences: &str) -> HttpResponse {
    page(status, title, "", &format!("<h1>{}</h1>\n<p role=\"status\">{sentences}</p>\n", escaped(title)))
}

/// Whom the credential is for.
fn tenant(live: &Live) -> String {
    match live.grant.tenant() {
        Tenant::Owner | Tenant::Organization => words(&live.grant.user().email),
        Tenant::Below { org, user } => {
            let user = user.as_ref().map(|(_, text)| words(text.as_str())).unwrap_or_default();
            match org {
                Some((_, org)) => format!("{user} of {}", words(org.as_str())),
                None => user,
            }
        }
    }
}

fn facts(live: &Live) -> String {
    let organization = live.grant.organization();
    format!(
        "<dl>\n<dt>Organization</dt><dd>{} ({})</dd>\n<dt>Service</dt><dd>{} at {}</dd>\n<dt>Connected for</dt><dd>{}</dd>\n</dl>\n",
        words(&organization.name),
        words(&organization.slug),
        words(live.server.name.as_str()),
        words(&live.server.origin()),
        tenant(live),
    )
}

/// The form. `proof` shows that it was handed to this browser.
pub(super) fn form(status: StatusCode, live: &Live, proof: &str, again: &Again) -> HttpResponse {
    let server = live.server.name.as_str();
    let errors: Vec<String> = again.errors.iter().map(|(_, message)| escaped(message)).collect();
    let alert = match errors.join("</p>\n<p>") {
        none if none.is_empty() => none,
        errors => format!("<div role=\"alert\">\n<p>{errors}</p>\n</div>\n"),
    };
    let (fields, button) = fields(&live.server, again);
    let body = format!(
        r#"<h1>Connect {server}</h1>
{alert}<p>An application of the organization below asks to use {server} for you. Go on only if you know who sent you here,
and if it says your own name: whoever acts for the name below can then use {server} with your account.</p>
{facts}<form method="post" autocomplete="off">
<input type="hidden" name="proof" value="{proof}">
{fields}<p><button type="submit">{button}</button></p>
</form>
<p>Keyrack keeps this sealed, shows it to nobody, and sends it to {origin} alone.</p>
"#,
        server = words(server),
        facts = facts(live),
        origin = words(&live.server.origin()),
    );
    page(status, &format!("connect {server}"), "", &body)
}

fn fields(server: &ServerRecord, again: &Again) -> (String, &'static str) {
    let field = |name: &str, label: &str, kind: &str, value: &str, first: bool| {
        let wrong = if again.names(name) { " aria-invalid=\"true\"" } else { "" };
        let first = if first { " autofocus" } else { "" };
        format!(
            "<p><label for=\"{name}\">{label}</label>\n<input id=\"{name}\" name=\"{name}\" type=\"{kind}\" \
             value=\"{}\" required maxlength=\"{SECRET_MAX}\" autocomplete=\"off\" autocapitalize=\"none\" \
             spellcheck=\"false\"{wrong}{first}></p>\n",
            escaped(value)
        )
    };
    let fields = match server.auth.kind() {
        AuthKind::None => String::new(),
        AuthKind::Bearer => field("secret", "Access token or API key", "password", "", true),
        AuthKind::Header => {
            let label = format!("Value of the header {}", words(server.auth.header().unwrap_or_default()));
            field("secret", &label, "password", "", true)
        }
        AuthKind::Basic => {
            let username = field("username", "User name", "text", &again.username, true);
            username + &field("secret", "Password", "password", "", false)
        }
        AuthKind::OAuth2 => {
            let name = words(server.name.as_str());
            return (format!("<p>{name} will ask you to sign in there and to agree.</p>\n"), "Continue");
        }
    };
    (fields, "Connect")
}

/// Whether a server's tenants can connect to it at all.
pub(super) const fn takes_connections(server: &ServerRecord) -> bool {
    matches!(server.auth, ServerAuth::Tenant(_))
}

/// It goes on elsewhere. Not a redirect: browsers apply the policy for forms to wherever a form's answer leads, and where
/// an authorization server leads on to is not for us to know.
pub(super) fn elsewhere(url: &Url) -> HttpResponse {
    let (href, host) = (escaped(url.as_str()), words(url.host_str().unwrap_or_default()));
    let head = format!("<meta http-equiv=\"refresh\" content=\"0; url={href}\">\n");
    let body = format!(
        "<h1>Continue at {host}</h1>\n<p><a id=\"continue\" href=\"{href}\" rel=\"noreferrer\">Continue at {host}</a> to sign \
         in and agree. You come back here afterwards.</p>\n"
    );
    page(StatusCode::OK, "continue", &head, &body)
}

/// It is done.
pub(super) fn done(live: &Live) -> HttpResponse {
    let sentences =
        format!("{} is connected for {}. You can close this page.", words(live.server.name.as_str()), tenant(live));
    says(StatusCode::OK, "Connected", &sentences)
}

/// The link opens nothing. The same for every reason.
pub(super) fn dead() -> HttpResponse {
    let sentences = "Links to connect work once, and for ten minutes. Ask for a new one where you got it.";
    says(StatusCode::NOT_FOUND, "This link does not work", sentences)
}

/// The form came from elsewhere than the page.
pub(super) fn foreign() -> HttpResponse {
    let sentences =
        "Nothing was changed. Open the link again in the browser that you began in, and let it keep cookies.";
    says(StatusCode::FORBIDDEN, "This browser did not begin here", sentences)
}

/// The person said no, or the service did.
pub(super) fn not_agreed() -> HttpResponse {
    let sentences = "You did not agree, or the service did not. Nothing was changed. To try again, ask for a new link.";
    says(StatusCode::BAD_REQUEST, "Not connected", sentences)
}

/// The authorization server did not do its part.
pub(super) fn not_granted() -> HttpResponse {
    let sentences = "The service agreed, but gave nothing that could be kept. Nothing was changed. Ask for a new link.";
    says(StatusCode::BAD_GATEWAY, "Not connected", sentences)
}

/// Keyrack cannot answer just now.
pub(super) fn unavailable() -> HttpResponse {
    let mut answer = says(StatusCode::SERVICE_UNAVAILABLE, "Not available", "Try again in a moment.");
    answer.headers_mut().insert(actix_web::http::header::RETRY_AFTER, actix_web::http::header::HeaderValue::from(1));
    answer
}

/// What was sent cannot be read.
pub(super) fn unreadable() -> HttpResponse {
    says(StatusCode::BAD_REQUEST, "Not understood", "Open the link again, and send the form as it is.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_wrote_stays_text() {
        assert_eq!(
            words("<script>alert('x' && \"y\")</script>"),
            "<bdi>&lt;script&gt;alert(&#39;x&#39; &amp;&amp; &quot;y&quot;)&lt;/script&gt;</bdi>"
        );
    }
}
