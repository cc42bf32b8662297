//! What projects ask of a store.

use std::collections::HashSet;

use async_trait::async_trait;

use super::change::{Archived, ProjectChange};
use super::model::Project;
use crate::access::permission::{ProjectsRead, ProjectsWrite};
use crate::access::{Grant, TenantScope};
use crate::audit::AuditEvent;
use crate::id::{ProjectId, ServerId};
use crate::page::{Page, PageRequest};
use crate::policy::Reach;
use crate::store::{StoreFault, WriteFault};
use crate::text::{Description, Name, Slug};
use crate::time::Timestamp;

/// How a caller names a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectName {
    /// By id.
    Id(ProjectId),
    /// By slug.
    Slug(Slug),
}

impl ProjectName {
    /// Reads an id or a slug; none for a text that can be neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.parse() {
            Ok(id) => Some(Self::Id(id)),
            Err(_) => text.parse().ok().map(Self::Slug),
        }
    }
}

/// A project about to be stored.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// The id.
    pub id: ProjectId,
    /// The name for addresses.
    pub slug: Slug,
    /// The name for people.
    pub name: Name,
    /// A longer explanation.
    pub description: Option<Description>,
    /// The servers in it.
    pub servers: Vec<ServerId>,
    /// When.
    pub at: Timestamp,
}

/// Why a project was not stored.
#[derive(Debug, thiserror::Error)]
pub enum ProjectRefusal {
    /// The organization does not have these servers, or whoever asks does not see them.
    #[error("the project names servers that are not there")]
    Unknown(HashSet<ServerId>),
    /// It is put away.
    #[error(transparent)]
    Archived(#[from] Archived),
    /// The organization has a project of that slug, or the store could not.
    #[error(transparent)]
    Write(#[from] WriteFault),
}

impl From<StoreFault> for ProjectRefusal {
    fn from(fault: StoreFault) -> Self {
        Self::Write(fault.into())
    }
}

/// Keeps projects. Every change takes the event that records it: the store writes both or neither, and no event when
/// nothing changed. What a project names is looked for in the transaction that stores it; `sees` says which servers whoever
/// asks may put in. Projects that it gives have all of their servers, whoever asks.
#[async_trait]
pub trait ProjectStore: Send + Sync {
    /// Stores a new project.
    ///
    /// # Errors
    /// [`ProjectRefusal`]
    async fn insert(
        &self,
        grant: &Grant<ProjectsWrite>,
        project: NewProject,
        sees: &Reach,
        event: AuditEvent,
    ) -> Result<Project, ProjectRefusal>;

    /// One project, archived ones too.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn get(&self, grant: &Grant<ProjectsRead>, name: &ProjectName) -> Result<Option<Project>, StoreFault>;

    /// A page of the projects that are archived, or of those that are not, oldest first.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn list(
        &self,
        grant: &Grant<ProjectsRead>,
        archived: bool,
        page: PageRequest<ProjectId>,
    ) -> Result<Page<Project, ProjectId>, StoreFault>;

    /// Changes a project; none when there is no such project. Two changes at once come one after the other. The events
    /// are those of [`super::change::events`].
    ///
    /// # Errors
    /// [`ProjectRefusal`]
    async fn change(
        &self,
        grant: &Grant<ProjectsWrite>,
        name: &ProjectName,
        change: ProjectChange,
        sees: &Reach,
        event: AuditEvent,
    ) -> Result<Option<Project>, ProjectRefusal>;

    /// The servers of a project; none when there is no such project, or it is put away. It takes no permission, and so
    /// tells no more than what a request is narrowed to.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn servers_of(
        &self,
        scope: &TenantScope,
        name: &ProjectName,
    ) -> Result<Option<(ProjectId, Vec<ServerId>)>, StoreFault>;
}
