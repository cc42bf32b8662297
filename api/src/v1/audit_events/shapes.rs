//! Events and checkpoints as JSON has them: with every field that a hash or a signature covers, so that whoever has a copy
//! can compute them again.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::audit::chain::ChainHash;
use domain::audit::checkpoint::{Checkpoint, Closing, SignedCheckpoint};
use domain::audit::entry::AuditEntry;
use domain::audit::verify::Link;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An event of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditEventShape {
    /// `evt_…`
    #[schema(example = "evt_01kafx5tgyf1na07m4q6nf1sgb")]
    pub id: String,
    /// Its number in the organization's chain, from 1.
    pub seq: i64,
    /// When, to the microsecond.
    #[schema(format = DateTime, example = "2026-11-21T12:00:00.000123Z")]
    pub at: String,
    /// `org_…`
    pub organization: String,
    /// Who.
    pub actor: AuditActorShape,
    /// What: `noun.verb`, or the permission that was asked for.
    #[schema(example = "key.create")]
    pub action: String,
    /// To what.
    pub target: AuditTargetShape,
    /// On whose behalf; null for none below the organization.
    pub tenant: Option<AuditTenantShape>,
    /// `allowed`, `refused` or `error`.
    #[schema(example = "allowed")]
    pub outcome: String,
    /// The code that the caller got; null when it was done.
    pub code: Option<String>,
    /// More than the caller was told.
    pub reason: Option<String>,
    /// The request's id, as in `X-Request-Id`.
    pub request_id: Option<String>,
    /// `hash` of the event before, 64 hexadecimal digits; zeros for the first.
    pub previous_hash: String,
    /// BLAKE3 over the event and `previousHash`.
    pub hash: String,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditActorShape {
    /// `key`, `member`, `anonymous` or `system`.
    pub kind: String,
    /// `key_…` or `usr_…`
    pub id: Option<String>,
    /// The key's name or the person's e-mail address at that time.
    pub name: Option<String>,
}

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditTargetShape {
    /// `organization`, `key`, `server`, `user`, `policy`, `group`, `project`, `invitation` or `tenant`.
    pub kind: String,
    /// Its id; null for a tenant, which `tenant` names.
    pub id: Option<String>,
}

/// On whose behalf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditTenantShape {
    /// The tenant org.
    pub org: Option<AuditTenantPart>,
    /// The tenant user.
    pub user: Option<AuditTenantPart>,
}

/// A tenant org or tenant user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditTenantPart {
    /// The caller's own id.
    pub id: String,
}

impl From<&Link> for AuditEventShape {
    fn from(link: &Link) -> Self {
        let entry = &link.entry;
        let part = |id: &Option<String>| id.clone().map(|id| AuditTenantPart { id });
        let tenant = AuditTenantShape { org: part(&entry.tenant_org), user: part(&entry.tenant_user) };
        Self {
            id: entry.id.to_string(),
            seq: link.seq,
            at: entry.at.exact(),
            organization: entry.organization.to_string(),
            actor: AuditActorShape {
                kind: entry.actor_kind.to_string(),
                id: entry.actor_id.clone(),
                name: entry.actor_name.clone(),
            },
            action: entry.action.to_string(),
            target: AuditTargetShape { kind: entry.target_kind.to_string(), id: entry.target_id.clone() },
            tenant: (tenant.org.is_some() || tenant.user.is_some()).then_some(tenant),
            outcome: entry.outcome.to_string(),
            code: entry.code.as_ref().map(ToString::to_string),
            reason: entry.reason.clone(),
            request_id: entry.request_id.map(|id| id.to_string()),
            previous_hash: link.previous.to_string(),
            hash: link.hash.to_string(),
        }
    }
}

impl AuditEventShape {
    /// The event behind the JSON; none when a value cannot be one of ours.
    #[must_use]
    pub fn into_link(self) -> Option<Link> {
        let (org, user) = self.tenant.map_or((None, None), |tenant| (tenant.org, tenant.user));
        let part = |part: Option<AuditTenantPart>| part.map(|part| part.id);
        Some(Link {
            seq: self.seq,
            previous: self.previous_hash.parse().ok()?,
            hash: self.hash.parse().ok()?,
            entry: AuditEntry {
                organization: self.organization.parse().ok()?,
                id: self.id.parse().ok()?,
                at: Timestamp::parse(&self.at).ok()?,
                actor_kind: self.actor.kind.into(),
                actor_id: self.actor.id,
                actor_name: self.actor.name,
                action: self.action.into(),
                target_kind: self.target.kind.into(),
                target_id: self.target.id,
                tenant_org: part(org),
                tenant_user: part(user),
                outcome: self.outcome.into(),
                code: self.code.map(Into::into),
                reason: self.reason,
                request_id: self.request_id.map(|id| id.parse()).transpose().ok()?,
            },
        })
    }
}

/// A checkpoint's line of an export: `{"checkpoint":{…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointLine {
    checkpoint: CheckpointShape,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CheckpointShape {
    organization: String,
    seq: i64,
    hash: String,
    at: String,
    closes: Option<ClosingShape>,
    kid: String,
    public_key: String,
    signature: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClosingShape {
    first: i64,
    previous_hash: String,
    from: Option<String>,
    to: Option<String>,
    content: String,
}

impl From<&SignedCheckpoint> for CheckpointLine {
    fn from(signed: &SignedCheckpoint) -> Self {
        let checkpoint = &signed.checkpoint;
        let closes = checkpoint.closes.as_ref().map(|closing| ClosingShape {
            first: closing.first,
            previous_hash: closing.previous.to_string(),
            from: closing.from.map(Timestamp::exact),
            to: closing.to.map(Timestamp::exact),
            content: ChainHash::from_bytes(closing.content).to_string(),
        });
        Self {
            checkpoint: CheckpointShape {
                organization: checkpoint.organization.to_string(),
                seq: checkpoint.seq,
                hash: checkpoint.hash.to_string(),
                at: checkpoint.at.exact(),
                closes,
                kid: signed.kid.clone(),
                public_key: URL_SAFE_NO_PAD.encode(&signed.public_key),
                signature: URL_SAFE_NO_PAD.encode(&signed.signature),
            },
        }
    }
}

impl CheckpointLine {
    /// The checkpoint behind the JSON; none when a value cannot be one of ours.
    #[must_use]
    pub fn into_signed(self) -> Option<SignedCheckpoint> {
        let shape = self.checkpoint;
        let time = |text: Option<String>| text.map(|text| Timestamp::parse(&text)).transpose().ok();
        let closes = match shape.closes {
            None => None,
            Some(closing) => Some(Closing {
                first: closing.first,
                previous: closing.previous_hash.parse().ok()?,
                from: time(closing.from)?,
                to: time(closing.to)?,
                content: *closing.content.parse::<ChainHash>().ok()?.as_bytes(),
            }),
        };
        Some(SignedCheckpoint {
            checkpoint: Checkpoint {
                organization: shape.organization.parse().ok()?,
                seq: shape.seq,
                hash: shape.hash.parse().ok()?,
                at: Timestamp::parse(&shape.at).ok()?,
                closes,
            },
            kid: shape.kid,
            public_key: URL_SAFE_NO_PAD.decode(shape.public_key).ok()?,
            signature: URL_SAFE_NO_PAD.decode(shape.signature).ok()?,
        })
    }
}
