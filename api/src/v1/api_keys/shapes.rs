//! A key as people see it.

use domain::access::Permission;
use domain::field::FieldErrors;
use domain::key::model::EarlierToken;
use domain::key::port::ListedServer;
use domain::key::service::KeyView;
use domain::key::{InvalidRateLimit, RateLimit};
use domain::receipt::{LetGo, Receipt};
use domain::tenant::{AllowedTenants, Allowing, TenantRule};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::tenants::TenantsShape;
use crate::v1::{AnyOr, PersonShape, time};

/// Whom a key may speak for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyTypeName {
    /// One person: the key's owner.
    Solo,
    /// One company; its people connect with `?user_id=`.
    Client,
    /// A SaaS with many customers; `?org_id=` and `?user_id=`.
    Platform,
}

/// A role.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoleName {
    /// Reads.
    Viewer,
    /// Writes.
    Editor,
    /// Manages.
    Admin,
    /// Everything.
    Owner,
}

/// A key. Its token is shown once, when it is created.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyShape {
    /// `key_…`
    #[schema(example = "key_7Gk2mQ0xZt4Rv9Ab")]
    id: String,
    /// What its owner calls it.
    #[schema(example = "CI runner")]
    name: String,
    /// A longer explanation.
    description: Option<String>,
    /// Enough to recognize the token by.
    #[schema(example = "kr_7Gk2mQ0xZt4Rv9Ab_…")]
    hint: String,
    /// `solo`, `client` or `platform`.
    #[serde(rename = "type")]
    #[schema(example = "solo")]
    kind: &'static str,
    /// The role, frozen when the key was created.
    #[schema(example = "editor")]
    role: &'static str,
    /// What it may do.
    permissions: Vec<&'static str>,
    /// `"*"` for every server, or the servers that it lists.
    #[schema(schema_with = AnyOr::<ServerRefShape>::field_schema)]
    servers: AnyOr<ServerRefShape>,
    /// How many servers it reaches now.
    server_count: u64,
    /// The tenants that it may speak for; null for a solo key. At most 1000 of a list are shown, in lists of keys 20.
    tenants: Option<TenantsShape>,
    /// How many entries the list of tenants has; null without a list.
    tenant_count: Option<u64>,
    /// The limit of its own.
    rate_limit: Option<RateLimitShape>,
    /// When it was created, RFC 3339 UTC.
    created_at: String,
    /// By whom.
    created_by: PersonShape,
    /// When it last made a valid request, to the minute.
    last_used_at: Option<String>,
    /// When it ends; null for never.
    expires_at: Option<String>,
    /// When it was revoked.
    revoked_at: Option<String>,
    /// Tokens that were rotated away and still work, newest first.
    previous_tokens: Vec<EarlierTokenShape>,
    /// Whether the frozen role is more than its owner's role now. Also when the owner is no active member, and the key
    /// therefore works for nobody.
    role_above_owner: bool,
    /// Listed servers that the key cannot reach now.
    unreachable_servers: Vec<ServerRefShape>,
}

/// A token that was rotated away and still works.
#[expect(clippy::struct_field_names, reason = "the fields' names in JSON")]
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EarlierTokenShape {
    /// When it was issued.
    created_at: String,
    /// From when on it is refused.
    ends_at: String,
    /// When it last made a valid request, to the minute.
    last_used_at: Option<String>,
}

impl From<&EarlierToken> for EarlierTokenShape {
    fn from(token: &EarlierToken) -> Self {
        Self {
            created_at: time(token.created_at),
            ends_at: time(token.ends_at),
            last_used_at: token.last_used_at.map(time),
        }
    }
}

/// A server by its names.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServerRefShape {
    /// `mcp_…`
    id: String,
    /// Name for addresses.
    slug: String,
    /// Name for people.
    name: String,
}

/// At most so many requests in any so many seconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimitShape {
    /// Requests.
    #[schema(minimum = 1, maximum = 1_000_000_000, example = 600)]
    requests: u32,
    /// Seconds; at most a day.
    #[schema(minimum = 1, maximum = 86_400, example = 60)]
    per_seconds: u32,
}

impl RateLimitShape {
    /// Checks the numbers; `rateLimit` is where the shape stands in requests.
    pub fn parse(self, errors: &mut FieldErrors) -> Option<RateLimit> {
        RateLimit::new(self.requests, self.per_seconds)
            .map_err(|fault| match fault {
                InvalidRateLimit::Requests => errors.add("rateLimit.requests", fault),
                InvalidRateLimit::Seconds => errors.add("rateLimit.perSeconds", fault),
            })
            .ok()
    }
}

