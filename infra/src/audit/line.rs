//! A decision as it stands in a journal: one JSON object per line.

use std::borrow::Cow;

use domain::audit::entry::{AuditEntry, Word};
use domain::id::{EventId, OrganizationId};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    organization: Uuid,
    id: Uuid,
    /// Microseconds since the epoch.
    at: i64,
    actor_kind: Cow<'a, str>,
    actor_id: Option<Cow<'a, str>>,
    actor_name: Option<Cow<'a, str>>,
    action: Cow<'a, str>,
    target_kind: Cow<'a, str>,
    target_id: Option<Cow<'a, str>>,
    tenant_org: Option<Cow<'a, str>>,
    tenant_user: Option<Cow<'a, str>>,
    outcome: Cow<'a, str>,
    code: Option<Cow<'a, str>>,
    reason: Option<Cow<'a, str>>,
    request: Option<Uuid>,
}

/// The line of an entry, with the line feed that ends it.
pub fn write(entry: &AuditEntry) -> Vec<u8> {
    fn text(text: Option<&str>) -> Option<Cow<'_, str>> {
        text.map(Cow::Borrowed)
    }
    let line = Line {
        organization: entry.organization.as_uuid(),
        id: entry.id.as_uuid(),
        at: entry.at.as_micros(),
        actor_kind: (&*entry.actor_kind).into(),
        actor_id: text(entry.actor_id.as_deref()),
        actor_name: text(entry.actor_name.as_deref()),
        action: (&*entry.action).into(),
        target_kind: (&*entry.target_kind).into(),
        target_id: text(entry.target_id.as_deref()),
        tenant_org: text(entry.tenant_org.as_deref()),
        tenant_user: text(entry.tenant_user.as_deref()),
        outcome: (&*entry.outcome).into(),
        code: text(entry.code.as_deref()),
        reason: text(entry.reason.as_deref()),
        request: entry.request_id,
    };
    let mut bytes = Vec::with_capacity(640);
    // Only a writer that fails, or a map whose keys are no texts, could make an error.
    if serde_json::to_writer(&mut bytes, &line).is_err() {
        bytes.clear();
    }
    bytes.push(b'\n');
    bytes
}

/// The entry of a line, without its line feed.
///
/// # Errors
/// The line is no entry.
pub fn read(line: &[u8]) -> Result<AuditEntry, serde_json::Error> {
    let line: Line<'_> = serde_json::from_slice(line)?;
    let text = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
    let word = |word: Cow<'_, str>| Word::Owned(word.into_owned());
    Ok(AuditEntry {
        organization: OrganizationId::from_uuid(line.organization),
        id: EventId::from_uuid(line.id),
        at: Timestamp::from_micros(line.at),
        actor_kind: word(line.actor_kind),
        actor_id: text(line.actor_id),
        actor_name: text(line.actor_name),
        action: word(line.action),
        target_kind: word(line.target_kind),
        target_id: text(line.target_id),
        tenant_org: text(line.tenant_org),
        tenant_user: text(line.tenant_user),
        outcome: word(line.outcome),
        code: line.code.map(word),
        reason: text(line.reason),
        request_id: line.request,
    })
}

#[cfg(test)]
mod tests {
    use domain::audit::{AuditActor, AuditEvent};

    use super::*;

    #[test]
    fn what_is_read_is_what_was_written() {
        let event = AuditEvent::unproven(AuditActor::Anonymous, "key.verify", Timestamp::from_micros(1_795_000_000));
        let bare = AuditEntry::from(&event);
        let full = AuditEntry {
            actor_id: Some("key_1".to_owned()),
            actor_name: Some("line\nfeed \"quoted\" \u{1F511}".to_owned()),
            target_id: Some("srv_1".to_owned()),
            tenant_org: Some("customer".to_owned()),
            tenant_user: Some("alice".to_owned()),
            code: Some("server_not_allowed".into()),
            reason: Some("\u{0}\u{1f}".to_owned()),
            request_id: Some(Uuid::from_u128(7)),
            ..bare.clone()
        };
        for entry in [bare, full] {
            let line = write(&entry);
            assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1), "one line");
            assert_eq!(read(&line[..line.len() - 1]).expect("a line"), entry);
        }
        assert!(read(b"").is_err());
        assert!(read(b"{\"organization\":").is_err());
    }
}
