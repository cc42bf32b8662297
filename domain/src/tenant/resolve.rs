//! The tenancy table of the contract (design §4), as two pure functions.
//!
//! [`claim`] needs the key and the parameters alone; [`TenantClaim::admit`] needs what the store knows of the claimed
//! tenant. Between them stands one look-up, which a cache answers: resolving costs the same for a key with a million
//! allowed tenants as for one with two.

use super::allowed::TenantRule;
use super::params::{TenantField, TenantParams, TenantText};
use crate::access::Actor;
use crate::id::{TenantOrgId, TenantUserId};
use crate::key::KeyFacts;
use crate::organization::{OrganizationRef, UserRef};

/// Whether a route needs a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// `/mcp`, `/mcp-connect/…`, `/api/v1/connections`: a client or platform key must name its tenant.
    Tenant,
    /// Everywhere else the parameters are optional filters, with the same checks.
    Elsewhere,
}

/// Why a request's tenant was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TenantRefusal {
    /// The key's type needs the parameter here.
    #[error("{} is required", field.as_str())]
    Required {
        /// The missing parameter.
        field: TenantField,
    },
    /// Well formed, but not the key's to speak for. Says nothing about whether the tenant exists.
    #[error("this key may not speak for that tenant")]
    NotAllowed,
    /// The tenant is suspended.
    #[error("the tenant is suspended")]
    Suspended,
}

/// Whom a request asks to speak for, before the store was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TenantClaim {
    /// A solo key's owner.
    Owner,
    /// The organization as a whole.
    Organization,
    /// A tenant below the organization; at least one of the two is there.
    Below {
        /// The tenant org.
        org: Option<TenantText>,
        /// The tenant user, below the tenant org or directly below the organization.
        user: Option<TenantText>,
    },
}

/// What the store knows of one tenant org or tenant user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence<I> {
    /// Never seen.
    Unknown,
    /// Known and in order.
    Active(I),
    /// Known and suspended.
    Suspended(I),
}

/// What the store knows of a claimed tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether the key's list has it. Only asked of keys that have a list.
    pub listed: bool,
    /// The tenant org; none when the claim names none.
    pub org: Option<Presence<TenantOrgId>>,
    /// The tenant user; none when the claim names none.
    pub user: Option<Presence<TenantUserId>>,
}

/// The tenant of a request, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenant {
    /// The person behind the request: a solo key's owner, or a member.
    Owner,
    /// The organization as a whole.
    Organization,
    /// A tenant below the organization.
    Below {
        /// The tenant org and the caller's id for it.
        org: Option<(TenantOrgId, TenantText)>,
        /// The tenant user and the caller's id for it.
        user: Option<(TenantUserId, TenantText)>,
    },
}

impl Tenant {
    /// The tenant org's id in the caller's words.
    #[must_use]
    pub fn org(&self) -> Option<&TenantText> {
        match self {
            Self::Below { org: Some((_, text)), .. } => Some(text),
            _ => None,
        }
    }

    /// The tenant user's id in the caller's words.
    #[must_use]
    pub fn user(&self) -> Option<&TenantText> {
        match self {
            Self::Below { user: Some((_, text)), .. } => Some(text),
            _ => None,
        }
    }
}

/// Who asks to speak for a tenant.
#[derive(Debug, Clone, Copy)]
pub struct Speaker<'a> {
    /// Whom it may speak for. A person who signed in is like a solo key.
    pub rule: TenantRule,
    /// Its organization.
    pub organization: &'a OrganizationRef,
    /// The person behind it.
    pub user: &'a UserRef,
}

impl<'a> From<&'a KeyFacts> for Speaker<'a> {
    fn from(key: &'a KeyFacts) -> Self {
        Self { rule: key.tenants, organization: &key.organization, user: &key.owner }
    }
}

impl<'a> From<&'a Actor> for Speaker<'a> {
    fn from(actor: &'a Actor) -> Self {
        match actor {
            Actor::Key(key) => (&**key).into(),
            Actor::Member(member) => {
                Self { rule: TenantRule::Owner, organization: &member.organization, user: &member.user }
            }
        }
    }
}

