//! `POST /groups`

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpResponse, post};
use domain::access::permission::GroupsAdminister;
use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::policy::service::GroupRequest;
use serde::Deserialize;
use utoipa::ToSchema;
use validator::Validate;

use super::shapes::{GroupShape, parse_members};
use crate::compose::Services;
use crate::extract::{Allowed, Body};
use crate::once::{Made, Once, OnceHeader};
use crate::problem::Problem;
use crate::v1::{BodyRefusals, Refusals};

/// A group to make.
#[derive(Deserialize, ToSchema, Validate)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    /// The name, unique in the organization.
    #[schema(example = "Engineers", min_length = 1, max_length = 100)]
    name: String,
    /// A longer explanation.
    #[schema(max_length = 1000)]
    description: Option<String>,
    /// Ids of members; nobody when not given.
    #[schema(max_items = 1000, example = json!(["usr_01kafx5tgyf1na07m4q6nf1sgb"]))]
    members: Option<Vec<String>>,
}

impl NewGroup {
    fn parse(self) -> Result<GroupRequest, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.take("name", self.name.parse());
        let description = errors.take_optional("description", self.description.map(|text| text.parse()));
        let members = parse_members("members", &self.members.unwrap_or_default(), &mut errors);
        match name {
            Some(name) if errors.0.is_empty() => Ok(GroupRequest { name, description, members }),
            _ => Err(errors),
        }
    }
}

/// Makes a group.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "create_group", tag = "access", request_body = NewGroup,
    params(OnceHeader),
    responses((status = 201, description = "The group.", body = GroupShape), Refusals, BodyRefusals),
    security(("access_token" = []))
)]
#[post("/groups")]
pub async fn create_group(
    allowed: Allowed<GroupsAdminister>,
    services: Data<Services>,
    once: Once,
    body: Body<NewGroup>,
) -> Result<HttpResponse, Problem> {
    let (body, bytes) = body.read_both().await?;
    let request = body.parse()?;
    let scope = (**allowed).clone();
    once.make(&services.clone(), &scope, &bytes, async move {
        let event = allowed.event("group.create", AuditTarget::Organization);
        let group = services.policies.create_group(&allowed, request, event).await?;
        Made::new(StatusCode::CREATED, &GroupShape::from(&group))
    })
    .await
}
