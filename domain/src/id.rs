//! Outward ids: a prefix that names the kind, an underscore, and a UUIDv7 in 26 characters of Crockford base32.
//!
//! The text form is that of TypeID (<https://github.com/jetify-com/typeid>): it sorts by time of creation, has no
//! look-alike letters, and an id of the wrong kind does not parse. Inside, an id is 16 bytes.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const TEXT_LENGTH: usize = 26;

/// The text is not an id of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix}_…")]
pub struct InvalidId {
    /// The prefix that the kind of id has.
    pub prefix: &'static str,
}

fn encode(id: Uuid, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let value = id.as_u128();
    let mut text = [0_u8; TEXT_LENGTH];
    for (position, slot) in text.iter_mut().enumerate() {
        let shift = 5 * (TEXT_LENGTH - 1 - position);
        *slot = ALPHABET[((value >> shift) & 31) as usize];
    }
    out.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

fn decode(text: &str) -> Option<Uuid> {
    let bytes = text.as_bytes();
    // 26 × 5 = 130 bits: the first character carries only three of them.
    if bytes.len() != TEXT_LENGTH || bytes[0] > b'7' {
        return None;
    }
    bytes
        .iter()
        .try_fold(0_u128, |value, byte| {
            let digit = ALPHABET.iter().position(|letter| letter == byte)?;
            Some(value << 5 | digit as u128)
        })
        .map(Uuid::from_u128)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What the text form begins with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, ordered after all that were made before it on this node.
            #[must_use]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id that a store holds.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The 128 bits behind the text.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(concat!($prefix, "_"))?;
                encode(self.0, out)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, out)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(Self)
                    .ok_or(InvalidId { prefix: $prefix })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.collect_str(self)
            }
        }
    )+};
}

ids! {
    /// An organization: the workspace that owns members, keys and servers.
    OrganizationId = "org";
    /// A person who can sign in.
    UserId = "usr";
    /// A registered upstream MCP server.
    ServerId = "mcp";
    /// A customer's organization below ours.
    TenantOrgId = "ten";
    /// An end user below ours, who does not sign in.
    TenantUserId = "tus";
    /// One row of the audit log.
    EventId = "evt";
    /// A rule about who reaches which servers.
    PolicyId = "pol";
    /// Some members of an organization, under a name.
    GroupId = "grp";
    /// A named part of an organization.
    ProjectId = "prj";
    /// An invitation into an organization.
    InvitationId = "inv";
    /// One tenant's credential for one server.
    ConnectionId = "con";
    /// An ordered list of tool calls with expectations.
    WorkflowId = "wf";
    /// A change of a workflow that somebody proposes.
    ProposalId = "wfp";
    /// One execution of a workflow.
    RunId = "run";
    /// A group of similar intents.
    TopicId = "top";
    /// Calls of one caller that belong together.
    CallSessionId = "ses";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_form_round_trips(bits in any::<u128>()) {
            let id = OrganizationId::from_uuid(Uuid::from_u128(bits));
            prop_assert_eq!(id.to_string().parse::<OrganizationId>(), Ok(id));
        }

        #[test]
        fn text_form_sorts_like_the_bits(a in any::<u128>(), b in any::<u128>()) {
            let (a, b) = (UserId::from_uuid(Uuid::from_u128(a)), UserId::from_uuid(Uuid::from_u128(b)));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,40}") {
            let _ = text.parse::<ServerId>();
        }
    }

    #[test]
    fn an_id_of_another_kind_does_not_parse() {
        let server = ServerId::new().to_string();
        assert_eq!(server.parse::<UserId>(), Err(InvalidId { prefix: "usr" }));
    }

    #[test]
    fn an_overflowing_first_character_does_not_parse() {
        assert!("org_80000000000000000000000000".parse::<OrganizationId>().is_err());
        assert!("org_7zzzzzzzzzzzzzzzzzzzzzzzzz".parse::<OrganizationId>().is_ok());
    }
}
