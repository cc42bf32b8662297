//! Call records: what became of each call of an admitted caller, one record per call. For usage, for those who look into
//! an incident, and for what is told from traffic later.
//!
//! A record has who called what, how it ended, how long it took and how much went either way. It has nothing of the
//! call's content: no argument, no result, no session id. What the caller may do was decided before; that stands in the
//! audit log.

mod fault;
mod label;
mod method;
mod outcome;
pub mod port;
mod session;
mod telemetry;

use std::time::Duration;

use uuid::Uuid;

use crate::id::{OrganizationId, ServerId};
use crate::key::KeyId;
use crate::tenant::TenantText;
use crate::time::Timestamp;

pub use fault::AnswerFault;
pub use label::{LABEL_MAX, Label};
pub use method::Method;
pub use outcome::{Cut, Outcome};
pub use session::{SessionTag, SessionTags};
pub use telemetry::Telemetry;

/// One call, from the moment when its caller was admitted to the end of its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRecord {
    /// When it began.
    pub at: Timestamp,
    /// The request, as the audit log and the caller's own error messages name it.
    pub request_id: Uuid,
    /// The organization.
    pub organization: OrganizationId,
    /// The key that called.
    pub key: KeyId,
    /// The server that was called.
    pub server: ServerId,
    /// The tenant org, in the caller's words.
    pub tenant_org: Option<TenantText>,
    /// The tenant user, in the caller's words.
    pub tenant_user: Option<TenantText>,
    /// What kind of message it was.
    pub kind: CallKind,
    /// Its method, where it has one.
    pub method: Option<Method>,
    /// The tool, of a `tools/call`.
    pub tool: Option<Label>,
    /// The protocol version that the caller says it speaks; none means that it did not say.
    pub version: Option<Label>,
    /// The session that it belongs to, where the protocol version has sessions.
    pub session: Option<SessionTag>,
    /// How it ended.
    pub outcome: Outcome,
    /// The HTTP status that went to the caller; none when nothing did.
    pub status: Option<u16>,
    /// What the answer itself says of a failure, as far as it was looked at.
    pub fault: Option<AnswerFault>,
    /// Bytes of the caller's message, 0 when it was not read to its end.
    pub request_bytes: u64,
    /// Bytes of the answer's body that were passed on.
    pub response_bytes: u64,
    /// How long it took until the answer began; none when no answer did.
    pub first_byte: Option<Duration>,
    /// How long it took in all, a stream until its end.
    pub took: Duration,
    /// What its model said of it; only a call of the platform's own endpoint has a word for it.
    pub telemetry: Option<Box<Telemetry>>,
}

impl CallRecord {
    /// Whether it went wrong: no answer of the server's went through to its end, or the answer tells of a failure. That its
    /// caller left is nobody's fault.
    #[must_use]
    pub fn went_wrong(&self) -> bool {
        let ended = matches!(self.outcome, Outcome::Failed(_) | Outcome::Refused(_) | Outcome::Cut(_));
        ended || self.fault.is_some() || self.status.is_some_and(|status| status >= 500)
    }
}

/// What kind of message a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// A JSON-RPC request.
    Request,
    /// A notification.
    Notification,
    /// An answer of the caller's to a request of the server's.
    Response,
    /// Several messages in an array.
    Batch,
    /// A `GET`: the stream of what the server has to say.
    Stream,
    /// A `DELETE`: the end of a session.
    End,
    /// Something else, or a message that was not read or not understood.
    Other,
}

impl CallKind {
    /// All of them; a kind's place is its number in the store.
    const ALL: [Self; 7] =
        [Self::Request, Self::Notification, Self::Response, Self::Batch, Self::Stream, Self::End, Self::Other];

    /// Its number in the store.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Request => 0,
            Self::Notification => 1,
            Self::Response => 2,
            Self::Batch => 3,
            Self::Stream => 4,
            Self::End => 5,
            Self::Other => 6,
        }
    }

    /// The kind with this number.
    #[must_use]
    pub fn numbered(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_number() {
        for (place, kind) in CallKind::ALL.into_iter().enumerate() {
            assert_eq!(i16::try_from(place), Ok(kind.number()));
            assert_eq!(CallKind::numbered(kind.number()), Some(kind));
        }
        assert_eq!(CallKind::numbered(7), None);
    }
}
