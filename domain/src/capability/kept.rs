//! What is kept of a server: what it offered last, how that differed from before, and what was approved of it.

use serde::{Deserialize, Serialize};

use super::approval::Approvals;
use super::diff::{Change, Grade, diff};
use super::model::{Annotations, Capability, CapabilityKind};
use super::port::{Answer, KeepFault, SeenTool};
use super::snapshot::{Fingerprint, Snapshot};
use crate::field::FieldErrors;
use crate::time::Timestamp;

/// How many changes of the higher grades the log names; more are counted.
const NAMED_MAX: usize = 20;
/// How much of a name the log has, in characters.
const NAME_SHOWN: usize = 64;

/// Everything that is kept of a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// What it offered last.
    pub snapshot: Snapshot,
    /// Which tools were approved, and as what.
    pub approvals: Approvals,
    /// How it differed from the time before; nothing the first time.
    pub changes: Vec<Change>,
    /// When it was asked.
    pub synced_at: Timestamp,
}

/// A tool as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolLine {
    /// Its name.
    pub name: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it says of its effects.
    #[serde(default)]
    pub annotations: Annotations,
    /// What an approval is of.
    pub fingerprint: Fingerprint,
}

impl From<&Capability> for ToolLine {
    fn from(tool: &Capability) -> Self {
        Self {
            name: tool.name.clone(),
            title: tool.title.clone(),
            description: tool.description.clone(),
            annotations: tool.annotations,
            fingerprint: tool.fingerprint(),
        }
    }
}

/// What lists show of a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Its tools, by name.
    pub tools: Vec<ToolLine>,
    /// Which of them were approved, and as what.
    pub approvals: Approvals,
    /// How what it offers differed from the time before.
    pub changes: Vec<Change>,
    /// When it was asked.
    pub synced_at: Timestamp,
}

impl Offer {
    /// Whether this tool of it is offered. `required` says whether changed tools need approval.
    #[must_use]
    pub fn offers(&self, tool: &ToolLine, required: bool) -> bool {
        !required || self.approvals.hold(&tool.name, tool.fingerprint)
    }
}

impl From<&Kept> for Offer {
    fn from(kept: &Kept) -> Self {
        Self {
            tools: kept.snapshot.tools().map(ToolLine::from).collect(),
            approvals: kept.approvals.clone(),
            changes: kept.changes.clone(),
            synced_at: kept.synced_at,
        }
    }
}

impl Kept {
    /// What is kept after a server was asked. The first time, and while no approval is asked for, everything is approved
    /// as it is; otherwise what was approved stays so, and nothing else is.
    #[must_use]
    pub fn after(before: Option<&Self>, answer: Answer) -> Self {
        let Answer { snapshot, at, approval } = answer;
        let mut approvals = before.map(|before| before.approvals.clone()).unwrap_or_default();
        approvals.retain(&snapshot);
        if before.is_none() || !approval {
            approvals.approve(snapshot.tools());
        }
        let changes = before.map(|before| diff(&before.snapshot, &snapshot)).unwrap_or_default();
        Self { snapshot, approvals, changes, synced_at: at }
    }

