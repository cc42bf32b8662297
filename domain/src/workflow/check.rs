//! Reads what somebody sends as a workflow: everything that is wrong with it at once, and no secret in it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::change::WorkflowChange;
use super::draft::{Draft, ScheduleDraft};
use super::form::{self, Formed, RUN_TIMEOUT_MAX};
use super::model::Workflow;
use super::schedule::{Schedule, TIME_ZONE_DEFAULT, check_cron, check_time_zone};
use super::scheduler::Scheduler;
use super::service::WorkflowFault;
use super::step::Step;
use super::world::{Reached, World, written};
use crate::access::decide::connects;
use crate::access::{SystemScope, TenantScope};
use crate::capability::port::CapabilityStore;
use crate::field::FieldErrors;
use crate::guard::{AllowedFields, Refused, inspect};
use crate::id::{ProjectId, ServerId};
use crate::key::TokenKeys;
use crate::organization::Feature;
use crate::policy::port::AccessDirectory;
use crate::project::port::{ProjectName, ProjectStore};
use crate::server::port::{ServerDirectory, ServerName};
use crate::store::StoreFault;
use crate::text::Slug;
use crate::time::Timestamp;

/// A server as a workflow names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRef {
    /// The id.
    pub id: ServerId,
    /// The name for addresses.
    pub slug: Slug,
}

/// A workflow as somebody sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The workflow.
    pub workflow: Workflow,
    /// Servers of its steps that whoever looks cannot connect to now: archived, out of reach, or outside the key.
    pub unreachable: Vec<ServerRef>,
    /// Servers of its steps that were never asked what they offer: nobody knows whether they have these tools.
    pub unsynced: Vec<ServerRef>,
}

/// Holds workflows against what there is.
#[derive(Clone)]
pub struct Checker {
    projects: Arc<dyn ProjectStore>,
    servers: Arc<dyn ServerDirectory>,
    access: Arc<dyn AccessDirectory>,
    capabilities: Arc<dyn CapabilityStore>,
    keys: TokenKeys,
}

impl Checker {
    /// Puts it together.
    #[must_use]
    pub fn new(
        projects: Arc<dyn ProjectStore>,
        servers: Arc<dyn ServerDirectory>,
        access: Arc<dyn AccessDirectory>,
        capabilities: Arc<dyn CapabilityStore>,
        keys: TokenKeys,
    ) -> Self {
        Self { projects, servers, access, capabilities, keys }
    }

    /// Reads a draft for somebody.
    ///
    /// # Errors
    /// [`WorkflowFault::Secret`] before [`WorkflowFault::Invalid`]: what is a secret must not be sent again with its
    /// other faults mended.
    pub async fn read(
        &self,
        scope: &TenantScope,
        draft: Draft,
        now: Timestamp,
    ) -> Result<WorkflowChange, WorkflowFault> {
        let mut errors = FieldErrors::default();
        let mut change = WorkflowChange {
            name: errors.take_optional("name", draft.name.map(|text| text.parse())),
            description: draft
                .description
                .map(|text| errors.take_optional("description", text.map(|text| text.parse()))),
            timeout: draft.timeout_seconds.map(|seconds| seconds.and_then(|seconds| timeout(seconds, &mut errors))),
            schedule: draft.schedule.map(|sent| sent.and_then(|sent| schedule(&sent, now, &mut errors))),
            ..WorkflowChange::default()
        };
        if let Some(project) = draft.project {
            change.project = Some(match project {
                None => None,
                Some(name) => self.project(scope, ProjectName::parse(&name), &mut errors).await?,
            });
        }
        if let Some(steps) = draft.steps {
            let formed = form::read(steps, &mut errors);
            let names = formed.iter().filter_map(|step| step.server.clone());
            let world = self.world(scope, names).await?;
            let mut secrets = FieldErrors::default();
            let steps: Vec<_> = formed
                .into_iter()
                .enumerate()
                .filter_map(|(index, step)| self.step(index, step, &world, &mut errors, &mut secrets))
                .collect();
            if !secrets.0.is_empty() {
                return Err(WorkflowFault::Secret(secrets));
            }
            change.steps = Some(steps);
        }
        errors.check()?;
        Ok(change)
    }

