//! The use cases of projects.

use std::collections::HashSet;
use std::sync::Arc;

use super::change::ProjectChange;
use super::model::{Narrowing, Project};
use super::port::{NewProject, ProjectName, ProjectRefusal, ProjectStore};
use crate::access::decide::sees;
use crate::access::permission::{ProjectsRead, ProjectsWrite};
use crate::access::{Grant, TenantScope};
use crate::audit::{AuditEvent, AuditTarget};
use crate::field::FieldErrors;
use crate::id::{ProjectId, ServerId};
use crate::page::{Page, PageRequest};
use crate::policy::Reach;
use crate::policy::port::AccessDirectory;
use crate::store::{StoreFault, WriteFault};
use crate::text::{Description, Name, Slug};
use crate::time::Clock;

/// Most servers that one request puts into a project.
pub const SERVERS_MAX: usize = 1000;

/// What somebody sends to make a project, parsed.
#[derive(Debug, Clone)]
pub struct ProjectRequest {
    /// The name.
    pub name: Name,
    /// The slug; made from the name when not given.
    pub slug: Option<Slug>,
    /// A longer explanation.
    pub description: Option<Description>,
    /// The servers in it, in the order in which they were named.
    pub servers: Vec<ServerId>,
}

/// Why a project could not be made, found or changed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectFault {
    /// Wrong fields.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// No such project.
    #[error("no such project")]
    NotFound,
    /// It is put away.
    #[error(transparent)]
    Archived(#[from] super::change::Archived),
    /// The slug is taken, or the store could not.
    #[error(transparent)]
    Write(#[from] WriteFault),
}

impl From<StoreFault> for ProjectFault {
    fn from(fault: StoreFault) -> Self {
        Self::Write(fault.into())
    }
}

/// The use cases of projects.
pub struct ProjectService<C> {
    store: Arc<dyn ProjectStore>,
    access: Arc<dyn AccessDirectory>,
    clock: C,
}

impl<C: Clock> ProjectService<C> {
    /// Puts the service together.
    pub fn new(store: Arc<dyn ProjectStore>, access: Arc<dyn AccessDirectory>, clock: C) -> Self {
        Self { store, access, clock }
    }

    /// Makes a project. The event gets its id.
    ///
    /// # Errors
    /// [`ProjectFault`]
    pub async fn create(
        &self,
        grant: &Grant<ProjectsWrite>,
        request: ProjectRequest,
        event: AuditEvent,
    ) -> Result<Project, ProjectFault> {
        let ProjectRequest { name, slug, description, servers } = request;
        let slug = slug
            .or_else(|| Slug::suggested_by(&name))
            .ok_or_else(|| FieldErrors::one("slug", "is required: the name has no letter or digit to make one of"))?;
        check_count(&servers)?;
        let sees = self.sees(grant).await?;
        let project = NewProject {
            id: ProjectId::new(),
            slug,
            name,
            description,
            servers: servers.clone(),
            at: self.clock.now(),
        };
        let event = event.about(AuditTarget::Project(project.id));
        let stored = self.store.insert(grant, project, &sees, event).await;
        Ok(stored.map_err(|refusal| refused(&servers, refusal))?.seen_by(&sees))
    }

    /// One project, with those of its servers that the caller sees.
    ///
    /// # Errors
    /// [`ProjectFault`]
    pub async fn get(&self, grant: &Grant<ProjectsRead>, name: &ProjectName) -> Result<Project, ProjectFault> {
        let project = self.store.get(grant, name).await?.ok_or(ProjectFault::NotFound)?;
        Ok(project.seen_by(&self.sees(grant).await?))
    }

    /// A page of projects, each with those of its servers that the caller sees.
    ///
    /// # Errors
    /// [`ProjectFault`]
    pub async fn list(
        &self,
        grant: &Grant<ProjectsRead>,
        archived: bool,
        page: PageRequest<ProjectId>,
    ) -> Result<Page<Project, ProjectId>, ProjectFault> {
        let sees = self.sees(grant).await?;
        let Page { items, next } = self.store.list(grant, archived, page).await?;
        Ok(Page { items: items.into_iter().map(|project| project.seen_by(&sees)).collect(), next })
    }

    /// Changes a project, puts it away or brings it back; effective on the next request.
    ///
    /// # Errors
    /// [`ProjectFault`]
    pub async fn change(
        &self,
        grant: &Grant<ProjectsWrite>,
        name: &ProjectName,
        change: ProjectChange,
        event: AuditEvent,
    ) -> Result<Project, ProjectFault> {
        let asked = change.servers.clone().unwrap_or_default();
        check_count(&asked)?;
        let sees = self.sees(grant).await?;
        let changed = self.store.change(grant, name, change, &sees, event).await;
        let project = changed.map_err(|refusal| refused(&asked, refusal))?.ok_or(ProjectFault::NotFound)?;
        Ok(project.seen_by(&sees))
    }

    /// What a request is narrowed to that names a project. It takes no permission: it says nothing of the project, and
    /// gives nothing that the caller would not see without it.
    ///
    /// # Errors
    /// [`ProjectFault::NotFound`] for a project that is unknown or put away.
    pub async fn narrow(&self, scope: &TenantScope, name: &ProjectName) -> Result<Narrowing, ProjectFault> {
        let (project, servers) = self.store.servers_of(scope, name).await?.ok_or(ProjectFault::NotFound)?;
        Ok(Narrowing::new(project, servers, &self.sees(scope).await?))
    }

    async fn sees(&self, scope: &TenantScope) -> Result<Reach, StoreFault> {
        let access = self.access.of(scope.organization().id).await?;
        Ok(sees(scope.actor(), &access))
    }
}

fn check_count(servers: &[ServerId]) -> Result<(), FieldErrors> {
    if servers.len() > SERVERS_MAX {
        return Err(FieldErrors::one("servers", format!("must be at most {SERVERS_MAX}")));
    }
    Ok(())
}

/// `asked` is what the request named, in its order.
fn refused(asked: &[ServerId], refusal: ProjectRefusal) -> ProjectFault {
    match refusal {
        ProjectRefusal::Write(fault) => fault.into(),
        ProjectRefusal::Archived(archived) => archived.into(),
        ProjectRefusal::Unknown(unknown) => named(asked, &unknown).into(),
    }
}

fn named(asked: &[ServerId], unknown: &HashSet<ServerId>) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for (index, server) in asked.iter().enumerate().filter(|(_, server)| unknown.contains(server)) {
        errors.add(format!("servers[{index}]"), format!("there is no server {server}"));
    }
    errors
}
