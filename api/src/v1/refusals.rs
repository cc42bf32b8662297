//! The error answers that operations share, for the API document.

use utoipa::IntoResponses;

use crate::problem::ErrorBody;

/// What an operation of proven callers can answer besides its success.
#[derive(IntoResponses)]
pub enum Refusals {
    /// `invalid_tenant`, `tenant_required` or `validation_failed`
    #[response(status = 400)]
    Invalid(ErrorBody),
    /// `unauthenticated`
    #[response(status = 401)]
    Unauthenticated(ErrorBody),
    /// `forbidden_role`, `forbidden_permission`, `feature_disabled`, `tenant_not_allowed`, `tenant_suspended` or
    /// `origin_not_allowed`
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// `not_found` or `server_not_found`
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// `rate_limited`, with `Retry-After`: a key with a limit of its own
    #[response(status = 429)]
    RateLimited(ErrorBody),
    /// `internal`
    #[response(status = 500)]
    Internal(ErrorBody),
    /// `unavailable`, with `Retry-After`
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// What an operation with a body can answer in addition.
#[derive(IntoResponses)]
pub enum BodyRefusals {
    /// `conflict` or `idempotency_conflict`
    #[response(status = 409)]
    Conflict(ErrorBody),
    /// `payload_too_large`
    #[response(status = 413)]
    TooLarge(ErrorBody),
}

/// What an operation of anybody can answer besides its success.
#[derive(IntoResponses)]
pub enum PublicRefusals {
    /// `invalid_request` or `validation_failed`
    #[response(status = 400)]
    Invalid(ErrorBody),
    /// `unauthenticated`
    #[response(status = 401)]
    Unauthenticated(ErrorBody),
    /// `origin_not_allowed`
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// `internal`
    #[response(status = 500)]
    Internal(ErrorBody),
    /// `unavailable`, with `Retry-After`
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// What an operation without a body can answer in addition, where the state of things can forbid it.
#[derive(IntoResponses)]
pub enum ConflictRefusals {
    /// `conflict`
    #[response(status = 409)]
    Conflict(ErrorBody),
}

/// What an operation can answer in addition that asks an upstream server.
#[derive(IntoResponses)]
pub enum UpstreamRefusals {
    /// `upstream_error`
    #[response(status = 502)]
    Error(ErrorBody),
    /// `upstream_timeout`
    #[response(status = 504)]
    Timeout(ErrorBody),
}

/// What an operation can answer in addition that looks at a password.
#[derive(IntoResponses)]
pub enum ThrottleRefusals {
    /// `rate_limited`, with `Retry-After`
    #[response(status = 429)]
    RateLimited(ErrorBody),
}
