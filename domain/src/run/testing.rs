//! Steps and runs for tests.

use serde_json::Map;

use super::actor::{RunActor, Who};
use super::evidence::Evidence;
use super::model::{Run, RunStep};
use super::status::{RunStatus, StepStatus, Trigger};
use crate::id::{OrganizationId, RunId, ServerId, UserId, WorkflowId};
use crate::time::Timestamp;
use crate::workflow::Step;

/// A required step without arguments and expectations.
pub fn step(name: &str) -> Step {
    Step {
        name: name.parse().expect("a name"),
        server: ServerId::new(),
        server_slug: "notes".parse().expect("a slug"),
        tool: "echo".to_owned(),
        arguments: Map::new(),
        expect: vec![],
        required: true,
        safe: false,
        retries: 0,
        timeout: None,
    }
}

/// A run of required steps that all passed.
pub fn run(names: &[&str]) -> Run {
    let step = |name: &&str| RunStep {
        name: (*name).to_owned(),
        server: ServerId::new(),
        tool: "echo".to_owned(),
        required: true,
        safe: false,
        status: StepStatus::Pass,
        tries: 1,
        began_at: None,
        duration: None,
        evidence: Evidence::default(),
        withheld: false,
        revision: 0,
    };
    Run {
        id: RunId::new(),
        organization: OrganizationId::new(),
        workflow: WorkflowId::new(),
        version: 1,
        status: RunStatus::Pass,
        reason: None,
        trigger: Trigger::Api,
        actor: RunActor { who: Who::Person(UserId::new()), name: "ann".to_owned(), org: None, user: None },
        created_at: Timestamp::from_micros(0),
        started_at: None,
        finished_at: None,
        cancelling: false,
        revision: 0,
        steps: names.iter().map(step).collect(),
    }
}
