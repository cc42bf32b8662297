//! The one table of error codes. The enum, the HTTP status, the number inside JSON-RPC errors, the schema and
//! `docs/errors.md` all come from it.

use std::fmt::Write;

use actix_web::http::StatusCode;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! codes {
    ($($variant:ident = $status:literal, $name:literal, $meaning:literal, $fix:literal;)+) => {
        /// What a caller can be told in a word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
        pub enum Code {
            $(#[doc = $meaning] #[serde(rename = $name)] $variant,)+
        }

        impl Code {
            /// Every code, in the table's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code's text.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),+ }
            }

            /// What to do about it.
            #[must_use]
            pub const fn fix(self) -> &'static str {
                match self { $(Self::$variant => $fix),+ }
            }

            const fn status_number(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }
        }
    };
}

codes! {
    InvalidRequest = 400, "invalid_request", "The request cannot be read.", "Compare it with the API document; the message says what could not be read.";
    ValidationFailed = 400, "validation_failed", "Fields have values that are not allowed.", "`details.fieldErrors` names each field and what it takes.";
    TenantRequired = 400, "tenant_required", "The key's type needs a tenant here.", "Add the query parameter that `details.fieldErrors` names: `user_id` for client keys, `org_id` and `user_id` for platform keys.";
    InvalidTenant = 400, "invalid_tenant", "`org_id` or `user_id` cannot be a tenant id.", "Give each once, 1 to 128 bytes of percent-encoded UTF-8 without control characters.";
    Unauthenticated = 401, "unauthenticated", "No valid credentials.", "Send the key as `X-API-Key` or `Authorization: Bearer`, once, or sign in again. The audit log has the reason.";
    TenantNotAllowed = 403, "tenant_not_allowed", "The key may not speak for that tenant.", "Add the tenant to the key's allowed tenants, or leave the parameter out.";
    TenantSuspended = 403, "tenant_suspended", "The tenant is suspended.", "Resume the tenant.";
    ForbiddenRole = 403, "forbidden_role", "The role is too low.", "Use a key or member with the role that the message names.";
    ForbiddenPermission = 403, "forbidden_permission", "The permission is missing, or only people can have it.", "Create a key with the permission that the message names, or sign in.";
    ServerNotAllowed = 403, "server_not_allowed", "The key does not include that server.", "Use a key that lists the server.";
    ConnectionRequired = 403, "connection_required", "The server needs a connection of the tenant's own, and there is none that works.", "Connect the tenant with `PUT /api/v1/connections/{server}`, or on the page that `POST /api/v1/connections/{server}/link` leads to.";
    SecretArgument = 403, "secret_argument", "An argument of the tool call looks like a secret. On MCP paths the HTTP status is 200, so that the session survives.", "The message names the argument. Give the secret to Keyrack as the server's credential, or let an admin put the field into the server's `allowedSecretFields`.";
    FeatureDisabled = 403, "feature_disabled", "The organization does not have that feature.", "An admin switches it on with `PATCH /api/v1/org`.";
    OriginNotAllowed = 403, "origin_not_allowed", "The `Host` or `Origin` header is not one of this installation's.", "Use the public URL, or add the name to `KEYRACK_ALLOWED_HOSTS` or `KEYRACK_ALLOWED_ORIGINS`.";
    NotFound = 404, "not_found", "There is no such thing, or it is not yours to see.", "Check the id.";
    ServerNotFound = 404, "server_not_found", "There is no such server, or none that you reach.", "Check the slug or id; archived servers take no calls.";
    SessionNotFound = 404, "session_not_found", "There is no such MCP session for this key, tenant and server.", "Initialize a new session.";
    MethodNotAllowed = 405, "method_not_allowed", "MCP has no such HTTP method.", "Use POST, GET or DELETE.";
    Conflict = 409, "conflict", "Something with that name exists, or the thing is in a state that forbids this.", "`details.fieldErrors` names what is taken.";
    IdempotencyConflict = 409, "idempotency_conflict", "The `Idempotency-Key` was used for another request, or its first request is under way or ended in the dark.", "The message says which: use a new key, wait for `Retry-After` seconds, or look whether the thing was made.";
    PayloadTooLarge = 413, "payload_too_large", "The body is over the limit.", "Send less, or raise `KEYRACK_BODY_LIMIT`.";
    RateLimited = 429, "rate_limited", "The key, the server, or your address takes no more requests for now, or the key has too many calls under way.", "Try again after `Retry-After` seconds; the message says whose limit it is, and `RateLimit-*` headers say how a key's or server's stands.";
    UpstreamError = 502, "upstream_error", "The MCP server could not be reached, refused our credential, or failed so often that it is left alone for a moment.", "The message says which; check the server's URL and credential. With `Retry-After`, try again after that many seconds.";
    Unavailable = 503, "unavailable", "Keyrack cannot answer now.", "Try again after `Retry-After` seconds. It says nothing about your credentials.";
    UpstreamTimeout = 504, "upstream_timeout", "The MCP server did not answer in time.", "Try again, or raise the server's `timeouts`, or `KEYRACK_UPSTREAM_CONNECT_TIMEOUT` or `KEYRACK_UPSTREAM_IDLE_TIMEOUT` for all.";
    Internal = 500, "internal", "A fault of Keyrack's own.", "Report it with the request id; the log has the cause.";
}

