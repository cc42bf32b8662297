//! Groups and policies as data.

use crate::id::{GroupId, PolicyId, ServerId, UserId};
use crate::organization::UserRef;
use crate::text::{Description, Name};
use crate::time::Timestamp;

/// Whom a policy is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicySubject {
    /// Every member, also those who join later.
    Everyone,
    /// The members of a group.
    Group(GroupId),
    /// One member.
    Member(UserId),
}

/// What a policy gives access to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyResource {
    /// Every server, also those that are registered later.
    EveryServer,
    /// One server.
    Server(ServerId),
}

/// A rule: these subjects reach these servers. Policies only ever add; what none gives, nobody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The id.
    pub id: PolicyId,
    /// The name for people, unique in the organization.
    pub name: Name,
    /// Who, each once, in a fixed order.
    pub subjects: Vec<PolicySubject>,
    /// What, each once, in a fixed order.
    pub resources: Vec<PolicyResource>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A group of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The id.
    pub id: GroupId,
    /// The name, unique in the organization.
    pub name: Name,
    /// A longer explanation.
    pub description: Option<Description>,
    /// Who is in it, by e-mail address.
    pub members: Vec<UserRef>,
    /// When it was made.
    pub created_at: Timestamp,
}
