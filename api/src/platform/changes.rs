//! What became of a server's tools between two times that its list was fetched, for the audit log: a sync shows it in full,
//! and nobody syncs every minute.

use std::collections::BTreeMap;

use domain::audit::{AuditActor, AuditEvent, AuditTarget};
use domain::redact;
use domain::server::ServerRecord;
use domain::time::{Clock, SystemClock};

use super::lists::Listed;

/// Most tools that are named of each kind of change.
const NAMED_MAX: usize = 5;
/// Longest part of a name that is written, in characters.
const NAME_MAX: usize = 64;

/// The event of a list that is another than the last one; none when it is the same.
#[must_use]
pub fn event(server: &ServerRecord, before: &Listed, after: &Listed) -> Option<AuditEvent> {
    let reason = told(before, after)?;
    Some(AuditEvent {
        organization: Some(server.organization),
        target: AuditTarget::Server(server.id),
        reason: Some(reason),
        ..AuditEvent::unproven(AuditActor::System, "server.tools_change", SystemClock.now())
    })
}

/// The difference in words. The order of a list says nothing.
fn told(before: &Listed, after: &Listed) -> Option<String> {
    if before.text == after.text {
        return None;
    }
    let (before, after) = (by_name(before), by_name(after));
    let missing = |from: &BTreeMap<&str, &[u8]>, of: &BTreeMap<&str, &[u8]>| {
        named(of.keys().filter(|name| !from.contains_key(*name)).copied())
    };
    let changed = after.iter().filter(|(name, text)| before.get(*name).is_some_and(|old| old != *text));
    let parts = [
        ("new", missing(&before, &after)),
        ("changed", named(changed.map(|(name, _)| *name))),
        ("gone", missing(&after, &before)),
    ];
    let parts: Vec<_> = parts.into_iter().filter_map(|(kind, names)| Some(format!("{kind}: {}", names?))).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn by_name(listed: &Listed) -> BTreeMap<&str, &[u8]> {
    listed.tools.iter().map(|offer| (&*offer.own.name, offer.shown())).collect()
}

/// The first of some names, and how many more there are. A name is the server's word: it may hold anything.
fn named<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    let readable = |name: &&str| {
        let short: String = name.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect();
        redact::text(&short).into_owned()
    };
    let shown: Vec<String> = names.iter().take(NAMED_MAX).map(readable).collect();
    match names.len().saturating_sub(NAMED_MAX) {
        _ if names.is_empty() => None,
        0 => Some(shown.join(", ")),
        more => Some(format!("{} and {more} more", shown.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use infra::mcp_client::{Era, Tool};

    use super::*;

    fn listed(tools: &[(&str, &str)]) -> Listed {
        let tool = |(name, description): &(&str, &str)| {
            Tool::new((*name).to_owned(), (*description).to_owned(), Arc::default())
        };
        Listed::new("notes", tools.iter().map(tool).collect(), Era::Legacy)
    }

    #[test]
    fn what_is_new_changed_and_gone_is_named() {
        let before = listed(&[("add", "Adds."), ("read", "Reads."), ("drop", "Drops.")]);
        let after = listed(&[("read", "Reads all."), ("add", "Adds."), ("wipe", "Wipes.")]);
        assert_eq!(told(&before, &after).as_deref(), Some("new: wipe; changed: read; gone: drop"));
        let many: Vec<(String, String)> = (0..7).map(|number| (format!("t{number}"), String::new())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(told(&listed(&[]), &listed(&many)).as_deref(), Some("new: t0, t1, t2, t3, t4 and 2 more"));
    }

    #[test]
    fn the_same_tools_in_another_order_are_no_change() {
        let before = listed(&[("add", "Adds."), ("read", "Reads.")]);
        assert_eq!(told(&before, &listed(&[("add", "Adds."), ("read", "Reads.")])), None);
        assert_eq!(told(&before, &listed(&[("read", "Reads."), ("add", "Adds.")])), None);
    }

    #[test]
    fn a_name_that_is_long_or_holds_a_secret_is_not_written_as_it_is() {
        let secret = format!("ghp_{}", "0Az9By8Cx7Dw6Ev5Fu4Gt3Hs2Ir1Jq");
        let after = listed(&[(secret.as_str(), ""), (&"x".repeat(500), ""), ("a\n\u{1b}b", "")]);
        let told = told(&listed(&[]), &after).expect("a change");
        assert!(!told.contains(&secret) && told.len() < 200 && !told.contains(char::is_control), "{told:?}");
    }
}
