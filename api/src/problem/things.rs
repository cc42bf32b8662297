//! What callers are told of faults around the things of an organization.

use domain::access::Denied;
use domain::capability::port::KeepFault;
use domain::connection::service::ConnectionFault;
use domain::insight::InsightFault;
use domain::key::service::KeyFault;
use domain::policy::service::PolicyFault;
use domain::project::service::ProjectFault;
use domain::server::service::ServerFault;
use domain::tenant::registry::TenantFault;

use super::Problem;
use crate::code::Code;

impl From<KeyFault> for Problem {
    fn from(fault: KeyFault) -> Self {
        match fault {
            KeyFault::Invalid(errors) => errors.into(),
            KeyFault::NotFound => Self::new(Code::NotFound),
            KeyFault::Denied(denied) => denied.into(),
            KeyFault::Revoked => Self::because(Code::Conflict, "the key is revoked and can no longer change"),
            KeyFault::Expired | KeyFault::TooManyTokens(_) => Self::because(Code::Conflict, fault),
            KeyFault::NoRandomness(fault) => fault.into(),
            KeyFault::Write(fault) => fault.into(),
        }
    }
}

impl From<PolicyFault> for Problem {
    fn from(fault: PolicyFault) -> Self {
        match fault {
            PolicyFault::Invalid(errors) => errors.into(),
            PolicyFault::NotFound => Self::new(Code::NotFound),
            PolicyFault::Write(fault) => fault.into(),
        }
    }
}

impl From<ProjectFault> for Problem {
    fn from(fault: ProjectFault) -> Self {
        match fault {
            ProjectFault::Invalid(errors) => errors.into(),
            ProjectFault::NotFound => Self::new(Code::NotFound),
            ProjectFault::Archived(archived) => Self::because(Code::Conflict, archived),
            ProjectFault::Write(fault) => fault.into(),
        }
    }
}

impl From<ServerFault> for Problem {
    fn from(fault: ServerFault) -> Self {
        match fault {
            ServerFault::Invalid(errors) => errors.into(),
            ServerFault::NotFound => Denied::ServerNotFound.into(),
            ServerFault::Archived => Self::because(Code::Conflict, fault),
            ServerFault::Denied(denied) => denied.into(),
            ServerFault::Write(fault) => fault.into(),
        }
    }
}

impl From<KeepFault> for Problem {
    fn from(fault: KeepFault) -> Self {
        match fault {
            KeepFault::Invalid(errors) => errors.into(),
            KeepFault::Changed(_) | KeepFault::NeverSynced | KeepFault::ServerChanged => {
                Self::because(Code::Conflict, fault)
            }
            KeepFault::Store(fault) => fault.into(),
        }
    }
}

impl From<TenantFault> for Problem {
    fn from(fault: TenantFault) -> Self {
        match fault {
            TenantFault::Invalid(errors) => errors.into(),
            TenantFault::Refused(refusal) => refusal.into(),
            TenantFault::NotFound => Self::new(Code::NotFound),
            TenantFault::Store(fault) => fault.into(),
        }
    }
}

impl From<ConnectionFault> for Problem {
    fn from(fault: ConnectionFault) -> Self {
        match fault {
            ConnectionFault::Invalid(errors) => errors.into(),
            ConnectionFault::Denied(denied) => denied.into(),
            ConnectionFault::NotFound => Self::because(Code::NotFound, fault),
            ConnectionFault::NoHolder => Self::because(Code::InvalidRequest, fault),
            ConnectionFault::Required { .. } => Self::because(Code::ConnectionRequired, fault),
            ConnectionFault::NotRenewed { .. } => Self::because(Code::UpstreamError, fault),
            ConnectionFault::Store(fault) => fault.into(),
        }
    }
}

impl From<InsightFault> for Problem {
    fn from(fault: InsightFault) -> Self {
        match fault {
            InsightFault::Invalid(errors) => errors.into(),
            InsightFault::NotFound => Self::new(Code::NotFound),
            InsightFault::Store(fault) => fault.into(),
        }
    }
}
