//! How two snapshots differ, and where to look first.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::model::{Capability, CapabilityKind};
use super::snapshot::Snapshot;

/// What happened to a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is new, and may destroy something.
    NewDestructive,
    /// It is gone.
    Removed,
    /// Its title or description is another.
    TextChanged,
    /// What it takes, gives or says of its effects is another.
    SchemaChanged,
    /// It may destroy something, and did not say so before.
    BecameDestructive,
}

/// How closely to look at a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Words.
    Harmless,
    /// What callers rely on.
    Changed,
    /// Something that may destroy.
    Dangerous,
}

impl ChangeKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Added,
        Self::NewDestructive,
        Self::Removed,
        Self::TextChanged,
        Self::SchemaChanged,
        Self::BecameDestructive,
    ];

    /// The kind's name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::NewDestructive => "new_destructive",
            Self::Removed => "removed",
            Self::TextChanged => "text_changed",
            Self::SchemaChanged => "schema_changed",
            Self::BecameDestructive => "became_destructive",
        }
    }

    /// How closely to look at it.
    #[must_use]
    pub const fn grade(self) -> Grade {
        match self {
            Self::TextChanged => Grade::Harmless,
            Self::Added | Self::Removed | Self::SchemaChanged => Grade::Changed,
            Self::NewDestructive | Self::BecameDestructive => Grade::Dangerous,
        }
    }
}

impl Grade {
    /// The grade's name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Harmless => "harmless",
            Self::Changed => "changed",
            Self::Dangerous => "dangerous",
        }
    }
}

/// One difference. A capability whose text and schema both changed has two of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Change {
    /// What happened.
    pub change: ChangeKind,
    /// To what kind of thing.
    pub kind: CapabilityKind,
    /// To which.
    pub name: String,
}

/// How `after` differs from `before`: everything that does, what to look at first in front, and nothing twice.
#[must_use]
pub fn diff(before: &Snapshot, after: &Snapshot) -> Vec<Change> {
    let named = |snapshot: &Snapshot| -> BTreeSet<_> {
        snapshot.iter().map(|capability| (capability.kind, capability.name.clone())).collect()
    };
    let mut changes = Vec::new();
    for (kind, name) in &named(before) | &named(after) {
        let found = match (before.get(kind, &name), after.get(kind, &name)) {
            (None, None) => vec![],
            (Some(_), None) => vec![ChangeKind::Removed],
            (None, Some(new)) if new.is_destructive() => vec![ChangeKind::NewDestructive],
            (None, Some(_)) => vec![ChangeKind::Added],
            (Some(before), Some(after)) => between(before, after),
        };
        changes.extend(found.into_iter().map(|change| Change { change, kind, name: name.clone() }));
    }
    changes.sort_by_key(|change| std::cmp::Reverse(change.change.grade()));
    changes
}

