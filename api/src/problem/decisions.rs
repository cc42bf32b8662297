//! What callers are told of decisions, and of what every use case asks of the store.

use domain::access::Denied;
use domain::access::decide::{DecisionFault, Refusal};
use domain::audit::Saturated;
use domain::field::FieldErrors;
use domain::key::token::NoRandomness;
use domain::store::{Overtaken, StoreFault, WriteFault};
use domain::tenant::{InvalidTenant, TenantRefusal};

use super::Problem;
use crate::code::Code;

impl From<FieldErrors> for Problem {
    fn from(errors: FieldErrors) -> Self {
        Self::fields(Code::ValidationFailed, errors)
    }
}

impl From<StoreFault> for Problem {
    fn from(fault: StoreFault) -> Self {
        match fault {
            StoreFault::Unavailable(_) => Self::caused(Code::Unavailable, fault),
            StoreFault::Corrupt(_) | StoreFault::Broken(_) => Self::caused(Code::Internal, fault),
            // As the next request would be answered.
            StoreFault::Overtaken(Overtaken::Gone) => Self::new(Code::Unauthenticated),
            StoreFault::Overtaken(Overtaken::Demoted) => Self::because(Code::ForbiddenRole, fault),
        }
    }
}

impl From<WriteFault> for Problem {
    fn from(fault: WriteFault) -> Self {
        match fault {
            WriteFault::Taken { what } => Self::field(Code::Conflict, what, "is already taken"),
            WriteFault::Store(fault) => fault.into(),
        }
    }
}

impl From<NoRandomness> for Problem {
    fn from(fault: NoRandomness) -> Self {
        Self::caused(Code::Unavailable, fault)
    }
}

impl From<Saturated> for Problem {
    fn from(fault: Saturated) -> Self {
        Self::caused(Code::Unavailable, fault)
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let code = match denied {
            Denied::Feature { .. } => Code::FeatureDisabled,
            Denied::Role { .. } | Denied::InstanceAdmin => Code::ForbiddenRole,
            Denied::Permission { .. } => Code::ForbiddenPermission,
            Denied::ServerNotFound => Code::ServerNotFound,
            Denied::ServerNotAllowed => Code::ServerNotAllowed,
        };
        Self::because(code, denied)
    }
}

impl From<InvalidTenant> for Problem {
    fn from(invalid: InvalidTenant) -> Self {
        Self::field(Code::InvalidTenant, invalid.field.as_str(), invalid.fault)
    }
}

impl From<TenantRefusal> for Problem {
    fn from(refusal: TenantRefusal) -> Self {
        match refusal {
            TenantRefusal::Required { field } => {
                Self::field(Code::TenantRequired, field.as_str(), "is required for this key")
            }
            TenantRefusal::NotAllowed => Self::because(Code::TenantNotAllowed, refusal),
            TenantRefusal::Suspended => Self::because(Code::TenantSuspended, refusal),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::InvalidTenant(invalid) => invalid.into(),
            Refusal::Tenant(refusal) => refusal.into(),
            Refusal::Denied(denied) => denied.into(),
        }
    }
}

impl From<DecisionFault> for Problem {
    fn from(fault: DecisionFault) -> Self {
        match fault {
            DecisionFault::Refused(refusal) => refusal.into(),
            DecisionFault::Store(fault) => fault.into(),
        }
    }
}
