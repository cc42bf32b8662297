//! A project as JSON has it.

use domain::audit::AuditTarget;
use domain::field::FieldErrors;
use domain::id::ServerId;
use domain::project::port::ProjectName;
use domain::project::service::SERVERS_MAX;
use domain::project::{Project, ProjectServer};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

use crate::code::Code;
use crate::problem::Problem;
use crate::v1::time;

/// A named part of an organization.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectShape {
    /// `prj_…`
    #[schema(example = "prj_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// Name for addresses: `?projectId={slug}`. Never changes.
    #[schema(example = "checkout")]
    slug: String,
    /// Name for people.
    #[schema(example = "Checkout")]
    name: String,
    /// A longer explanation.
    description: Option<String>,
    /// The servers in it that you see, by slug.
    servers: Vec<ProjectServerShape>,
    /// How many workflows it has that are not archived; `GET /workflows?projectId=` lists them.
    workflow_count: u64,
    /// Whether it is put away.
    archived: bool,
    /// When it was made, RFC 3339 UTC.
    created_at: String,
}

/// A server in a project.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectServerShape {
    /// `mcp_…`
    #[schema(example = "mcp_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// Name for addresses.
    #[schema(example = "notes")]
    slug: String,
    /// Name for people.
    #[schema(example = "Notes")]
    name: String,
    /// `active` or `archived`.
    status: &'static str,
}

impl From<&Project> for ProjectShape {
    fn from(project: &Project) -> Self {
        Self {
            id: project.id.to_string(),
            slug: project.slug.to_string(),
            name: project.name.to_string(),
            description: project.description.as_ref().map(ToString::to_string),
            servers: project.servers.iter().map(ProjectServerShape::from).collect(),
            workflow_count: project.workflows,
            archived: project.archived,
            created_at: time(project.created_at),
        }
    }
}

impl From<&ProjectServer> for ProjectServerShape {
    fn from(server: &ProjectServer) -> Self {
        Self {
            id: server.id.to_string(),
            slug: server.slug.to_string(),
            name: server.name.to_string(),
            status: server.status.as_str(),
        }
    }
}

/// The project that a path names; what cannot be a name is one that does not exist.
pub fn named(text: &str) -> Result<ProjectName, Problem> {
    ProjectName::parse(text).ok_or_else(|| Problem::new(Code::NotFound))
}

/// What an event is about that names a project: the project, as far as its name tells.
pub fn target(name: &ProjectName) -> AuditTarget {
    match name {
        ProjectName::Id(id) => AuditTarget::Project(*id),
        ProjectName::Slug(_) => AuditTarget::Organization,
    }
}

/// Reads ids of servers.
pub fn parse_servers(ids: &[String], errors: &mut FieldErrors) -> Vec<ServerId> {
    let parse = |(index, id): (usize, &String)| errors.take(&format!("servers[{index}]"), id.parse());
    ids.iter().enumerate().filter_map(parse).collect()
}

/// The schema of such ids, with the limit that is checked. `description` is the field's.
pub fn server_ids(description: &str) -> RefOr<Schema> {
    let id = ObjectBuilder::new().schema_type(Type::String).examples(["mcp_01kafx5tgyf1na07m4q6nf1sgb"]).build();
    ArrayBuilder::new().items(id).max_items(Some(SERVERS_MAX)).description(Some(description)).into()
}
