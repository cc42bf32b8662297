//! The lines of an export: one JSON object each, written here and read again by `keyrack audit verify`.

use domain::audit::verify::Record;

use super::shapes::{AuditEventShape, CheckpointLine};

/// A record as a line, with its end.
///
/// # Panics
/// Never: texts and numbers can be written as JSON.
#[must_use]
pub fn write(record: &Record) -> Vec<u8> {
    let mut line = match record {
        Record::Row(link) => serde_json::to_vec(&AuditEventShape::from(link)),
        Record::Checkpoint(signed) => serde_json::to_vec(&CheckpointLine::from(signed)),
    }
    .expect("texts and numbers can be written as JSON");
    line.push(b'\n');
    line
}

/// The record of a line; none when it is not byte for byte what Keyrack writes. What means the same in another form was
/// edited too.
#[must_use]
pub fn read(line: &[u8]) -> Option<Record> {
    read_unchecked(line).filter(|record| write(record) == line)
}

/// The record of a line in whatever form.
#[must_use]
pub fn read_unchecked(line: &[u8]) -> Option<Record> {
    Some(if line.starts_with(b"{\"checkpoint\":") {
        Record::Checkpoint(serde_json::from_slice::<CheckpointLine>(line).ok()?.into_signed()?)
    } else {
        Record::Row(serde_json::from_slice::<AuditEventShape>(line).ok()?.into_link()?)
    })
}