impl Code {
    /// The HTTP status that goes with it.
    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.status_number()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The HTTP status on MCP paths: that of the code for a refused caller, 200 for a refused message.
    #[must_use]
    pub fn mcp_status(self) -> StatusCode {
        match self {
            Self::SecretArgument => StatusCode::OK,
            other => other.status(),
        }
    }

    /// The number inside a JSON-RPC error: the status and the place among its codes. JSON-RPC 2.0 reserves -32768 to
    /// -32000; these are positive.
    #[must_use]
    pub fn number(self) -> i64 {
        let same = Self::ALL.iter().filter(|code| code.status_number() == self.status_number());
        let place = same.take_while(|code| **code != self).count();
        i64::from(self.status_number()) * 100 + i64::try_from(place).unwrap_or(0)
    }
}

/// Errors of messages that the protocol itself defines, with their numbers. All of them are [`Code::InvalidRequest`]; the
/// number tells them apart, and clients know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProtocolError {
    /// JSON-RPC 2.0: no JSON.
    Parse,
    /// JSON-RPC 2.0: JSON, and no message.
    InvalidRequest,
    /// MCP 2026-07-28: headers that do not say what the message says.
    HeaderMismatch,
}

impl ProtocolError {
    const ALL: [Self; 3] = [Self::Parse, Self::InvalidRequest, Self::HeaderMismatch];

    /// Its number inside a JSON-RPC error.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Parse => -32700,
            Self::InvalidRequest => -32600,
            Self::HeaderMismatch => -32020,
        }
    }

    const fn meaning(self) -> &'static str {
        match self {
            Self::Parse => "The body is no JSON that can be read to its end.",
            Self::InvalidRequest => {
                "The body is no JSON-RPC message, or one that could be read in two ways, or an array where the protocol's \
                 revision has none."
            }
            Self::HeaderMismatch => {
                "`MCP-Protocol-Version`, `Mcp-Method` or `Mcp-Name` does not say what the message says, is missing, or stands \
                 there twice."
            }
        }
    }
}

// By hand: inside a macro, utoipa's derive sees no literal in `rename` and would write the variants' names.
impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("What a caller can be told in a word."))
            .enum_values(Some(Self::ALL.iter().map(|code| code.as_str())))
            .into()
    }
}

impl ToSchema for Code {}

/// `docs/errors.md`, made from the table.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(
        "# Error codes\n\n<!-- made from api/src/code.rs by `keyrack openapi`; do not edit -->\n\n\
         REST answers `{\"error\":{\"code\",\"message\",\"requestId\",\"details\"}}`. On MCP paths the same stands inside a \
         JSON-RPC error, whose `code` is the number below and whose `data` has `code`, `requestId` and `details`.\n\n\
         | status | code | JSON-RPC | meaning | what to do |\n|---|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let _ = writeln!(
            text,
            "| {} | `{}` | {} | {} | {} |",
            code.status().as_u16(),
            code.as_str(),
            code.number(),
            code.meaning(),
            code.fix()
        );
    }
    text.push_str(
        "\nErrors that the protocol defines keep its numbers. Their status is 400 and their code `invalid_request`; an error of \
         the upstream server's own passes as it is.\n\n| JSON-RPC | meaning |\n|---|---|\n",
    );
    for error in ProtocolError::ALL {
        let _ = writeln!(text, "| {} | {} |", error.number(), error.meaning());
    }
    text.push_str(
        "\nA refused batch is answered with an error for each of its requests where only a message in it is refused, and else \
         with one error without an id.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_unique_and_outside_the_reserved_range() {
        let names: std::collections::HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let numbers: std::collections::HashSet<_> = Code::ALL.iter().map(|code| code.number()).collect();
        assert_eq!((names.len(), numbers.len()), (Code::ALL.len(), Code::ALL.len()));
        assert!(numbers.iter().all(|number| *number > 0));
    }
}
