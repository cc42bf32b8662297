//! `POST /projects`

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use domain::access::permission::ProjectsWrite;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::project::service::ProjectRequest;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};
use validator::Validate;

use super::shapes::{ProjectShape, parse_servers, server_ids};
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::once::{Made, Once, OnceHeader};
use crate::problem::Problem;
use crate::v1::{BodyRefusals, Refusals};

/// A project to make.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewProject {
    /// Name for people.
    #[schema(example = "Checkout", min_length = 1, max_length = 100)]
    name: String,
    /// Name for addresses; made from the name when not given.
    #[schema(example = "checkout", pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
    slug: Option<String>,
    /// A longer explanation.
    #[schema(max_length = 1000)]
    description: Option<String>,
    /// Ids of servers, with the description that `servers` gives.
    #[schema(schema_with = servers, required = false)]
    servers: Option<Vec<String>>,
}

fn servers() -> RefOr<Schema> {
    server_ids("Ids of servers that you see; none when not given.")
}

impl NewProject {
    fn parse(self) -> Result<ProjectRequest, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.take("name", self.name.parse());
        let slug = errors.take_optional("slug", self.slug.map(|slug| slug.parse()));
        let description = errors.take_optional("description", self.description.map(|text| text.parse()));
        let servers = parse_servers(&self.servers.unwrap_or_default(), &mut errors);
        match name {
            Some(name) if errors.0.is_empty() => Ok(ProjectRequest { name, slug, description, servers }),
            _ => Err(errors),
        }
    }
}

/// Makes a project.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "create_project", tag = "projects", request_body = NewProject,
    params(OnceHeader, crate::openapi::TenantQuery),
    responses((status = 201, description = "The project.", body = ProjectShape), Refusals, BodyRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[post("/projects")]
pub async fn create_project(
    allowed: Allowed<ProjectsWrite>,
    services: Data<Services>,
    once: Once,
    body: Body<NewProject>,
) -> Result<HttpResponse, Problem> {
    let (body, bytes) = body.read_both().await?;
    let request = body.parse()?;
    let scope = (**allowed).clone();
    once.make(&services.clone(), &scope, &bytes, async move {
        let event = allowed.event("project.create", AuditTarget::Organization);
        let project = services.projects.create(&allowed, request, event).await?;
        Made::new(StatusCode::CREATED, &ProjectShape::from(&project))
    })
    .await
}
