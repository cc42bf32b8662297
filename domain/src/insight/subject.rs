//! What a line of a slice is about, packed: slices have many lines, and only the few that are shown are read.

use uuid::Uuid;

use super::derived;
use crate::id::{ServerId, TopicId};
use crate::key::KeyId;
use crate::tenant::TenantText;
use crate::varint::{take_bytes, write_bytes};

/// A tenant, in its callers' words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TenantName {
    /// The tenant org.
    pub org: Option<TenantText>,
    /// The tenant user.
    pub user: Option<TenantText>,
}

impl TenantName {
    /// The tenant with these ids; none when there is neither.
    #[must_use]
    pub fn of(org: Option<&TenantText>, user: Option<&TenantText>) -> Option<Self> {
        (org.is_some() || user.is_some()).then(|| Self { org: org.cloned(), user: user.cloned() })
    }

    /// The tenant org as a whole, of a user below it.
    #[must_use]
    pub fn whole_org(&self) -> Option<Self> {
        (self.org.is_some() && self.user.is_some()).then(|| Self { org: self.org.clone(), user: None })
    }
}

/// The id under which a tenant's slices and sessions stand.
#[must_use]
pub fn tenant_scope(tenant: &TenantName) -> Uuid {
    derived("keyrack insights tenant v1", &[&tenant_bytes(tenant)])
}

fn tenant_bytes(tenant: &TenantName) -> Vec<u8> {
    let mut bytes = Vec::new();
    // An id has at least one byte, so that none and empty are one.
    for part in [&tenant.org, &tenant.user] {
        write_bytes(part.as_ref().map_or("", TenantText::as_str).as_bytes(), &mut bytes);
    }
    bytes
}

/// What a line is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A server.
    Server(ServerId),
    /// A tool of a server.
    Tool(ServerId, String),
    /// A key.
    Key(KeyId),
    /// A tenant.
    Tenant(TenantName),
    /// A topic.
    Topic(TopicId),
}

impl Subject {
    /// Its bytes: those of one dimension are told apart by them, and those of two are never compared.
    #[must_use]
    pub fn to_bytes(&self) -> Box<[u8]> {
        match self {
            Self::Server(server) => server_bytes(*server),
            Self::Tool(server, tool) => tool_bytes(*server, tool),
            Self::Key(key) => key.as_token_part().as_bytes().into(),
            Self::Tenant(tenant) => tenant_bytes(tenant).into(),
            Self::Topic(topic) => topic.as_uuid().as_bytes().as_slice().into(),
        }
    }

    /// The server of these bytes.
    #[must_use]
    pub fn server(bytes: &[u8]) -> Option<ServerId> {
        Uuid::from_slice(bytes).ok().map(ServerId::from_uuid)
    }

    /// The server and the tool of these bytes.
    #[must_use]
    pub fn tool(bytes: &[u8]) -> Option<(ServerId, &str)> {
        let (server, tool) = bytes.split_at_checked(16)?;
        Some((Self::server(server)?, std::str::from_utf8(tool).ok()?))
    }

    /// The key of these bytes.
    #[must_use]
    pub fn key(bytes: &[u8]) -> Option<KeyId> {
        std::str::from_utf8(bytes).ok().and_then(|text| KeyId::from_token_part(text).ok())
    }

    /// The tenant of these bytes.
    #[must_use]
    pub fn tenant(mut bytes: &[u8]) -> Option<TenantName> {
        let mut part = || {
            let text = std::str::from_utf8(take_bytes(&mut bytes)?).ok()?;
            Some(if text.is_empty() { None } else { Some(TenantText::new(text).ok()?) })
        };
        Some(TenantName { org: part()?, user: part()? })
    }

    /// The topic of these bytes.
    #[must_use]
    pub fn topic(bytes: &[u8]) -> Option<TopicId> {
        Uuid::from_slice(bytes).ok().map(TopicId::from_uuid)
    }
}

pub(super) fn server_bytes(server: ServerId) -> Box<[u8]> {
    server.as_uuid().as_bytes().as_slice().into()
}

pub(super) fn tool_bytes(server: ServerId, tool: &str) -> Box<[u8]> {
    [server.as_uuid().as_bytes().as_slice(), tool.as_bytes()].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> TenantText {
        TenantText::new(text).expect("an id")
    }

    #[test]
    fn every_subject_is_read_from_its_bytes() {
        let (server, topic) = (ServerId::new(), TopicId::new());
        assert_eq!(Subject::server(&Subject::Server(server).to_bytes()), Some(server));
        assert_eq!(Subject::tool(&Subject::Tool(server, "add".to_owned()).to_bytes()), Some((server, "add")));
        let key = KeyId::from_token_part("0123456789abcdef").expect("an id");
        assert_eq!(Subject::key(&Subject::Key(key).to_bytes()), Some(key));
        assert_eq!(Subject::topic(&Subject::Topic(topic).to_bytes()), Some(topic));
        for tenant in [
            TenantName { org: Some(text("globex")), user: Some(text("marina")) },
            TenantName { org: None, user: Some(text("marina")) },
            TenantName { org: Some(text("globex")), user: None },
        ] {
            assert_eq!(Subject::tenant(&Subject::Tenant(tenant.clone()).to_bytes()), Some(tenant));
        }
    }

    #[test]
    fn tenants_that_read_alike_side_by_side_are_two() {
        let (a, b) = (
            TenantName { org: Some(text("ab")), user: Some(text("c")) },
            TenantName { org: Some(text("a")), user: Some(text("bc")) },
        );
        assert_ne!(tenant_scope(&a), tenant_scope(&b));
        assert_ne!(tenant_scope(&a), tenant_scope(&a.whole_org().expect("below an org")));
    }
}