impl From<RateLimit> for RateLimitShape {
    fn from(limit: RateLimit) -> Self {
        Self { requests: limit.requests(), per_seconds: limit.per_seconds() }
    }
}

/// A key and its token, once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedShape {
    /// The key.
    pub api_key: ApiKeyShape,
    /// The token. It is not stored and cannot be shown again.
    pub token: String,
}

/// A key that an earlier request with the same `Idempotency-Key` created.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedBeforeShape {
    /// The key, as it was when it was created.
    pub api_key: ApiKeyShape,
    /// Null: the token was shown once, in the first answer. If that was lost, rotate the key.
    #[schema(schema_with = null, required = true)]
    pub token: Option<String>,
}

fn null() -> Object {
    ObjectBuilder::new().schema_type(Type::Null).build()
}

/// A new key with its token; or, when the request was repeated, the key of the first one without it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum CreatedAnswerShape {
    /// The first answer.
    First(CreatedShape),
    /// The answer to a repetition, with the header `Idempotent-Replayed: true`.
    Again(CreatedBeforeShape),
}

/// A revoked key, and which nodes had let go of it when this was answered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevokedShape {
    /// The key.
    pub api_key: ApiKeyShape,
    /// One entry per node.
    pub receipt: Vec<ReceiptShape>,
}

/// A node that had let go of a revoked key.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReceiptShape {
    /// The node, as `KEYRACK_NODE_NAME` calls it.
    #[schema(example = "keys-1")]
    pub node: String,
    /// After how many milliseconds, from when the revocation began to be committed.
    #[schema(example = 0.4)]
    pub ms: f64,
    /// `confirmed`: the node said that it has let go. `lease_over`: it could not be reached, and the time is over for which
    /// it trusts what it remembers.
    #[schema(example = "confirmed")]
    pub why: &'static str,
}

impl ReceiptShape {
    /// The nodes of a receipt, by their names.
    #[must_use]
    pub fn of(receipt: &Receipt) -> Vec<Self> {
        let one = |node: &LetGo| Self {
            node: node.node.clone(),
            ms: node.after.as_secs_f64() * 1000.0,
            why: node.why.as_str(),
        };
        let mut nodes: Vec<Self> = receipt.0.iter().map(one).collect();
        nodes.sort_by(|one, other| one.node.cmp(&other.node));
        nodes
    }
}

fn server_ref(server: &ListedServer) -> ServerRefShape {
    ServerRefShape { id: server.id.to_string(), slug: server.slug.clone(), name: server.name.clone() }
}

fn tenants(view: &KeyView) -> Option<TenantsShape> {
    if let Some((listed, _)) = &view.tenants {
        return Some(listed.into());
    }
    match view.record.facts.tenants {
        TenantRule::Owner => None,
        TenantRule::Users { .. } => Some((&AllowedTenants::Users(Allowing::Any)).into()),
        TenantRule::Orgs { .. } => Some((&AllowedTenants::Orgs(Allowing::Any)).into()),
    }
}

impl From<&KeyView> for ApiKeyShape {
    fn from(view: &KeyView) -> Self {
        let record = &view.record;
        let facts = &record.facts;
        let listed = view.servers.as_deref();
        Self {
            id: facts.id.to_string(),
            name: facts.name.to_string(),
            description: record.description.as_ref().map(ToString::to_string),
            hint: facts.hint.to_string(),
            kind: facts.kind.as_str(),
            role: facts.role.as_str(),
            permissions: facts.permissions.iter().map(Permission::as_str).collect(),
            servers: match listed {
                None => AnyOr::Any,
                Some(servers) => AnyOr::List(servers.iter().map(server_ref).collect()),
            },
            server_count: view.reached,
            tenants: tenants(view),
            tenant_count: view.tenants.as_ref().map(|(_, count)| *count),
            rate_limit: facts.rate_limit.map(RateLimitShape::from),
            created_at: time(record.created_at),
            created_by: PersonShape::from(&facts.owner),
            last_used_at: record.last_used_at.map(time),
            expires_at: facts.expires_at.map(time),
            revoked_at: record.revoked_at.map(time),
            previous_tokens: view.earlier.iter().map(EarlierTokenShape::from).collect(),
            role_above_owner: record.role_above_owner(),
            unreachable_servers: view.unreachable.iter().map(server_ref).collect(),
        }
    }
}
