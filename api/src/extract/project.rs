//! `?projectId=`: narrows what a request sees to one project's servers. Every surface that takes it reads it here, so that
//! none ignores a project that it cannot find: that would show more than was asked for.

use domain::access::permission::ProjectsRead;
use domain::access::{PermissionKind, TenantScope};
use domain::audit::AuditTarget;
use domain::project::Narrowing;
use domain::project::port::ProjectName;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Allowed;
use crate::code::Code;
use crate::compose::Services;
use crate::problem::Problem;

/// Which project, if any.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ProjectFilter {
    /// Of this project's servers alone, by id or slug: of what you see without it, never more. Takes the permission
    /// `projects:read`; an unknown or archived project is 404.
    #[param(example = "checkout", required = false)]
    project_id: Option<String>,
}

impl ProjectFilter {
    /// The filter of a project that was named in another way than in the query.
    #[must_use]
    pub const fn of(project_id: Option<String>) -> Self {
        Self { project_id }
    }

    /// What a list of the REST surface is narrowed to; none without a project. Whoever may not see projects may not ask
    /// which servers are in one either.
    ///
    /// # Errors
    /// 403 without `projects:read`, 404 for a project that is unknown or archived; recorded like every refusal.
    pub async fn read_by<P: PermissionKind>(
        &self,
        services: &Services,
        allowed: &Allowed<P>,
    ) -> Result<Option<Narrowing>, Problem> {
        if self.project_id.is_none() {
            return Ok(None);
        }
        let found = match (***allowed).clone().grant::<ProjectsRead>() {
            Ok(_) => self.resolve(services, allowed).await,
            Err(denied) => Err(denied.into()),
        };
        allowed.noted(services, self.target(), found).await
    }

    /// What a proven caller's request is narrowed to, where a project is a place to work in and takes no permission; none
    /// without a project.
    ///
    /// # Errors
    /// 404 for a project that is unknown or archived.
    pub async fn resolve(&self, services: &Services, scope: &TenantScope) -> Result<Option<Narrowing>, Problem> {
        let Some(text) = &self.project_id else { return Ok(None) };
        let name = ProjectName::parse(text).ok_or_else(|| Problem::new(Code::NotFound))?;
        Ok(Some(services.projects.narrow(scope, &name).await?))
    }

    fn target(&self) -> AuditTarget {
        match self.project_id.as_deref().map(str::parse) {
            Some(Ok(id)) => AuditTarget::Project(id),
            Some(Err(_)) | None => AuditTarget::Organization,
        }
    }
}
