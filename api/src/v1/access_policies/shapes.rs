//! A policy as JSON has it.

use domain::field::FieldErrors;
use domain::policy::{Policy, PolicyResource, PolicySubject};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::v1::time;

/// An access policy.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyShape {
    /// `pol_…`
    #[schema(example = "pol_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// The name.
    #[schema(example = "Engineering")]
    name: String,
    /// Who.
    subjects: Vec<SubjectShape>,
    /// What they reach.
    resources: Vec<ResourceShape>,
    /// When it was made, RFC 3339 UTC.
    created_at: String,
}

/// Whom a policy is about.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectShape {
    /// `everyone`, `group` or `member`.
    #[serde(rename = "type")]
    kind: SubjectType,
    /// `grp_…` or `usr_…`; absent for everyone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "grp_01kafx5tgyf1na07m4q6nf1sgb")]
    id: Option<String>,
}

/// The kinds of subjects.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectType {
    /// Every member, also later ones.
    Everyone,
    /// The members of a group.
    Group,
    /// One member.
    Member,
}

/// What a policy gives access to.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResourceShape {
    /// `every_server` or `server`.
    #[serde(rename = "type")]
    kind: ResourceType,
    /// `mcp_…`; absent for every server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "mcp_01kafx5tgyf1na07m4q6nf1sgb")]
    id: Option<String>,
}

/// The kinds of resources.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResourceType {
    /// Every server, also later ones.
    EveryServer,
    /// One server.
    Server,
}

/// Reads subjects; faults are noted under `subjects[…]`.
pub fn parse_subjects(subjects: &[SubjectShape], errors: &mut FieldErrors) -> Vec<PolicySubject> {
    let mut parsed = Vec::with_capacity(subjects.len());
    for (index, subject) in subjects.iter().enumerate() {
        let place = format!("subjects[{index}].id");
        match (subject.kind, subject.id.as_deref()) {
            (SubjectType::Everyone, None) => parsed.push(PolicySubject::Everyone),
            (SubjectType::Everyone, Some(_)) => errors.add(place, "does not go with type everyone"),
            (SubjectType::Group | SubjectType::Member, None) => errors.add(place, "is required for this type"),
            (SubjectType::Group, Some(id)) => {
                parsed.extend(errors.take(&place, id.parse()).map(PolicySubject::Group));
            }
            (SubjectType::Member, Some(id)) => {
                parsed.extend(errors.take(&place, id.parse()).map(PolicySubject::Member));
            }
        }
    }
    parsed
}

/// Reads resources; faults are noted under `resources[…]`.
pub fn parse_resources(resources: &[ResourceShape], errors: &mut FieldErrors) -> Vec<PolicyResource> {
    let mut parsed = Vec::with_capacity(resources.len());
    for (index, resource) in resources.iter().enumerate() {
        let place = format!("resources[{index}].id");
        match (resource.kind, resource.id.as_deref()) {
            (ResourceType::EveryServer, None) => parsed.push(PolicyResource::EveryServer),
            (ResourceType::EveryServer, Some(_)) => errors.add(place, "does not go with type every_server"),
            (ResourceType::Server, None) => errors.add(place, "is required for this type"),
            (ResourceType::Server, Some(id)) => {
                parsed.extend(errors.take(&place, id.parse()).map(PolicyResource::Server));
            }
        }
    }
    parsed
}

impl From<PolicySubject> for SubjectShape {
    fn from(subject: PolicySubject) -> Self {
        match subject {
            PolicySubject::Everyone => Self { kind: SubjectType::Everyone, id: None },
            PolicySubject::Group(id) => Self { kind: SubjectType::Group, id: Some(id.to_string()) },
            PolicySubject::Member(id) => Self { kind: SubjectType::Member, id: Some(id.to_string()) },
        }
    }
}

impl From<PolicyResource> for ResourceShape {
    fn from(resource: PolicyResource) -> Self {
        match resource {
            PolicyResource::EveryServer => Self { kind: ResourceType::EveryServer, id: None },
            PolicyResource::Server(id) => Self { kind: ResourceType::Server, id: Some(id.to_string()) },
        }
    }
}

impl From<&Policy> for PolicyShape {
    fn from(policy: &Policy) -> Self {
        Self {
            id: policy.id.to_string(),
            name: policy.name.to_string(),
            subjects: policy.subjects.iter().copied().map(Into::into).collect(),
            resources: policy.resources.iter().copied().map(Into::into).collect(),
            created_at: time(policy.created_at),
        }
    }
}