fn between(before: &Capability, after: &Capability) -> Vec<ChangeKind> {
    let (was, is) = (before.hashes(), after.hashes());
    let destroys = !before.is_destructive() && after.is_destructive();
    let schema = was.schema != is.schema || (was.effects != is.effects && !destroys);
    let destroys = destroys.then_some(ChangeKind::BecameDestructive);
    let schema = schema.then_some(ChangeKind::SchemaChanged);
    let text = (was.text != is.text).then_some(ChangeKind::TextChanged);
    destroys.into_iter().chain(schema).chain(text).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::{Value, json};

    use super::*;
    use crate::capability::{Annotations, Twice};

    fn tool(name: &str) -> Capability {
        Capability {
            kind: CapabilityKind::Tool,
            name: name.to_owned(),
            title: None,
            description: Some("Looks.".to_owned()),
            input: Some(json!({ "type": "object" })),
            output: None,
            annotations: Annotations { read_only_hint: Some(true), ..Annotations::default() },
        }
    }

    fn one(change: impl Fn(&mut Capability)) -> Vec<ChangeKind> {
        let (before, mut after) = (tool("look"), tool("look"));
        change(&mut after);
        let snapshot = |tool| Snapshot::of([tool]).expect("one name");
        diff(&snapshot(before), &snapshot(after)).into_iter().map(|change| change.change).collect()
    }

    #[test]
    fn each_part_has_its_own_kind_of_change() {
        use ChangeKind::{Added, BecameDestructive, NewDestructive, Removed, SchemaChanged, TextChanged};
        assert_eq!(one(|_| ()), []);
        assert_eq!(one(|tool| tool.title = Some("Look".to_owned())), [TextChanged]);
        assert_eq!(one(|tool| tool.description = None), [TextChanged]);
        assert_eq!(one(|tool| tool.input = Some(json!({ "type": "object", "required": ["a"] }))), [SchemaChanged]);
        assert_eq!(one(|tool| tool.output = Some(json!(true))), [SchemaChanged]);
        assert_eq!(one(|tool| tool.annotations.open_world_hint = Some(false)), [SchemaChanged]);
        assert_eq!(
            one(|tool| tool.annotations.read_only_hint = None),
            [BecameDestructive],
            "silence is the worst case"
        );
        let all = one(|tool| {
            (tool.title, tool.input) = (Some("Drop".to_owned()), None);
            tool.annotations = Annotations { destructive_hint: Some(true), ..Annotations::default() };
        });
        assert_eq!(all, [BecameDestructive, SchemaChanged, TextChanged]);
        assert_eq!(one(|tool| tool.name = "other".to_owned()), [Removed, Added]);
        assert_eq!(one(|tool| tool.annotations.read_only_hint = Some(false)), [BecameDestructive]);
        let renamed = one(|tool| (tool.name, tool.annotations) = ("drop".to_owned(), Annotations::default()));
        assert_eq!(renamed, [NewDestructive, Removed], "what to look at first is in front");
    }

    #[test]
    fn what_destroys_is_dangerous_and_words_are_harmless() {
        let graded = |grade| ChangeKind::ALL.into_iter().filter(|kind| kind.grade() == grade).collect::<Vec<_>>();
        assert_eq!(graded(Grade::Dangerous), [ChangeKind::NewDestructive, ChangeKind::BecameDestructive]);
        assert_eq!(graded(Grade::Harmless), [ChangeKind::TextChanged]);
    }

    #[test]
    fn the_order_of_names_in_a_schema_is_no_change() {
        let read = |text: &str| Some(serde_json::from_str::<Value>(text).expect("json"));
        let mut before = tool("look");
        before.input = read(r#"{"type":"object","properties":{"a":{},"b":{}}}"#);
        let after = Capability { input: read(r#"{"properties":{"b":{},"a":{}},"type":"object"}"#), ..before.clone() };
        assert_eq!(before.hashes(), after.hashes());
    }

    #[test]
    fn two_different_tools_of_one_name_are_refused_and_the_same_one_twice_is_one() {
        let other = Capability { description: None, ..tool("look") };
        assert_eq!(
            Snapshot::of([tool("look"), other]),
            Err(Twice { kind: CapabilityKind::Tool, name: "look".to_owned() })
        );
        let prompt = Capability { kind: CapabilityKind::Prompt, ..tool("look") };
        assert_eq!(Snapshot::of([tool("look"), prompt, tool("look")]).expect("two kinds").iter().count(), 2);
    }

    fn capability() -> impl Strategy<Value = Capability> {
        let hint = || select(vec![None, Some(false), Some(true)]);
        let text = || select(vec![None, Some("one".to_owned()), Some("two".to_owned())]);
        let schema = || select(vec![None, Some(json!({ "a": 1 })), Some(json!({ "a": [1, 2] }))]);
        let hints = (hint(), hint(), hint(), hint());
        let name = (select(CapabilityKind::ALL.to_vec()), select(vec!["a", "b", "c", "d"]));
        (name, text(), text(), schema(), schema(), hints).prop_map(
            |(name, title, description, input, output, hints)| {
                let annotations = Annotations {
                    read_only_hint: hints.0,
                    destructive_hint: hints.1,
                    idempotent_hint: hints.2,
                    open_world_hint: hints.3,
                };
                Capability { kind: name.0, name: name.1.to_owned(), title, description, input, output, annotations }
            },
        )
    }

    /// Some capabilities, none with the name of another.
    fn capabilities() -> impl Strategy<Value = Vec<Capability>> {
        prop::collection::vec(capability(), 0..12).prop_map(|mut all| {
            let mut seen = BTreeSet::new();
            all.retain(|capability| seen.insert((capability.kind, capability.name.clone())));
            all
        })
    }

    /// The same by looking at every pair, without hashes.
    fn reference(before: &[Capability], after: &[Capability]) -> BTreeSet<Change> {
        let mut changes = BTreeSet::new();
        let mut note = |change, capability: &Capability| {
            changes.insert(Change { change, kind: capability.kind, name: capability.name.clone() });
        };
        let same = |one: &&Capability, other: &Capability| one.kind == other.kind && one.name == other.name;
        for is in after {
            let destroys = is.kind == CapabilityKind::Tool
                && is.annotations.read_only_hint != Some(true)
                && is.annotations.destructive_hint != Some(false);
            let Some(was) = before.iter().find(|was| same(was, is)) else {
                note(if destroys { ChangeKind::NewDestructive } else { ChangeKind::Added }, is);
                continue;
            };
            let destroyed = was.kind == CapabilityKind::Tool
                && was.annotations.read_only_hint != Some(true)
                && was.annotations.destructive_hint != Some(false);
            if (&was.title, &was.description) != (&is.title, &is.description) {
                note(ChangeKind::TextChanged, is);
            }
            let schema = (&was.input, &was.output) != (&is.input, &is.output);
            if destroys && !destroyed {
                note(ChangeKind::BecameDestructive, is);
            } else if was.annotations != is.annotations {
                note(ChangeKind::SchemaChanged, is);
            }
            if schema {
                note(ChangeKind::SchemaChanged, is);
            }
        }
        for was in before {
            if !after.iter().any(|is| same(&is, was)) {
                note(ChangeKind::Removed, was);
            }
        }
        changes
    }

    proptest! {
        #[test]
        fn a_diff_is_what_looking_at_every_pair_finds(before in capabilities(), after in capabilities()) {
            let found = diff(&Snapshot::of(before.clone()).expect("names"), &Snapshot::of(after.clone()).expect("names"));
            let set: BTreeSet<_> = found.iter().cloned().collect();
            prop_assert_eq!(set.len(), found.len(), "nothing is told twice");
            prop_assert_eq!(set, reference(&before, &after));
            prop_assert!(found.is_sorted_by_key(|change| std::cmp::Reverse(change.change.grade())));
        }

        #[test]
        fn nothing_differs_from_itself_in_any_order_and_after_a_while_in_the_store(
            listed in capabilities(), seed in any::<prop::sample::Index>(),
        ) {
            let mut turned = listed.clone();
            if !turned.is_empty() {
                turned.rotate_left(seed.index(listed.len()));
                turned.reverse();
            }
            let (one, other) = (Snapshot::of(listed).expect("names"), Snapshot::of(turned).expect("names"));
            prop_assert_eq!(diff(&one, &other), vec![]);
            let stored: Snapshot = serde_json::from_str(&serde_json::to_string(&one).expect("json")).expect("a snapshot");
            prop_assert_eq!(diff(&one, &stored), vec![]);
        }
    }
}
