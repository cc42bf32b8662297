//! A group as JSON has it.

use domain::field::FieldErrors;
use domain::id::UserId;
use domain::policy::Group;
use serde::Serialize;
use utoipa::ToSchema;

use crate::v1::{PersonShape, time};

/// A group of members.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupShape {
    /// `grp_…`
    #[schema(example = "grp_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// The name.
    #[schema(example = "Engineers")]
    name: String,
    /// A longer explanation.
    description: Option<String>,
    /// Who is in it, by e-mail address.
    members: Vec<PersonShape>,
    /// When it was made, RFC 3339 UTC.
    created_at: String,
}

/// Reads ids of members; faults are noted under `field[…]`.
pub fn parse_members(field: &str, ids: &[String], errors: &mut FieldErrors) -> Vec<UserId> {
    let parse = |(index, id): (usize, &String)| errors.take(&format!("{field}[{index}]"), id.parse());
    ids.iter().enumerate().filter_map(parse).collect()
}

impl From<&Group> for GroupShape {
    fn from(group: &Group) -> Self {
        Self {
            id: group.id.to_string(),
            name: group.name.to_string(),
            description: group.description.as_ref().map(ToString::to_string),
            members: group.members.iter().map(PersonShape::from).collect(),
            created_at: time(group.created_at),
        }
    }
}
