//! Which tools are offered where changed ones need an admin's approval.
//!
//! An approval is of a tool as it is, by its [`Fingerprint`]; a change of its words leaves it. What the first sync finds
//! is approved, since somebody who may registered the server, and so is what a sync finds while no approval is needed:
//! when the organization begins to ask for it, what was offered until then goes on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::model::{Capability, CapabilityKind};
use super::snapshot::{Fingerprint, Snapshot};

/// The tools of a server that were approved, as they were then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Approvals(BTreeMap<String, Fingerprint>);

impl Approvals {
    /// Whether this tool was approved as it is.
    #[must_use]
    pub fn cover(&self, tool: &Capability) -> bool {
        tool.kind == CapabilityKind::Tool && self.hold(&tool.name, tool.fingerprint())
    }

    /// Whether the tool with this name was approved as this.
    #[must_use]
    pub fn hold(&self, tool: &str, fingerprint: Fingerprint) -> bool {
        self.0.get(tool) == Some(&fingerprint)
    }

    /// Approves tools as they are; how many were not.
    pub fn approve<'a>(&mut self, tools: impl IntoIterator<Item = &'a Capability>) -> usize {
        let tools = tools.into_iter().filter(|tool| tool.kind == CapabilityKind::Tool);
        tools.filter(|tool| self.0.insert(tool.name.clone(), tool.fingerprint()) != Some(tool.fingerprint())).count()
    }

    /// Forgets tools that are gone: one that comes back is new.
    pub fn retain(&mut self, snapshot: &Snapshot) {
        self.0.retain(|name, _| snapshot.get(CapabilityKind::Tool, name).is_some());
    }
}

/// The names of the tools that are offered. `required` is the organization's word: whether changed tools need approval.
#[must_use]
pub fn offered<'a>(snapshot: &'a Snapshot, approvals: &Approvals, required: bool) -> BTreeSet<&'a str> {
    snapshot.tools().filter(|tool| !required || approvals.cover(tool)).map(|tool| tool.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::capability::Annotations;

    fn tool(name: &str) -> Capability {
        Capability {
            kind: CapabilityKind::Tool,
            name: name.to_owned(),
            title: None,
            description: None,
            input: Some(json!({})),
            output: None,
            annotations: Annotations::default(),
        }
    }

    fn approved(tools: &[Capability]) -> Approvals {
        let mut approvals = Approvals::default();
        approvals.approve(tools);
        approvals
    }

    #[test]
    fn a_tool_is_offered_as_it_was_approved_and_not_otherwise() {
        let approvals = approved(&[tool("look"), tool("find")]);
        let changed = Capability { input: Some(json!({ "required": ["a"] })), ..tool("look") };
        let snapshot = Snapshot::of([changed, tool("find"), tool("new")]).expect("names");
        assert_eq!(offered(&snapshot, &approvals, true), BTreeSet::from(["find"]));
        assert_eq!(offered(&snapshot, &approvals, false), BTreeSet::from(["find", "look", "new"]));
        assert_eq!(offered(&snapshot, &Approvals::default(), true), BTreeSet::new(), "nobody looked at it yet");
    }

    #[test]
    fn what_a_tool_says_of_its_effects_is_part_of_what_was_approved_and_its_words_are_not() {
        let approvals = approved(&[tool("look")]);
        assert!(approvals.cover(&Capability { description: Some("Other words.".to_owned()), ..tool("look") }));
        let annotations = Annotations { read_only_hint: Some(true), ..Annotations::default() };
        assert!(!approvals.cover(&Capability { annotations, ..tool("look") }));
    }

    #[test]
    fn only_tools_are_offered_or_approved() {
        let prompt = Capability { kind: CapabilityKind::Prompt, ..tool("look") };
        let approvals = approved(std::slice::from_ref(&prompt));
        assert_eq!(approvals, Approvals::default());
        assert_eq!(offered(&Snapshot::of([prompt]).expect("names"), &approvals, false), BTreeSet::new());
    }

    #[test]
    fn a_tool_that_went_and_came_back_is_new() {
        let mut approvals = approved(&[tool("look")]);
        approvals.retain(&Snapshot::default());
        assert!(!approvals.cover(&tool("look")));
    }

    #[test]
    fn approving_again_changes_nothing() {
        let mut approvals = Approvals::default();
        assert_eq!((approvals.approve(&[tool("look")]), approvals.approve(&[tool("look")])), (1, 0));
    }

    #[test]
    fn approvals_are_kept_as_json_and_read_again() {
        let approvals = approved(&[tool("look"), tool("find")]);
        let kept = serde_json::to_string(&approvals).expect("json");
        assert_eq!(serde_json::from_str::<Approvals>(&kept).expect("approvals"), approvals);
        assert!(serde_json::from_str::<Approvals>(r#"{"look":"nothing"}"#).is_err());
    }
}
