//! A decision as it stands in a journal: how many bytes it has, and then its fields, each with one more than its length before
//! it, or nought where there is none. Every request pays for this, so it is no JSON, which was half of
//! the instructions that the journal took.

use domain::audit::entry::{AuditEntry, Word};
use domain::id::{EventId, OrganizationId};
use domain::time::Timestamp;
use domain::varint::{take, write};
use uuid::Uuid;

/// Appends to `out`.
pub fn append(entry: &AuditEntry, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(&[0; size_of::<u32>()]);
    entry.with_fields(|fields| {
        for field in fields {
            write(field.map_or(0, |field| field.len() as u64 + 1), out);
            out.extend_from_slice(field.unwrap_or_default());
        }
    });
    let length = u32::try_from(out.len() - begin - size_of::<u32>()).unwrap_or(u32::MAX);
    out[begin..begin + size_of::<u32>()].copy_from_slice(&length.to_le_bytes());
}

/// What stands at the front of a journal.
#[derive(Debug, PartialEq, Eq)]
pub enum Front {
    /// A decision.
    Entry(Box<AuditEntry>),
    /// Nothing, or the beginning of a decision whose end was never written.
    End,
    /// Something else.
    Damaged,
}

/// Takes a decision off the front.
pub fn take_front(bytes: &mut &[u8]) -> Front {
    let Some((length, rest)) = bytes.split_first_chunk() else { return Front::End };
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let Some((record, rest)) = rest.split_at_checked(length) else { return Front::End };
    *bytes = rest;
    read(record).map_or(Front::Damaged, |entry| Front::Entry(Box::new(entry)))
}

fn read(mut record: &[u8]) -> Option<AuditEntry> {
    let record = &mut record;
    let entry = AuditEntry {
        organization: OrganizationId::from_uuid(uuid(field(record)?)?),
        id: EventId::from_uuid(uuid(field(record)?)?),
        at: Timestamp::from_micros(i64::from_le_bytes(field(record)??.try_into().ok()?)),
        actor_kind: word(field(record)?)?,
        actor_id: text(field(record)?)?,
        actor_name: text(field(record)?)?,
        action: word(field(record)?)?,
        target_kind: word(field(record)?)?,
        target_id: text(field(record)?)?,
        tenant_org: text(field(record)?)?,
        tenant_user: text(field(record)?)?,
        outcome: word(field(record)?)?,
        code: text(field(record)?)?.map(Word::Owned),
        reason: text(field(record)?)?,
        request_id: match field(record)? {
            Some(id) => Some(uuid(Some(id))?),
            None => None,
        },
    };
    record.is_empty().then_some(entry)
}

/// The next field, or that there is none.
#[expect(clippy::option_option, reason = "the record may end, and a field may be none")]
fn field<'a>(record: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let Some(length) = take(record)?.checked_sub(1) else { return Some(None) };
    let (field, rest) = record.split_at_checked(usize::try_from(length).ok()?)?;
    *record = rest;
    Some(Some(field))
}

fn uuid(field: Option<&[u8]>) -> Option<Uuid> {
    Uuid::from_slice(field?).ok()
}

fn word(field: Option<&[u8]>) -> Option<Word> {
    text(field)?.map(Word::Owned)
}

#[expect(clippy::option_option, reason = "it may be no text, and a field may be none")]
fn text(field: Option<&[u8]>) -> Option<Option<String>> {
    field.map(|field| String::from_utf8(field.to_vec()).ok()).map_or(Some(None), |text| text.map(Some))
}

#[cfg(test)]
mod tests {
    use domain::audit::{AuditActor, AuditEvent};
    use proptest::prelude::*;

    use super::*;

    fn bare() -> AuditEntry {
        AuditEntry::from(&AuditEvent::unproven(AuditActor::Anonymous, "key.verify", Timestamp::from_micros(1_795)))
    }

    fn full() -> AuditEntry {
        AuditEntry {
            actor_id: Some("key_1".to_owned()),
            actor_name: Some("\u{1F511} of \"Otto\"\n".to_owned()),
            target_id: Some(String::new()),
            tenant_org: Some("customer".to_owned()),
            tenant_user: Some("x".repeat(300)),
            code: Some("server_not_allowed".into()),
            reason: Some("because".to_owned()),
            request_id: Some(Uuid::from_u128(7)),
            ..bare()
        }
    }

    #[test]
    fn what_is_taken_is_what_was_appended() {
        let (mut written, entries) = (Vec::new(), [bare(), full(), bare()]);
        for entry in &entries {
            append(entry, &mut written);
        }
        let mut rest = written.as_slice();
        for entry in entries {
            assert_eq!(take_front(&mut rest), Front::Entry(Box::new(entry)));
        }
        assert_eq!(take_front(&mut rest), Front::End);
    }

    #[test]
    fn the_beginning_of_a_decision_is_the_end() {
        let mut written = Vec::new();
        append(&full(), &mut written);
        for length in 0..written.len() {
            assert_eq!(take_front(&mut &written[..length]), Front::End, "{length}");
        }
    }

    #[test]
    fn what_is_no_decision_is_damaged() {
        let mut written = Vec::new();
        append(&full(), &mut written);
        assert_eq!(take_front(&mut &[0; 64][..]), Front::Damaged);
        // One field too many, and one too few.
        let length = u32::try_from(written.len() - 4).expect("short");
        let mut longer = written.clone();
        longer.push(0);
        longer[..4].copy_from_slice(&(length + 1).to_le_bytes());
        assert_eq!(take_front(&mut longer.as_slice()), Front::Damaged);
        written[..4].copy_from_slice(&(length - 17).to_le_bytes());
        assert_eq!(take_front(&mut &written[..written.len() - 17]), Front::Damaged);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = bytes.as_slice();
            while take_front(&mut rest) != Front::End {}
        }
    }
}