    /// Looks at a change again that was read before, perhaps for somebody else: what it names may be gone by now.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn check_again(&self, scope: &TenantScope, change: &WorkflowChange) -> Result<FieldErrors, StoreFault> {
        let mut errors = FieldErrors::default();
        if let Some(Some(project)) = change.project {
            self.project(scope, Some(ProjectName::Id(project)), &mut errors).await?;
        }
        let steps = change.steps.as_deref().unwrap_or_default();
        let world = self.world(scope, steps.iter().map(|step| ServerName::Id(step.server))).await?;
        for (index, step) in steps.iter().enumerate() {
            // By its slug, as whoever reads the fault knows it; a slug never becomes another server's.
            let name = ServerName::Slug(step.server_slug.clone());
            world.check(&format!("steps[{index}]"), &name, Some(&step.tool), &step.arguments, &mut errors);
        }
        Ok(errors)
    }

    /// Workflows as somebody sees them.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn seen(&self, scope: &TenantScope, workflows: Vec<Workflow>) -> Result<Vec<Seen>, StoreFault> {
        let system = SystemScope::new(scope.organization().id, "a workflow shows which of its servers were synced");
        let reached = self.reached(scope).await?;
        let named: HashSet<ServerId> =
            workflows.iter().flat_map(|workflow| workflow.definition.steps.iter().map(|step| step.server)).collect();
        let synced = self.capabilities.synced(&system, &named.into_iter().collect::<Vec<_>>()).await?;
        Ok(workflows
            .into_iter()
            .map(|workflow| {
                let servers = servers_of(&workflow);
                let (reachable, unreachable): (Vec<_>, Vec<_>) =
                    servers.into_iter().partition(|server| reached.contains(&server.id));
                let unsynced = reachable.into_iter().filter(|server| !synced.contains(&server.id)).collect();
                Seen { workflow, unreachable, unsynced }
            })
            .collect())
    }

    /// Whoever makes a request, as far as schedules go.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn scheduler(&self, scope: &TenantScope) -> Result<Scheduler, StoreFault> {
        Ok(Scheduler::of(scope, self.reached(scope).await?))
    }

    /// The servers that a caller may connect to.
    async fn reached(&self, scope: &TenantScope) -> Result<HashSet<ServerId>, StoreFault> {
        let organization = scope.organization().id;
        let system = SystemScope::new(organization, "which servers of workflows are within a caller's reach");
        let access = self.access.of(organization).await?;
        let active = self.servers.active(&system).await?;
        let reached = active.iter().filter(|server| connects(scope.actor(), &access, server).is_ok());
        Ok(reached.map(|server| server.id).collect())
    }

    /// The servers of these names that a caller may connect to, with what they offer.
    async fn world(&self, scope: &TenantScope, names: impl Iterator<Item = ServerName>) -> Result<World, StoreFault> {
        let names: HashSet<ServerName> = names.collect();
        let organization = scope.organization().id;
        let system = SystemScope::new(organization, "steps of a workflow are held against what their servers offer");
        let access = self.access.of(organization).await?;
        let mut servers = Vec::new();
        for server in self.servers.active(&system).await? {
            let named =
                names.contains(&ServerName::Id(server.id)) || names.contains(&ServerName::Slug(server.slug.clone()));
            if named && connects(scope.actor(), &access, &server).is_ok() {
                let kept = self.capabilities.kept(&system, server.id).await?.map(Arc::new);
                servers.push(Reached { server, kept });
            }
        }
        Ok(World::of(servers, scope.organization().features.contains(Feature::ToolApproval)))
    }

    async fn project(
        &self,
        scope: &TenantScope,
        name: Option<ProjectName>,
        errors: &mut FieldErrors,
    ) -> Result<Option<ProjectId>, StoreFault> {
        let found = match name {
            Some(name) => self.projects.servers_of(scope, &name).await?,
            None => None,
        };
        if found.is_none() {
            errors.add("projectId", "must be a project's id or slug; archived projects take nothing new");
        }
        Ok(found.map(|(project, _)| project))
    }

    fn step(
        &self,
        index: usize,
        formed: Formed,
        world: &World,
        errors: &mut FieldErrors,
        secrets: &mut FieldErrors,
    ) -> Option<Step> {
        let Formed { draft, name, tool, server, expect } = formed;
        let at = format!("steps[{index}]");
        let reached = server.and_then(|server| world.check(&at, &server, tool.as_deref(), &draft.arguments, errors));
        let nothing = AllowedFields::default();
        let allowed = reached.map_or(&nothing, |reached| &reached.server.allowed_secret_fields);
        if let Some(why) = self.secret(&draft.arguments, allowed) {
            secrets.add(format!("{at}.arguments"), why);
        }
        for (number, expectation) in draft.expect.iter().enumerate() {
            let value = Map::from_iter([("value".to_owned(), expectation.value.clone().unwrap_or_default())]);
            if let Some(why) = self.secret(&value, &nothing) {
                secrets.add(format!("{at}.expect[{number}]"), why);
            }
        }
        let server = &reached?.server;
        Some(Step {
            name: name?,
            server: server.id,
            server_slug: server.slug.clone(),
            tool: tool?,
            arguments: draft.arguments,
            expect,
            required: draft.required,
            safe: draft.safe,
            retries: u8::try_from(draft.retries).ok()?,
            timeout: draft.timeout_seconds.map(|seconds| Duration::from_secs(seconds.into())),
        })
    }

    /// What would be a secret that is kept. A field that the server may take can hold a reference to an earlier result, and
    /// nothing else: whoever may read the workflow would read it.
    fn secret(&self, arguments: &Map<String, Value>, allowed: &AllowedFields) -> Option<String> {
        let look = |arguments: &Map<String, Value>, allowed: &AllowedFields| {
            let raw = serde_json::value::to_raw_value(arguments).ok()?;
            match inspect(&raw, allowed, &self.keys) {
                Err(Refused::Secret(secret)) => Some(secret.to_string()),
                // What is nested too deep to be looked at is a wrong field already.
                Ok(()) | Err(Refused::Unreadable) => None,
            }
        };
        look(arguments, allowed).or_else(|| {
            let why = look(&written(arguments), &AllowedFields::default())?;
            Some(if allowed.is_empty() {
                why
            } else {
                format!("{why}. The server may take it, but everybody who sees the workflow reads it: refer to an earlier result")
            })
        })
    }
}

fn timeout(seconds: u32, errors: &mut FieldErrors) -> Option<Duration> {
    let longest = RUN_TIMEOUT_MAX.as_secs();
    if seconds == 0 || u64::from(seconds) > longest {
        errors.add("timeoutSeconds", format!("must be 1 to {longest}"));
        return None;
    }
    Some(Duration::from_secs(seconds.into()))
}

fn schedule(sent: &ScheduleDraft, now: Timestamp, errors: &mut FieldErrors) -> Option<Schedule> {
    let cron = errors.take("schedule.cron", check_cron(&sent.cron, now));
    let zone = check_time_zone(sent.time_zone.as_deref().unwrap_or(TIME_ZONE_DEFAULT));
    let time_zone = errors.take("schedule.timeZone", zone);
    Some(Schedule { cron: cron?, time_zone: time_zone? })
}

/// The servers of a workflow's steps, each once, in the order of the steps.
fn servers_of(workflow: &Workflow) -> Vec<ServerRef> {
    let mut there = HashSet::new();
    let steps = workflow.definition.steps.iter().filter(|step| there.insert(step.server));
    steps.map(|step| ServerRef { id: step.server, slug: step.server_slug.clone() }).collect()
}
