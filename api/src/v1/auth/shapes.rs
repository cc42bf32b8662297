//! What sign-in takes and gives.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use domain::access::MemberFacts;
use domain::organization::service::{ACCESS_TOKEN_LIFETIME, OpenedSession};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use super::cookie;
use crate::compose::Services;
use crate::v1::PersonShape;

/// A session. The refresh token comes beside it, in an HttpOnly cookie.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionShape {
    /// Send it as `Authorization: Bearer`.
    pub access_token: String,
    /// Seconds until it ends.
    #[schema(example = 900)]
    pub expires_in: u64,
    /// Who signed in.
    pub user: PersonShape,
    /// Where.
    pub organization: MembershipShape,
}

/// An organization and one's role in it.
#[derive(Debug, Serialize, ToSchema)]
pub struct MembershipShape {
    /// `org_…`
    pub id: String,
    /// Name for addresses.
    #[schema(example = "acme")]
    pub slug: String,
    /// Name for people.
    #[schema(example = "Acme")]
    pub name: String,
    /// `viewer`, `editor`, `admin` or `owner`.
    #[schema(example = "owner")]
    pub role: String,
}

impl From<&MemberFacts> for MembershipShape {
    fn from(member: &MemberFacts) -> Self {
        Self {
            id: member.organization.id.to_string(),
            slug: member.organization.slug.to_string(),
            name: member.organization.name.to_string(),
            role: member.role.as_str().to_owned(),
        }
    }
}

/// Answers with a session and its cookie.
pub fn respond(services: &Services, status: StatusCode, session: &OpenedSession) -> HttpResponse {
    let shape = SessionShape {
        access_token: session.access_token.expose_secret().to_owned(),
        expires_in: ACCESS_TOKEN_LIFETIME.as_secs(),
        user: PersonShape::from(&session.member.user),
        organization: MembershipShape::from(&session.member),
    };
    HttpResponse::build(status)
        .cookie(cookie::holding(&session.refresh_token, services.names.secure()))
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .json(shape)
}
