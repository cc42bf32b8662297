//! A project as data.

use std::collections::HashSet;

use crate::id::{ProjectId, ServerId};
use crate::policy::Reach;
use crate::server::ServerStatus;
use crate::text::{Description, Name, Slug};
use crate::time::Timestamp;

/// A named part of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The id.
    pub id: ProjectId,
    /// The name for addresses, unique in the organization. It never changes, since clients have it in their URLs.
    pub slug: Slug,
    /// The name for people.
    pub name: Name,
    /// A longer explanation.
    pub description: Option<Description>,
    /// The servers in it, by slug. What the service gives has those alone that the caller sees.
    pub servers: Vec<ProjectServer>,
    /// How many workflows it has that are not archived.
    pub workflows: u64,
    /// Whether it is put away: kept for the record, narrows nothing any more.
    pub archived: bool,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Project {
    /// The same with those servers alone that somebody sees.
    #[must_use]
    pub fn seen_by(mut self, sees: &Reach) -> Self {
        self.servers.retain(|server| sees.permits(server.id));
        self
    }
}

/// A server as a project lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectServer {
    /// The id.
    pub id: ServerId,
    /// The name for addresses.
    pub slug: Slug,
    /// The name for people.
    pub name: Name,
    /// Whether it takes calls.
    pub status: ServerStatus,
}

/// What a request that names a project is narrowed to: the project's servers, of those that its caller sees. Made by
/// [`super::service::ProjectService::narrow`] alone.
#[derive(Debug, Clone)]
pub struct Narrowing {
    project: ProjectId,
    servers: HashSet<ServerId>,
}

impl Narrowing {
    pub(super) fn new(project: ProjectId, servers: impl IntoIterator<Item = ServerId>, sees: &Reach) -> Self {
        Self { project, servers: servers.into_iter().filter(|server| sees.permits(*server)).collect() }
    }

    /// The project.
    #[must_use]
    pub const fn project(&self) -> ProjectId {
        self.project
    }

    /// Whether a server is among them.
    #[must_use]
    pub fn permits(&self, server: ServerId) -> bool {
        self.servers.contains(&server)
    }

    /// The servers.
    #[must_use]
    pub const fn servers(&self) -> &HashSet<ServerId> {
        &self.servers
    }
}
