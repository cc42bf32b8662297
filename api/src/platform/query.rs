//! What the endpoint's address can ask for besides the tenant.

use actix_web::web::Query;
use domain::access::TenantScope;
use domain::id::ServerId;
use domain::project::Narrowing;
use serde::Deserialize;

use crate::code::Code;
use crate::compose::Services;
use crate::extract::ProjectFilter;
use crate::problem::Problem;

/// What an address asks for. What nobody knows is the caller's own affair.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Keyrack's own tools, and no server's.
    pub system_only: bool,
    narrowing: Option<Narrowing>,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    system_only: bool,
}

impl Options {
    /// Reads them.
    ///
    /// # Errors
    /// 400 for a value that cannot be read, 404 for a project that there is not.
    pub async fn read(services: &Services, scope: &TenantScope, query: &str) -> Result<Self, Problem> {
        let wrong = |_| Problem::field(Code::InvalidRequest, "system_only", "must be true or false, and there once");
        let Query(Asked { system_only }) = Query::from_query(query).map_err(wrong)?;
        let wrong = |_| Problem::field(Code::InvalidRequest, "projectId", "must be there once");
        let Query(project) = Query::<ProjectFilter>::from_query(query).map_err(wrong)?;
        Ok(Self { system_only, narrowing: project.resolve(services, scope).await? })
    }

    /// The same within another project, which a tool's argument names: it wins over the address.
    ///
    /// # Errors
    /// 404 for a project that there is not.
    pub async fn within(
        &self,
        services: &Services,
        scope: &TenantScope,
        project: Option<String>,
    ) -> Result<Self, Problem> {
        let filter = ProjectFilter::of(project);
        Ok(match filter.resolve(services, scope).await? {
            Some(narrowing) => Self { narrowing: Some(narrowing), ..self.clone() },
            None => self.clone(),
        })
    }

    /// Whether this server is asked for.
    #[must_use]
    pub fn includes(&self, server: ServerId) -> bool {
        self.narrowing.as_ref().is_none_or(|narrowing| narrowing.permits(server))
    }

    /// What lists are narrowed to.
    #[must_use]
    pub const fn narrowing(&self) -> Option<&Narrowing> {
        self.narrowing.as_ref()
    }
}
