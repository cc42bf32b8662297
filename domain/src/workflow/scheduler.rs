//! Who stands behind a schedule. A workflow runs by itself on behalf of whoever set its schedule or changed its steps last, and
//! they must be able to run it themselves: neither a schedule nor other steps of a scheduled workflow may do what whoever
//! writes them may not.

use std::collections::HashSet;

use super::step::{Step, StepName};
use crate::access::{Denied, Permission, TenantScope};
use crate::id::ServerId;
use crate::run::actor::{RunActor, Who};
use crate::text::Slug;

/// On whose behalf a workflow runs by its schedule: a key or a person, and the tenant that their request named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleOwner {
    /// Who.
    pub who: Who,
    /// The tenant org, in their own words.
    pub org: Option<String>,
    /// The tenant user, likewise.
    pub user: Option<String>,
}

/// Why somebody does not stand behind a schedule of these steps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotScheduled {
    /// They may not run workflows, or not call servers.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// A step's server is none that they connect to.
    #[error("a workflow runs by itself with your reach, and you do not reach the server {server} of the step {step}")]
    OutOfReach {
        /// The step.
        step: StepName,
        /// Its server.
        server: Slug,
    },
}

/// Whoever writes a workflow, as they stand at that moment. Only [`super::check::Checker`] makes one.
#[derive(Debug, Clone)]
pub struct Scheduler {
    owner: ScheduleOwner,
    may: Result<(), Denied>,
    reached: HashSet<ServerId>,
}

impl Scheduler {
    /// Whoever makes this request and connects to these servers.
    pub(super) fn of(scope: &TenantScope, reached: HashSet<ServerId>) -> Self {
        let RunActor { who, org, user, .. } = RunActor::of(scope);
        let may = scope.may(Permission::RunsDispatch).and_then(|()| scope.may(Permission::McpConnect));
        Self { owner: ScheduleOwner { who, org, user }, may, reached }
    }

    /// Has them stand behind a schedule of these steps.
    ///
    /// # Errors
    /// [`NotScheduled`]
    pub fn stands_behind(&self, steps: &[Step]) -> Result<ScheduleOwner, NotScheduled> {
        self.may?;
        match steps.iter().find(|step| !self.reached.contains(&step.server)) {
            Some(Step { name, server_slug, .. }) => {
                Err(NotScheduled::OutOfReach { step: name.clone(), server: server_slug.clone() })
            }
            None => Ok(self.owner.clone()),
        }
    }
}
