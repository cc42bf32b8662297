//! Changes as other nodes read them, in JSON. Nodes of the version before and after read each other's: fields and kinds
//! are only ever added, and a kind that a node does not know is not passed over (`super::Caches::forget_everything`).

use std::str::FromStr;

use domain::connection::Holder;
use domain::id::{OrganizationId, ServerId, TenantOrgId, TenantUserId, UserId};
use domain::key::{Digest, KeyId};
use domain::tenant::TenantText;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::change::Change;
use super::keys::TokenPlace;

/// The text is not one that this version reads.
#[derive(Debug, thiserror::Error)]
#[error("changes that this version cannot read")]
pub struct Unreadable(#[source] Option<serde_json::Error>);

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Wire {
    KeyEnded { key: String, tokens: Vec<WireToken> },
    KeyChanged { key: String, tokens: Vec<WireToken> },
    OrganizationChanged { organization: String },
    MemberEnded { organization: String, person: String },
    AccessChanged { organization: String },
    ServerAdded { organization: String },
    ServerChanged { organization: String, server: String, slug: String },
    ConnectionChanged { organization: String, holder: WireHolder, server: String },
    ConnectionsOf { organization: String, person: String },
    ConnectionsTo { organization: String, server: String },
    TenantOrgChanged { organization: String, id: String, org: String, suspended: bool },
    TenantUserChanged { organization: String, id: String, org: Option<String>, user: String, suspended: bool },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireHolder {
    Person(String),
    TenantUser(String),
}

#[derive(Serialize, Deserialize)]
struct WireToken {
    digest: String,
    issue: i32,
    until: Option<i64>,
    earlier: bool,
}

/// The text of some changes.
///
/// # Errors
/// Never in practice: there is nothing in a change that JSON has no form for.
pub fn write(changes: &[Change]) -> Result<String, serde_json::Error> {
    serde_json::to_string(&changes.iter().map(Wire::from).collect::<Vec<_>>())
}

/// The changes of a text, in their order.
///
/// # Errors
/// [`Unreadable`] when one of them is of a kind that this version does not know, or has not the form that it knows.
pub fn read(text: &str) -> Result<Vec<Change>, Unreadable> {
    let wires: Vec<Wire> = serde_json::from_str(text).map_err(|error| Unreadable(Some(error)))?;
    wires.into_iter().map(|wire| change(wire).ok_or(Unreadable(None))).collect()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes().as_chunks::<2>().0;
    let bytes: Vec<u8> = digits
        .iter()
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<_>>()?;
    (text.len() == 64).then_some(())?;
    bytes.try_into().ok()
}

fn wire_tokens(tokens: &[TokenPlace]) -> Vec<WireToken> {
    let wire = |token: &TokenPlace| WireToken {
        digest: hex(token.digest.as_bytes()),
        issue: token.issue,
        until: token.until.map(Timestamp::as_micros),
        earlier: token.earlier,
    };
    tokens.iter().map(wire).collect()
}

fn tokens(wires: Vec<WireToken>) -> Option<Vec<TokenPlace>> {
    let token = |wire: WireToken| {
        Some(TokenPlace {
            digest: Digest::from_bytes(unhex(&wire.digest)?),
            issue: wire.issue,
            until: wire.until.map(Timestamp::from_micros),
            earlier: wire.earlier,
        })
    };
    wires.into_iter().map(token).collect()
}

impl From<&Change> for Wire {
    fn from(change: &Change) -> Self {
        match change {
            Change::KeyEnded { key, tokens } => {
                Self::KeyEnded { key: key.as_token_part().to_owned(), tokens: wire_tokens(tokens) }
            }
            Change::KeyChanged { key, tokens } => {
                Self::KeyChanged { key: key.as_token_part().to_owned(), tokens: wire_tokens(tokens) }
            }
            Change::OrganizationChanged(organization) => {
                Self::OrganizationChanged { organization: organization.to_string() }
            }
            Change::MemberEnded { organization, person } => {
                Self::MemberEnded { organization: organization.to_string(), person: person.to_string() }
            }
            Change::AccessChanged(organization) => Self::AccessChanged { organization: organization.to_string() },
            Change::ServerAdded(organization) => Self::ServerAdded { organization: organization.to_string() },
            Change::ServerChanged { organization, server, slug } => Self::ServerChanged {
                organization: organization.to_string(),
                server: server.to_string(),
                slug: slug.to_string(),
            },
            Change::ConnectionChanged((organization, holder, server)) => Self::ConnectionChanged {
                organization: organization.to_string(),
                holder: match holder {
                    Holder::Person(id) => WireHolder::Person(id.to_string()),
                    Holder::TenantUser(id) => WireHolder::TenantUser(id.to_string()),
                },
                server: server.to_string(),
            },
            Change::ConnectionsOf { organization, person } => {
                Self::ConnectionsOf { organization: organization.to_string(), person: person.to_string() }
            }
            Change::ConnectionsTo { organization, server } => {
                Self::ConnectionsTo { organization: organization.to_string(), server: server.to_string() }
            }
            Change::TenantOrgChanged { organization, id, org, suspended } => Self::TenantOrgChanged {
                organization: organization.to_string(),
                id: id.to_string(),
                org: org.as_str().to_owned(),
                suspended: *suspended,
            },
            Change::TenantUserChanged { organization, id, org, user, suspended } => Self::TenantUserChanged {
                organization: organization.to_string(),
                id: id.to_string(),
                org: org.as_ref().map(|org| org.as_str().to_owned()),
                user: user.as_str().to_owned(),
                suspended: *suspended,
            },
        }
    }
}

fn id<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn change(wire: Wire) -> Option<Change> {
    let organization = |text: &str| id::<OrganizationId>(text);
    let person = |text: &str| id::<UserId>(text);
    let server_id = |text: &str| id::<ServerId>(text);
    let key_id = |text: &str| KeyId::from_token_part(text).ok();
    let tenant = |text: &str| TenantText::new(text).ok();
    Some(match wire {
        Wire::KeyEnded { key, tokens: wires } => Change::KeyEnded { key: key_id(&key)?, tokens: tokens(wires)? },
        Wire::KeyChanged { key, tokens: wires } => Change::KeyChanged { key: key_id(&key)?, tokens: tokens(wires)? },
        Wire::OrganizationChanged { organization: of } => Change::OrganizationChanged(organization(&of)?),
        Wire::MemberEnded { organization: of, person: who } => {
            Change::MemberEnded { organization: organization(&of)?, person: person(&who)? }
        }
        Wire::AccessChanged { organization: of } => Change::AccessChanged(organization(&of)?),
        Wire::ServerAdded { organization: of } => Change::ServerAdded(organization(&of)?),
        Wire::ServerChanged { organization: of, server, slug } => Change::ServerChanged {
            organization: organization(&of)?,
            server: server_id(&server)?,
            slug: slug.parse().ok()?,
        },
        Wire::ConnectionChanged { organization: of, holder, server } => {
            let holder = match holder {
                WireHolder::Person(who) => Holder::Person(person(&who)?),
                WireHolder::TenantUser(who) => Holder::TenantUser(id::<TenantUserId>(&who)?),
            };
            Change::ConnectionChanged((organization(&of)?, holder, server_id(&server)?))
        }
        Wire::ConnectionsOf { organization: of, person: who } => {
            Change::ConnectionsOf { organization: organization(&of)?, person: person(&who)? }
        }
        Wire::ConnectionsTo { organization: of, server } => {
            Change::ConnectionsTo { organization: organization(&of)?, server: server_id(&server)? }
        }
        Wire::TenantOrgChanged { organization: of, id: row, org, suspended } => Change::TenantOrgChanged {
            organization: organization(&of)?,
            id: id::<TenantOrgId>(&row)?,
            org: tenant(&org)?,
            suspended,
        },
        Wire::TenantUserChanged { organization: of, id: row, org, user, suspended } => Change::TenantUserChanged {
            organization: organization(&of)?,
            id: id::<TenantUserId>(&row)?,
            org: match org {
                Some(org) => Some(tenant(&org)?),
                None => None,
            },
            user: tenant(&user)?,
            suspended,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_change() -> Vec<Change> {
        let (organization, person, server) = (OrganizationId::new(), UserId::new(), ServerId::new());
        let key = KeyId::from_token_part("7Gk2mQ0xZt4Rv9Ab").expect("an id");
        let token = |issue, until: Option<i64>, earlier| TokenPlace {
            digest: Digest::from_bytes([0xa7; 32]),
            issue,
            until: until.map(Timestamp::from_micros),
            earlier,
        };
        let text = |text| TenantText::new(text).expect("an id");
        vec![
            Change::KeyEnded { key, tokens: vec![token(1, None, false), token(2, Some(-5), true)] },
            Change::KeyChanged { key, tokens: vec![] },
            Change::OrganizationChanged(organization),
            Change::MemberEnded { organization, person },
            Change::AccessChanged(organization),
            Change::ServerAdded(organization),
            Change::ServerChanged { organization, server, slug: "notes".parse().expect("a slug") },
            Change::ConnectionChanged((organization, Holder::Person(person), server)),
            Change::ConnectionChanged((organization, Holder::TenantUser(TenantUserId::new()), server)),
            Change::ConnectionsOf { organization, person },
            Change::ConnectionsTo { organization, server },
            Change::TenantOrgChanged { organization, id: TenantOrgId::new(), org: text("a \"b\" ü"), suspended: true },
            Change::TenantUserChanged {
                organization,
                id: TenantUserId::new(),
                org: None,
                user: text("marina"),
                suspended: false,
            },
            Change::TenantUserChanged {
                organization,
                id: TenantUserId::new(),
                org: Some(text("globex")),
                user: text("marina"),
                suspended: true,
            },
        ]
    }

    #[test]
    fn every_change_is_read_as_it_was_written() {
        let changes = every_change();
        let text = write(&changes).expect("a text");
        assert_eq!(read(&text).expect("readable"), changes);
        for change in &changes {
            let kind = format!("{change:?}");
            let kind = kind.split([' ', '(']).next().expect("a name");
            assert!(text.contains(&kind_text(kind)), "{kind}");
        }
    }

    fn kind_text(name: &str) -> String {
        let mut text = String::new();
        for letter in name.chars() {
            if letter.is_uppercase() && !text.is_empty() {
                text.push('_');
            }
            text.extend(letter.to_lowercase());
        }
        text
    }

    #[test]
    fn fields_that_came_later_are_passed_over_and_kinds_are_not() {
        let organization = OrganizationId::new();
        let more = format!(r#"[{{"kind":"access_changed","organization":"{organization}","why":"x"}}]"#);
        assert_eq!(read(&more).expect("readable"), [Change::AccessChanged(organization)]);
        for unknown in [
            format!(r#"[{{"kind":"weather_changed","organization":"{organization}"}}]"#),
            r#"[{"kind":"access_changed","organization":"usr_1"}]"#.to_owned(),
            r#"[{"kind":"key_ended","key":"7Gk2mQ0xZt4Rv9Ab","tokens":[{"digest":"a7","issue":1,"until":null,"earlier":false}]}]"#
                .to_owned(),
            "{}".to_owned(),
            String::new(),
        ] {
            assert!(read(&unknown).is_err(), "{unknown}");
        }
    }
}
