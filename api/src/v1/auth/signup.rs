//! `POST /auth/signup`

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, post};
use domain::field::FieldErrors;
use domain::organization::Password;
use domain::organization::service::{AccountFault, SignUp};
use secrecy::SecretString;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::{self, SessionShape};
use crate::authenticate::request_id;
use crate::client_address;
use crate::compose::Services;
use crate::extract::Body;
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, PublicRefusals, ThrottleRefusals};

/// A new organization and its owner.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignUpRequest {
    /// E-mail address.
    #[schema(example = "ann@example.com", max_length = 254)]
    email: String,
    /// 12 to 128 characters.
    #[schema(value_type = String, format = Password, min_length = 12, max_length = 128, example = "correct horse battery")]
    password: SecretString,
    /// What to call you.
    #[schema(example = "Ann", max_length = 100)]
    display_name: Option<String>,
    /// The organization.
    #[validate(nested)]
    organization: NewOrganization,
    /// The token that the first start printed; not needed where sign-up is open.
    #[schema(value_type = Option<String>)]
    bootstrap_token: Option<SecretString>,
}

/// A new organization.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewOrganization {
    /// Name for people.
    #[schema(example = "Acme", min_length = 1, max_length = 100)]
    pub name: String,
    /// Name for addresses, unique in the installation.
    #[schema(example = "acme", pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    pub slug: String,
}

impl SignUpRequest {
    fn parse(self) -> Result<SignUp, FieldErrors> {
        let mut errors = FieldErrors::default();
        let email = errors.take("email", self.email.parse());
        let password = errors.take("password", Password::new(self.password));
        let display_name = errors.take_optional("displayName", self.display_name.map(|name| name.parse()));
        let name = errors.take("organization.name", self.organization.name.parse());
        let slug = errors.take("organization.slug", self.organization.slug.parse());
        match (email, password, name, slug) {
            (Some(email), Some(password), Some(organization_name), Some(organization_slug)) if errors.0.is_empty() => {
                Ok(SignUp {
                    email,
                    password,
                    display_name,
                    organization_name,
                    organization_slug,
                    bootstrap_token: self.bootstrap_token,
                })
            }
            _ => Err(errors),
        }
    }
}

/// Creates an organization with you as its owner, and signs you in. Wrong bootstrap tokens are counted per client address;
/// after too many, tries have to wait.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "sign_up", tag = "auth", request_body = SignUpRequest,
    responses((status = 201, description = "The organization exists and you are signed in.", body = SessionShape), PublicRefusals, BodyRefusals, ThrottleRefusals)
)]
#[post("/auth/signup")]
pub async fn sign_up(
    request: HttpRequest,
    services: Data<Services>,
    body: Body<SignUpRequest>,
) -> Result<HttpResponse, Problem> {
    let sign_up = body.read().await?.parse()?;
    let (id, inside) = (request_id(&request), services.clone());
    let from = client_address::of(&request, &services.settings.trusted_proxies);
    let session = to_the_end(async move {
        let signed_up = inside.accounts.sign_up(sign_up, from, id).await;
        match &signed_up {
            Err(AccountFault::BootstrapToken) => {
                inside.audit.count_anonymous("organization.create", "the bootstrap token is missing, wrong or used");
            }
            Err(AccountFault::Throttled(_)) => inside.audit.count_throttled("organization.create"),
            _ => {}
        }
        Ok(signed_up?)
    })
    .await?;
    Ok(shapes::respond(&services, StatusCode::CREATED, &session))
}
