//! `GET /.well-known/jwks.json`: what upstream servers verify assertions with, and anybody the audit log's checkpoints.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::assertion::keys::KEY_SET_MAX_AGE;
use infra::token::Jwk;
use serde::Serialize;
use utoipa::ToSchema;

use crate::compose::Services;

/// A JSON Web Key Set (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
pub struct JwkSetShape {
    /// Ed25519 public keys (RFC 8037).
    keys: Vec<JwkShape>,
}

/// An Ed25519 public key.
#[derive(Debug, Serialize, ToSchema)]
pub struct JwkShape {
    /// `OKP`
    kty: String,
    /// `Ed25519`
    crv: String,
    /// The public key, base64url.
    x: String,
    /// Which key; the same in the header of every assertion, and in every checkpoint of the audit log.
    kid: String,
    /// `EdDSA`
    alg: String,
    /// `sig`
    #[serde(rename = "use")]
    usage: String,
}

/// The public keys: first the one behind `X-Keyrack-Assertion`, then the one that will be and those that were a while ago,
/// then those of checkpoints of the audit log, the present one before those of earlier root secrets.
#[utoipa::path(
    operation_id = "get_jwks", tag = "system",
    responses((status = 200, description = "The keys.", body = JwkSetShape))
)]
#[get("/.well-known/jwks.json")]
pub async fn get_jwks(services: Data<Services>) -> HttpResponse {
    let retired = services.retired_signers.iter().map(|key| Jwk::ed25519(key));
    let assertions = services.passports.jwks().keys.into_iter();
    let keys = assertions
        .chain([services.checkpoint_signer.jwk()])
        .chain(retired)
        .map(|key| JwkShape { kty: key.kty, crv: key.crv, x: key.x, kid: key.kid, alg: key.alg, usage: key.usage })
        .collect();
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, format!("public, max-age={}", KEY_SET_MAX_AGE.as_secs())))
        .json(JwkSetShape { keys })
}
