//! `PATCH /projects/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, patch};
use domain::access::permission::ProjectsWrite;
use domain::field::FieldErrors;
use domain::project::change::ProjectChange;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};
use validator::Validate;

use super::shapes::{ProjectShape, named, parse_servers, server_ids, target};
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals, given};

/// What shall be different; fields that are left out stay. The slug never changes: clients have it in their URLs.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct ProjectPatch {
    /// Name for people.
    #[schema(example = "Checkout", min_length = 1, max_length = 100)]
    name: Option<String>,
    /// A longer explanation; null removes it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, max_length = 1000)]
    description: Option<Option<String>>,
    /// Ids of servers, with the description that `servers` gives.
    #[schema(schema_with = servers, required = false)]
    servers: Option<Vec<String>>,
    /// True puts it away: it is left out of lists and narrows nothing any more. False brings it back.
    archived: Option<bool>,
}

fn servers() -> RefOr<Schema> {
    server_ids(
        "Ids of servers that you see, in place of those that you see in it. Those that you do not see stay in it.",
    )
}

impl ProjectPatch {
    fn parse(self) -> Result<ProjectChange, FieldErrors> {
        let mut errors = FieldErrors::default();
        if self.name.is_none() && self.description.is_none() && self.servers.is_none() && self.archived.is_none() {
            errors.add("body", "must have a field that shall be different");
        }
        let change = ProjectChange {
            name: errors.take_optional("name", self.name.map(|text| text.parse())),
            description: self
                .description
                .map(|text| errors.take_optional("description", text.map(|text| text.parse()))),
            servers: self.servers.map(|ids| parse_servers(&ids, &mut errors)),
            archived: self.archived,
        };
        errors.check()?;
        Ok(change)
    }
}

/// Changes a project, puts it away or brings it back; effective on the next request. An archived project changes only
/// when it is brought back.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "update_project", tag = "projects", request_body = ProjectPatch,
    params(("id" = String, Path, description = "Id or slug.", example = "checkout"), crate::openapi::TenantQuery),
    responses((status = 200, description = "The project as it is now.", body = ProjectShape), Refusals, BodyRefusals),
    security(("api_key" = []), ("api_key_bearer" = []), ("access_token" = []))
)]
#[patch("/projects/{id}")]
pub async fn update_project(
    allowed: Allowed<ProjectsWrite>,
    services: Data<Services>,
    id: Path<String>,
    body: Body<ProjectPatch>,
) -> Result<HttpResponse, Problem> {
    let name = named(&id)?;
    let change = body.read().await?.parse()?;
    let project = to_the_end(async move {
        let event = allowed.event("project.update", target(&name));
        let done = services.projects.change(&allowed, &name, change, event).await;
        allowed.noted(&services, target(&name), done).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(ProjectShape::from(&project)))
}
