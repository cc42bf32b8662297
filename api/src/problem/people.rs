//! What callers are told of faults around people: sign-in, organizations, members, invitations.

use domain::invitation::InvitationFault;
use domain::member::MemberFault;
use domain::organization::change::OrganizationFault;
use domain::organization::service::AccountFault;
use domain::organization::session::SessionFault;

use super::Problem;
use crate::code::Code;

impl From<SessionFault> for Problem {
    fn from(fault: SessionFault) -> Self {
        match fault {
            SessionFault::Unauthenticated => Self::new(Code::Unauthenticated),
            SessionFault::Store(fault) => fault.into(),
        }
    }
}

impl From<AccountFault> for Problem {
    fn from(fault: AccountFault) -> Self {
        match fault {
            AccountFault::Unauthenticated | AccountFault::Reused(_) => Self::new(Code::Unauthenticated),
            AccountFault::Throttled(throttled) => Self::because(Code::RateLimited, throttled).after(throttled.wait),
            AccountFault::NoSuchOrganization => Self::new(Code::NotFound),
            AccountFault::BootstrapToken => Self::field(
                Code::ValidationFailed,
                "bootstrapToken",
                "must be the token that the first start printed; it works once. `keyrack admin create-owner` works too",
            ),
            AccountFault::Write(fault) => fault.into(),
            AccountFault::NoRandomness(fault) => fault.into(),
        }
    }
}

impl From<OrganizationFault> for Problem {
    fn from(fault: OrganizationFault) -> Self {
        match fault {
            OrganizationFault::Denied(denied) => denied.into(),
            OrganizationFault::Write(fault) => fault.into(),
        }
    }
}

impl From<MemberFault> for Problem {
    fn from(fault: MemberFault) -> Self {
        match fault {
            MemberFault::Invalid(errors) => errors.into(),
            MemberFault::NotFound => Self::new(Code::NotFound),
            MemberFault::Denied(denied) => denied.into(),
            MemberFault::Owner | MemberFault::Oneself => Self::because(Code::Conflict, fault),
            MemberFault::Account(fault) => fault.into(),
            MemberFault::Store(fault) => fault.into(),
        }
    }
}

impl From<InvitationFault> for Problem {
    fn from(fault: InvitationFault) -> Self {
        match fault {
            InvitationFault::Invalid(errors) => errors.into(),
            InvitationFault::NotFound => Self::new(Code::NotFound),
            InvitationFault::Token => Self::field(
                Code::ValidationFailed,
                "token",
                "must be of an invitation that works: it works once, until it is revoked, replaced or over",
            ),
            InvitationFault::Member => Self::because(Code::Conflict, fault),
            InvitationFault::Account(fault) => fault.into(),
            InvitationFault::Write(fault) => fault.into(),
            InvitationFault::NoRandomness(fault) => fault.into(),
        }
    }
}
