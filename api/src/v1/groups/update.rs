//! `PATCH /groups/{id}`

use actix_web::web::{Data, Path};
use actix_web::{HttpResponse, patch};
use domain::access::permission::GroupsAdminister;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::policy::port::GroupChange;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::get::named;
use super::shapes::{GroupShape, parse_members};
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::problem::Problem;
use crate::to_the_end::to_the_end;
use crate::v1::{BodyRefusals, Refusals};

/// What changes in a group; what is absent stays.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct GroupPatch {
    /// A new name.
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// A new explanation; empty for none.
    #[schema(max_length = 1000)]
    description: Option<String>,
    /// Ids of members who join.
    #[schema(max_items = 1000)]
    add: Option<Vec<String>>,
    /// Ids of members who leave. Whoever is added too stays.
    #[schema(max_items = 1000)]
    remove: Option<Vec<String>>,
}

impl GroupPatch {
    fn parse(self) -> Result<GroupChange, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.take_optional("name", self.name.map(|name| name.parse()));
        let description = match self.description {
            None => None,
            Some(text) if text.trim().is_empty() => Some(None),
            Some(text) => errors.take("description", text.parse()).map(Some),
        };
        let add = parse_members("add", &self.add.unwrap_or_default(), &mut errors);
        let remove = parse_members("remove", &self.remove.unwrap_or_default(), &mut errors);
        errors.check()?;
        Ok(GroupChange { name, description, add, remove })
    }
}

/// Changes a group; what its members reach changes with the next request.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "update_group", tag = "access", request_body = GroupPatch,
    params(("id" = String, Path, description = "`grp_…`", example = "grp_01kafx5tgyf1na07m4q6nf1sgb")),
    responses((status = 200, description = "The group as it is now.", body = GroupShape), Refusals, BodyRefusals),
    security(("access_token" = []))
)]
#[patch("/groups/{id}")]
pub async fn update_group(
    allowed: Allowed<GroupsAdminister>,
    services: Data<Services>,
    id: Path<String>,
    body: Body<GroupPatch>,
) -> Result<HttpResponse, Problem> {
    let id = named(&id)?;
    let change = body.read().await?.parse()?;
    let group = to_the_end(async move {
        let event = allowed.event("group.change", AuditTarget::Group(id));
        let done = services.policies.change_group(&allowed, id, change, event).await;
        allowed.noted(&services, AuditTarget::Group(id), done).await
    })
    .await?;
    Ok(HttpResponse::Ok().json(GroupShape::from(&group)))
}