    /// Approves tools as they were seen; the names of those that were not approved before.
    ///
    /// # Errors
    /// [`KeepFault::Invalid`] for a tool that is not there, [`KeepFault::Changed`] for one that is another now. Nothing is
    /// approved then.
    pub fn approve(&mut self, seen: &[SeenTool]) -> Result<Vec<String>, KeepFault> {
        let mut errors = FieldErrors::default();
        let mut tools = Vec::new();
        for (index, seen) in seen.iter().enumerate() {
            match self.snapshot.get(CapabilityKind::Tool, &seen.name) {
                None => errors.add(format!("tools[{index}].name"), "is no tool of the server"),
                Some(tool) if tool.fingerprint() != seen.fingerprint => {
                    return Err(KeepFault::Changed(shown(&seen.name)));
                }
                Some(tool) => tools.push(tool),
            }
        }
        errors.check()?;
        tools.retain(|tool| !self.approvals.cover(tool));
        self.approvals.approve(tools.iter().copied());
        let mut names: Vec<_> = tools.into_iter().map(|tool| shown(&tool.name)).collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// What the log says of a sync: how much there is, and what changed, by grade.
    #[must_use]
    pub fn summary(&self, first: bool) -> String {
        let counted = |kind| match self.snapshot.count(kind) {
            1 => format!("1 {}", kind.as_str().replace('_', " ")),
            count => format!("{count} {}s", kind.as_str().replace('_', " ")),
        };
        let offered = CapabilityKind::ALL.map(counted).join(", ");
        let changed = match (first, self.changes.is_empty()) {
            (true, _) => "first sync".to_owned(),
            (false, true) => "nothing changed".to_owned(),
            (false, false) => changed(&self.changes),
        };
        format!("{offered}; {changed}")
    }
}

fn changed(changes: &[Change]) -> String {
    let counts = [Grade::Dangerous, Grade::Changed, Grade::Harmless].map(|grade| {
        let count = changes.iter().filter(|change| change.change.grade() == grade).count();
        (count > 0).then(|| format!("{count} {}", grade.as_str()))
    });
    let counts = counts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    // In front is what to look at first.
    let mut named: Vec<_> = changes
        .iter()
        .take(NAMED_MAX)
        .map(|change| format!("{} {} {}", change.change.as_str(), change.kind.as_str(), shown(&change.name)))
        .collect();
    if changes.len() > NAMED_MAX {
        named.push("…".to_owned());
    }
    format!("{counts} ({})", named.join(", "))
}

/// A server's name for something, as the log has it: one line, and not long.
fn shown(name: &str) -> String {
    let line = name.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let mut shown: String = line.clone().take(NAME_SHOWN).collect();
    if line.count() > NAME_SHOWN {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(name: &str, schema: i32) -> Capability {
        Capability {
            kind: CapabilityKind::Tool,
            name: name.to_owned(),
            title: None,
            description: None,
            input: Some(json!({ "maximum": schema })),
            output: None,
            annotations: Annotations::default(),
        }
    }

    fn answer(tools: &[Capability], approval: bool) -> Answer {
        let snapshot = Snapshot::of(tools.iter().cloned()).expect("names");
        Answer { snapshot, at: Timestamp::from_micros(1), approval }
    }

    fn offered(kept: &Kept) -> Vec<&str> {
        crate::capability::offered(&kept.snapshot, &kept.approvals, true).into_iter().collect()
    }

    fn seen(tool: &Capability) -> SeenTool {
        SeenTool { name: tool.name.clone(), fingerprint: tool.fingerprint() }
    }

    #[test]
    fn the_first_sync_approves_what_it_finds_and_a_later_one_nothing() {
        let first = Kept::after(None, answer(&[tool("a", 1), tool("b", 1)], true));
        assert_eq!((offered(&first), first.changes.len()), (vec!["a", "b"], 0));
        let second = Kept::after(Some(&first), answer(&[tool("a", 2), tool("b", 1), tool("c", 1)], true));
        assert_eq!((offered(&second), second.changes.len()), (vec!["b"], 2));
        let back = Kept::after(Some(&second), answer(&[tool("a", 1), tool("b", 1)], true));
        assert_eq!(offered(&back), ["a", "b"], "what was approved is as it was");
    }

    #[test]
    fn what_is_found_while_no_approval_is_asked_for_is_approved() {
        let first = Kept::after(None, answer(&[tool("a", 1)], false));
        let second = Kept::after(Some(&first), answer(&[tool("a", 2), tool("b", 1)], false));
        assert_eq!(offered(&second), ["a", "b"]);
    }

    #[test]
    fn an_approval_is_of_what_was_seen_and_all_or_nothing() {
        let first = Kept::after(None, answer(&[tool("a", 1)], true));
        let mut kept = Kept::after(Some(&first), answer(&[tool("a", 2), tool("b", 1)], true));
        let stale = kept.approve(&[seen(&tool("b", 1)), seen(&tool("a", 1))]);
        assert!(matches!(stale, Err(KeepFault::Changed(name)) if name == "a"));
        let unknown = kept.approve(&[seen(&tool("b", 1)), seen(&tool("c", 1))]);
        assert!(matches!(unknown, Err(KeepFault::Invalid(errors)) if errors.0[0].field == "tools[1].name"));
        assert_eq!(offered(&kept), Vec::<&str>::new());
        assert_eq!(kept.approve(&[seen(&tool("b", 1)), seen(&tool("a", 2))]).expect("seen"), ["a", "b"]);
        assert_eq!(kept.approve(&[seen(&tool("b", 1))]).expect("again"), Vec::<String>::new());
        assert_eq!(offered(&kept), ["a", "b"]);
    }

    #[test]
    fn the_log_is_told_how_much_changed_and_what_first_of_all() {
        let first = Kept::after(None, answer(&[tool("a", 1), tool("b", 1)], false));
        assert_eq!(first.summary(true), "2 tools, 0 prompts, 0 resources, 0 resource templates; first sync");
        let long = "n".repeat(NAME_SHOWN + 1);
        let second = Kept::after(Some(&first), answer(&[tool("a", 2), tool(&long, 1)], false));
        let (names, counts) = ("n".repeat(NAME_SHOWN), "1 dangerous, 2 changed");
        let told = format!("(new_destructive tool {names}…, schema_changed tool a, removed tool b)");
        assert!(second.summary(false).ends_with(&format!("; {counts} {told}")), "{}", second.summary(false));
        let third = Kept::after(Some(&second), answer(&[tool("a", 2), tool(&long, 1)], false));
        assert!(third.summary(false).ends_with("; nothing changed"));
        let many: Vec<_> = (0..50).map(|number| tool(&format!("t{number}\n"), 1)).collect();
        let fourth = Kept::after(Some(&third), answer(&many, false)).summary(false);
        assert!(fourth.contains("50 dangerous, 2 changed") && fourth.ends_with(", …)") && !fourth.contains('\n'));
    }
}
