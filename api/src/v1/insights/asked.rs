//! What every view is asked with: a period, a tenant, a project.

use domain::access::{PermissionKind, TenantScope};
use domain::insight::{Narrowed, Period, TenantName};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::code::Code;
use crate::compose::Services;
use crate::extract::{Allowed, ProjectFilter};
use crate::problem::Problem;

/// How far back.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PeriodFilter {
    /// `24h` (24 hours, the one under way among them), `7d`, `30d` or `90d` (days in UTC, today among them).
    #[param(pattern = "^(24h|7d|30d|90d)$", default = "24h", example = "7d", required = false)]
    period: Option<String>,
}

impl PeriodFilter {
    /// The period.
    ///
    /// # Errors
    /// 400 for another one.
    pub fn parse(&self) -> Result<Period, Problem> {
        let Some(name) = &self.period else { return Ok(Period::default()) };
        Period::named(name).ok_or_else(|| {
            let names = Period::ALL.map(Period::as_str).join(", ");
            Problem::field(Code::ValidationFailed, "period", format!("must be one of {names}"))
        })
    }
}

/// What the request is narrowed to: the tenant that it names, and a project's servers.
///
/// # Errors
/// Those of [`ProjectFilter::read_by`].
pub async fn narrowed<P: PermissionKind>(
    allowed: &Allowed<P>,
    services: &Services,
    project: &ProjectFilter,
) -> Result<Narrowed, Problem> {
    let scope: &TenantScope = allowed;
    let tenant = TenantName::of(scope.tenant().org(), scope.tenant().user());
    Ok(Narrowed { tenant, within: project.read_by(services, allowed).await? })
}
