//! A topic as JSON has it.

use domain::audit::AuditTarget;
use domain::id::TopicId;
use domain::insight::topic::Topic;
use domain::insight::{Line, TopicSummary};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::shapes::CountsShape;
use crate::code::Code;
use crate::problem::Problem;
use crate::v1::time;

/// A group of similar intents.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopicShape {
    /// `top_…`
    #[schema(example = "top_5kafx5tgyf8na07m4q6nf1sgbv")]
    id: String,
    /// What an editor called it; else what was said most often.
    #[schema(example = "Find unpaid invoices")]
    name: String,
    /// Whether an editor called it so.
    renamed: bool,
    /// Whether an editor marked it as something that people want and nothing offers.
    unmet_demand: bool,
    /// Whether it is put away: left out of the list, and counted all the same.
    archived: bool,
    /// What was said, the most frequent first; with a tenant, what that tenant said.
    #[schema(example = json!(["find the unpaid invoices of acme", "unpaid invoices"]))]
    examples: Vec<String>,
    /// When the first of its calls began, RFC 3339 UTC.
    first_seen_at: String,
    /// When the last one did.
    last_seen_at: String,
}

impl TopicShape {
    /// A topic, with the phrases of one tenant alone where one is asked about.
    pub fn new(topic: &Topic, tenant: Option<Uuid>) -> Self {
        Self {
            id: topic.id.to_string(),
            name: topic.shown_name(),
            renamed: topic.name.is_some(),
            unmet_demand: topic.unmet_demand,
            archived: topic.archived_at.is_some(),
            examples: topic.examples.of(tenant).into_iter().map(str::to_owned).collect(),
            first_seen_at: time(topic.first_seen),
            last_seen_at: time(topic.last_seen),
        }
    }
}

/// This period against the one before.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrendShape {
    /// Calls in the period before.
    #[schema(example = 800)]
    previous_calls: u64,
    /// By how much of those there are more now, or fewer when negative; null when there were none.
    #[schema(example = 0.5)]
    change: Option<f64>,
}

impl TrendShape {
    #[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^52")]
    fn new(now: &Line, before: &Line) -> Self {
        let change = (now.calls as f64 - before.calls as f64) / before.calls as f64;
        Self { previous_calls: before.calls, change: (before.calls > 0).then_some(change) }
    }
}

/// A topic, and its calls in a period.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopicItemShape {
    #[serde(flatten)]
    topic: TopicShape,
    #[serde(flatten)]
    counts: CountsShape,
    /// This period against the one before.
    trend: TrendShape,
}

impl TopicItemShape {
    /// A topic's line in a list.
    pub fn new(summary: &TopicSummary, tenant: Option<Uuid>) -> Self {
        Self {
            topic: TopicShape::new(&summary.topic, tenant),
            counts: (&summary.line).into(),
            trend: TrendShape::new(&summary.line, &summary.before),
        }
    }
}

/// The topic that a path names; what is no id is one that does not exist.
pub fn named(text: &str) -> Result<TopicId, Problem> {
    text.parse().map_err(|_| Problem::new(Code::NotFound))
}

/// What an event is about that names a topic.
pub const fn target(id: TopicId) -> AuditTarget {
    AuditTarget::Topic(id)
}
