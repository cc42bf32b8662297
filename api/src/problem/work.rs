//! What callers are told of faults around workflows, proposals and runs.

use std::time::Duration;

use domain::field::FieldErrors;
use domain::run::service::RunFault;
use domain::workflow::NotScheduled;
use domain::workflow::proposal::service::ProposalFault;
use domain::workflow::service::WorkflowFault;

use super::Problem;
use crate::code::Code;

/// When somebody whose runs all wait may ask again: a node looks for runs twice in this time.
const ROOM: Duration = Duration::from_secs(1);

impl From<WorkflowFault> for Problem {
    fn from(fault: WorkflowFault) -> Self {
        match fault {
            WorkflowFault::Invalid(errors) => errors.into(),
            WorkflowFault::Secret(errors) => Self::fields(Code::SecretArgument, errors),
            WorkflowFault::NotFound => Self::new(Code::NotFound),
            WorkflowFault::NotChanged(why) => Self::because(Code::Conflict, why),
            WorkflowFault::NotScheduled(why) => why.into(),
            WorkflowFault::Store(fault) => fault.into(),
        }
    }
}

impl From<NotScheduled> for Problem {
    fn from(why: NotScheduled) -> Self {
        match why {
            NotScheduled::Denied(denied) => denied.into(),
            NotScheduled::OutOfReach { .. } => FieldErrors::one("schedule", why).into(),
        }
    }
}

impl From<ProposalFault> for Problem {
    fn from(fault: ProposalFault) -> Self {
        match fault {
            ProposalFault::Invalid(errors) => errors.into(),
            ProposalFault::Secret(errors) => Self::fields(Code::SecretArgument, errors),
            ProposalFault::NotFound => Self::new(Code::NotFound),
            ProposalFault::Denied(denied) => denied.into(),
            ProposalFault::NotChanged(why) => Self::because(Code::Conflict, why),
            ProposalFault::NotScheduled(why) => why.into(),
            ProposalFault::Refused(_) => Self::because(Code::Conflict, fault),
            ProposalFault::NoLongerFits(errors) => Self {
                message: format!("the proposal no longer fits: {errors}"),
                ..Self::fields(Code::Conflict, errors)
            },
            ProposalFault::Store(fault) => fault.into(),
        }
    }
}

impl From<RunFault> for Problem {
    fn from(fault: RunFault) -> Self {
        match fault {
            RunFault::NotFound => Self::new(Code::NotFound),
            RunFault::Reused => Self::because(Code::IdempotencyConflict, fault),
            RunFault::Full => Self::because(Code::RateLimited, fault).after(ROOM),
            RunFault::Archived | RunFault::Over | RunFault::NotPassed | RunFault::NoBaseline | RunFault::Different => {
                Self::because(Code::Conflict, fault)
            }
            RunFault::Store(fault) => fault.into(),
        }
    }
}
