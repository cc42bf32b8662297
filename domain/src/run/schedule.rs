//! The runs that schedules ask for.

use crate::idempotency::Claim;
use crate::workflow::port::Due;

/// The wish for the run of this time: the same on every node, so that of several that make it one makes a run.
#[must_use]
pub fn wish(due: &Due) -> Claim {
    let mut hasher = blake3::Hasher::new_derive_key("keyrack 2026-11-22 scheduled run v1");
    hasher.update(due.workflow.as_uuid().as_bytes()).update(&due.at.as_micros().to_le_bytes());
    let digest = *hasher.finalize().as_bytes();
    Claim { organization: due.organization, actor: due.owner.who.id(), digest, fingerprint: digest, other: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{OrganizationId, UserId, WorkflowId};
    use crate::run::actor::Who;
    use crate::time::Timestamp;
    use crate::workflow::{Schedule, ScheduleOwner};

    #[test]
    fn each_time_of_each_workflow_is_a_wish_of_its_own() {
        let due = Due {
            organization: OrganizationId::new(),
            workflow: WorkflowId::new(),
            version: 1,
            at: Timestamp::from_micros(60_000_000),
            schedule: Schedule { cron: "* * * * *".to_owned(), time_zone: "UTC".to_owned() },
            owner: ScheduleOwner { who: Who::Person(UserId::new()), org: None, user: None },
        };
        assert_eq!(
            wish(&due),
            wish(&Due { version: 2, ..due.clone() }),
            "a change of the workflow makes no second run"
        );
        let digest = |due: &Due| wish(due).digest;
        let owner = ScheduleOwner { who: Who::Person(UserId::new()), org: None, user: None };
        assert_eq!(digest(&due), digest(&Due { owner, ..due.clone() }), "nor does another owner");
        assert_ne!(wish(&due), wish(&Due { at: Timestamp::from_micros(120_000_000), ..due.clone() }));
        assert_ne!(wish(&due), wish(&Due { workflow: WorkflowId::new(), ..due.clone() }));
    }
}