/// The first half of the table: what the key's type makes of the two parameters.
///
/// # Errors
/// [`TenantRefusal::Required`] or [`TenantRefusal::NotAllowed`].
pub fn claim<'a>(
    speaker: impl Into<Speaker<'a>>,
    surface: Surface,
    params: TenantParams,
) -> Result<TenantClaim, TenantRefusal> {
    let speaker = speaker.into();
    use TenantField::{OrgId, UserId};
    let required = |field| Err(TenantRefusal::Required { field });
    let TenantParams { org, user } = params;
    let names_own_organization = |org: &TenantText| {
        org.as_str() == &*speaker.organization.slug || org.as_str() == speaker.organization.id.to_string()
    };
    match speaker.rule {
        TenantRule::Owner => {
            let own = org.as_ref().is_none_or(names_own_organization)
                && user.is_none_or(|user| user.as_str() == speaker.user.id.to_string());
            if own { Ok(TenantClaim::Owner) } else { Err(TenantRefusal::NotAllowed) }
        }
        TenantRule::Users { .. } => match (user, org) {
            (None, _) if surface == Surface::Tenant => required(UserId),
            (_, Some(org)) if !names_own_organization(&org) => Err(TenantRefusal::NotAllowed),
            (None, _) => Ok(TenantClaim::Organization),
            (user @ Some(_), _) => Ok(TenantClaim::Below { org: None, user }),
        },
        TenantRule::Orgs { .. } => match (org, user) {
            (None, Some(_)) => required(OrgId),
            (None, None) if surface == Surface::Tenant => required(OrgId),
            (None, None) => Ok(TenantClaim::Organization),
            (Some(_), None) if surface == Surface::Tenant => required(UserId),
            (org @ Some(_), user) => Ok(TenantClaim::Below { org, user }),
        },
    }
}

/// What comes of a claim once the store was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// The tenant is known: go on.
    Known(Tenant),
    /// Allowed and never seen: create it, then go on.
    FirstUse,
}

impl TenantClaim {
    /// The second half of the table. "Not allowed" is decided before anything about the tenant is looked at, so that
    /// its answer cannot tell a known tenant from an unknown one.
    ///
    /// # Errors
    /// [`TenantRefusal::NotAllowed`] or [`TenantRefusal::Suspended`].
    pub fn admit(&self, rule: TenantRule, standing: &Standing) -> Result<Admission, TenantRefusal> {
        let (org, user) = match self {
            Self::Owner => return Ok(Admission::Known(Tenant::Owner)),
            Self::Organization => return Ok(Admission::Known(Tenant::Organization)),
            Self::Below { org, user } => (org, user),
        };
        if rule.needs_list() && !standing.listed {
            return Err(TenantRefusal::NotAllowed);
        }
        let org = present(org.as_ref(), standing.org)?;
        let user = present(user.as_ref(), standing.user)?;
        Ok(match (org, user) {
            (Some(org), Some(user)) => Admission::Known(Tenant::Below { org: org.into(), user: user.into() }),
            _ => Admission::FirstUse,
        })
    }
}

/// A claimed part that is known; `Named::None` when none was claimed.
#[derive(Debug)]
enum Named<I> {
    None,
    Known(I, TenantText),
}

impl<I> From<Named<I>> for Option<(I, TenantText)> {
    fn from(named: Named<I>) -> Self {
        match named {
            Named::None => None,
            Named::Known(id, text) => Some((id, text)),
        }
    }
}

/// `Ok(None)` stands for "claimed and never seen".
fn present<I>(claimed: Option<&TenantText>, presence: Option<Presence<I>>) -> Result<Option<Named<I>>, TenantRefusal> {
    let Some(text) = claimed else { return Ok(Some(Named::None)) };
    match presence {
        None | Some(Presence::Unknown) => Ok(None),
        Some(Presence::Active(id)) => Ok(Some(Named::Known(id, text.clone()))),
        Some(Presence::Suspended(_)) => Err(TenantRefusal::Suspended),
    }
}
