//! An event as it is kept: plain values in a fixed order, from which its link of the chain is computed, again and again,
//! wherever a copy of it lies.

use std::borrow::Cow;

use uuid::Uuid;

use super::chain::ChainHash;
use super::{AuditActor, AuditEvent, AuditTarget};
use crate::access::Actor;
use crate::id::{EventId, OrganizationId};
use crate::redact;
use crate::tenant::TenantText;
use crate::time::Timestamp;

/// A text that is either a word of ours or was read from a copy of the log.
pub type Word = Cow<'static, str>;

/// An event as it is kept, before its place in the chain is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The organization; [`AuditEntry::NOBODYS`] for events of none.
    pub organization: OrganizationId,
    /// The event's id.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// `key`, `member`, `anonymous` or `system`.
    pub actor_kind: Word,
    /// The actor's id.
    pub actor_id: Option<String>,
    /// The actor's name at that time.
    pub actor_name: Option<String>,
    /// What was done, as `noun.verb`, or the permission that was asked for.
    pub action: Word,
    /// To what kind of thing.
    pub target_kind: Word,
    /// To which.
    pub target_id: Option<String>,
    /// The caller's own id of the tenant org.
    pub tenant_org: Option<String>,
    /// The caller's own id of the tenant user.
    pub tenant_user: Option<String>,
    /// `allowed`, `refused` or `error`.
    pub outcome: Word,
    /// The code that the caller got.
    pub code: Option<Word>,
    /// More than the caller was told.
    pub reason: Option<String>,
    /// The request.
    pub request_id: Option<Uuid>,
}

impl AuditEntry {
    /// Whose chain has the events of nobody's organization.
    pub const NOBODYS: OrganizationId = OrganizationId::from_uuid(Uuid::nil());

    /// This entry's link of the chain, as number `seq` after `previous`. Every field counts.
    #[must_use]
    pub fn link(&self, previous: ChainHash, seq: i64) -> ChainHash {
        self.with_fields(|fields| previous.next(seq, fields))
    }

    /// Shows every field as bytes, in the order of the chain's format.
    pub fn with_fields<R>(&self, seen: impl FnOnce(&[Option<&[u8]>; 15]) -> R) -> R {
        fn text(text: Option<&str>) -> Option<&[u8]> {
            text.map(str::as_bytes)
        }
        let (organization, id) = (self.organization.as_uuid(), self.id.as_uuid());
        seen(&[
            Some(organization.as_bytes()),
            Some(id.as_bytes()),
            Some(&self.at.as_micros().to_le_bytes()),
            Some(self.actor_kind.as_bytes()),
            text(self.actor_id.as_deref()),
            text(self.actor_name.as_deref()),
            Some(self.action.as_bytes()),
            Some(self.target_kind.as_bytes()),
            text(self.target_id.as_deref()),
            text(self.tenant_org.as_deref()),
            text(self.tenant_user.as_deref()),
            Some(self.outcome.as_bytes()),
            text(self.code.as_deref()),
            text(self.reason.as_deref()),
            self.request_id.as_ref().map(|id| id.as_bytes().as_slice()),
        ])
    }
}

impl From<&AuditEvent> for AuditEntry {
    fn from(event: &AuditEvent) -> Self {
        let (actor_kind, actor_id, actor_name) = match &event.actor {
            AuditActor::Proven(Actor::Key(key)) => ("key", Some(key.id.to_string()), Some(key.name.to_string())),
            AuditActor::Proven(Actor::Member(member)) => {
                ("member", Some(member.user.id.to_string()), Some(member.user.email.to_string()))
            }
            AuditActor::Key(id) => ("key", Some(id.to_string()), None),
            AuditActor::User(id) => ("member", Some(id.to_string()), None),
            AuditActor::Anonymous => ("anonymous", None, None),
            AuditActor::System => ("system", None, None),
        };
        let (target_kind, target_id) = match event.target {
            AuditTarget::Organization => ("organization", event.organization.map(|id| id.to_string())),
            AuditTarget::Key(id) => ("key", Some(id.to_string())),
            AuditTarget::Server(id) => ("server", Some(id.to_string())),
            AuditTarget::User(id) => ("user", Some(id.to_string())),
            AuditTarget::Policy(id) => ("policy", Some(id.to_string())),
            AuditTarget::Group(id) => ("group", Some(id.to_string())),
            AuditTarget::Project(id) => ("project", Some(id.to_string())),
            AuditTarget::Tenant => ("tenant", None),
            AuditTarget::TenantOrg(id) => ("tenant", Some(id.to_string())),
            AuditTarget::TenantUser(id) => ("tenant", Some(id.to_string())),
            AuditTarget::Invitation(id) => ("invitation", Some(id.to_string())),
            AuditTarget::Connection(id) => ("connection", Some(id.to_string())),
            AuditTarget::Workflow(id) => ("workflow", Some(id.to_string())),
            AuditTarget::Run(id) => ("run", Some(id.to_string())),
            AuditTarget::Topic(id) => ("topic", Some(id.to_string())),
        };
        Self {
            organization: event.organization.unwrap_or(Self::NOBODYS),
            id: event.id,
            at: event.at,
            actor_kind: actor_kind.into(),
            actor_id,
            actor_name: actor_name.map(kept),
            action: event.action.into(),
            target_kind: target_kind.into(),
            target_id,
            tenant_org: event.tenant.org().map(|id| kept(TenantText::as_str(id).to_owned())),
            tenant_user: event.tenant.user().map(|id| kept(TenantText::as_str(id).to_owned())),
            outcome: event.outcome.as_str().into(),
            code: event.code.map(Into::into),
            reason: event.reason.clone().map(kept),
            request_id: event.request_id,
        }
    }
}

/// What somebody chose, as it is kept: whoever gives a key as a name or an id must not find it in the log for ever, and a
/// character that PostgreSQL takes in no text must not hold up the log.
fn kept(text: String) -> String {
    let text = if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text };
    match redact::text(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(redacted) => redacted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_database_takes_is_replaced() {
        let event = AuditEvent::unproven(AuditActor::Anonymous, "a.b", Timestamp::from_micros(1));
        let entry = AuditEntry::from(&AuditEvent { reason: Some("a\0b".to_owned()), ..event });
        assert_eq!(entry.reason.as_deref(), Some("a\u{FFFD}b"));
    }
}
