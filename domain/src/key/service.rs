//! Creating, changing and revoking keys.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::digest::TokenKeys;
use super::model::{EarlierToken, Grace, KeyChange, KeyFacts, KeyRecord, KeyServers, KeyType, NewKey, RateLimit};
use super::port::{
    KeyFilter, KeyOwners, KeyPosition, KeyStore, KeysOf, ListedServer, Revoked, RevokedMany, RotateFault, Rotation,
    TenantsChange, TenantsFault,
};
use super::rules::{above_role, check, check_change, check_expiry};
use super::token::{IssuedToken, KeyId, KeyPrefix, NoRandomness};
use crate::access::permission::{ApiKeysAdminister, ApiKeysRead, ApiKeysWrite, KeysVerify};
use crate::access::rehearse::KeyStanding;
use crate::access::{Denied, Grant, PermissionSet, Role};
use crate::audit::{AuditEvent, AuditTarget};
use crate::field::FieldErrors;
use crate::id::ServerId;
use crate::page::{Page, PageRequest};
use crate::policy::port::AccessDirectory;
use crate::store::{StoreFault, WriteFault};
use crate::tenant::AllowedTenants;
use crate::text::{Description, Name};
use crate::time::{Clock, Timestamp};

/// What the creator of a key asks for, parsed.
#[derive(Debug, Clone)]
pub struct KeyRequest {
    /// The name.
    pub name: Name,
    /// A longer explanation.
    pub description: Option<Description>,
    /// Whom it shall speak for.
    pub kind: KeyType,
    /// Its role; the creator's when not given.
    pub role: Option<Role>,
    /// Its permissions; all that the role allows when not given.
    pub permissions: Option<PermissionSet>,
    /// Its servers; none for all.
    pub servers: Option<HashSet<ServerId>>,
    /// Its tenants; none for the type's default.
    pub tenants: Option<AllowedTenants>,
    /// A limit of its own.
    pub rate_limit: Option<RateLimit>,
    /// Its end.
    pub expires_at: Option<Timestamp>,
}

/// Why a key could not be created, changed or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// Fields that do not fit together, or with the creator's own rights.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// No such key, or not one that the caller may manage.
    #[error("no such key")]
    NotFound,
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The key is revoked and can no longer change.
    #[error("the key is revoked")]
    Revoked,
    /// The key has expired; a new token would be refused too.
    #[error("the key has expired; give it a later expiresAt first")]
    Expired,
    /// Too many earlier tokens still work.
    #[error("{0}")]
    TooManyTokens(String),
    /// No random bytes.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The store could not.
    #[error(transparent)]
    Write(#[from] WriteFault),
}

impl From<StoreFault> for KeyFault {
    fn from(fault: StoreFault) -> Self {
        Self::Write(fault.into())
    }
}

impl From<RotateFault> for KeyFault {
    fn from(fault: RotateFault) -> Self {
        match fault {
            RotateFault::TooMany => Self::TooManyTokens(fault.to_string()),
            RotateFault::Write(fault) => Self::Write(fault),
        }
    }
}

/// A key and its token, as the creator gets them: once.
#[derive(Debug)]
pub struct CreatedKey {
    /// The key.
    pub record: KeyRecord,
    /// The token.
    pub token: IssuedToken,
}

/// Most listed tenants that a key's view shows; their number is always told.
pub const TENANTS_SHOWN: u64 = 1000;
/// Most listed tenants that a key shows among others.
pub const TENANTS_SHOWN_IN_LISTS: u64 = 20;

/// A key as people see it.
#[derive(Debug, Clone)]
pub struct KeyView {
    /// The key.
    pub record: KeyRecord,
    /// The servers that it lists, by slug; none for every server.
    pub servers: Option<Vec<ListedServer>>,
    /// How many servers the key reaches now.
    pub reached: u64,
    /// Those of the listed servers that it does not reach: archived, or closed to its owner.
    pub unreachable: Vec<ListedServer>,
    /// The tenants that it lists, the first [`TENANTS_SHOWN`] of them, and how many there are; none without a list.
    pub tenants: Option<(AllowedTenants, u64)>,
    /// The tokens that were rotated away and still work, newest first.
    pub earlier: Vec<EarlierToken>,
}

/// What shall be different about a key, as it is asked for; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct KeyChangeRequest {
    /// The name.
    pub name: Option<Name>,
    /// The longer explanation; none inside removes it.
    pub description: Option<Option<Description>>,
    /// The permissions; none inside for all that the key's role allows.
    pub permissions: Option<Option<PermissionSet>>,
    /// The servers; none inside for all.
    pub servers: Option<Option<HashSet<ServerId>>>,
    /// The end; none inside for never.
    pub expires_at: Option<Option<Timestamp>>,
    /// The limit; none inside for no limit.
    pub rate_limit: Option<Option<RateLimit>>,
}

/// The use cases of keys.
pub struct KeyService<C> {
    store: Arc<dyn KeyStore>,
    access: Arc<dyn AccessDirectory>,
    token_keys: TokenKeys,
    prefix: KeyPrefix,
    clock: C,
}

impl<C: Clock> KeyService<C> {
    /// Puts the service together. New keys get `prefix`.
    pub fn new(
        store: Arc<dyn KeyStore>,
        access: Arc<dyn AccessDirectory>,
        token_keys: TokenKeys,
        prefix: KeyPrefix,
        clock: C,
    ) -> Self {
        Self { store, access, token_keys, prefix, clock }
    }

    /// Creates a key that belongs to the caller. The event gets the key's id.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub async fn create(
        &self,
        grant: &Grant<ApiKeysWrite>,
        request: KeyRequest,
        event: AuditEvent,
    ) -> Result<CreatedKey, KeyFault> {
        let now = self.clock.now();
        let (role, permissions, tenants) = check(&request, grant.role(), now)?;
        let servers = self.servers(grant, request.servers).await?;
        let token = IssuedToken::issue(&self.prefix, &self.token_keys)?;
        let key = NewKey {
            id: token.key(),
            prefix: self.prefix.as_str().to_owned(),
            organization: grant.organization().id,
            owner: grant.user().id,
            name: request.name,
            description: request.description,
            kind: request.kind,
            role,
            permissions,
            servers,
            tenants,
            rate_limit: request.rate_limit,
            expires_at: request.expires_at,
            created_at: now,
        };
        let event = event.about(AuditTarget::Key(key.id));
        let record = self.store.insert(grant, key, *token.digest(), event).await?;
        Ok(CreatedKey { record, token })
    }

    /// A page of the caller's own keys, or of everybody's for those who administer them.
    ///
    /// # Errors
    /// [`KeyFault::Denied`] when everybody's keys are asked for by somebody below admin.
    pub async fn list(
        &self,
        grant: &Grant<ApiKeysRead>,
        everybody: bool,
        filter: &KeyFilter,
        page: PageRequest<KeyPosition>,
    ) -> Result<Page<KeyRecord, KeyPosition>, KeyFault> {
        let owners = if everybody {
            (**grant).clone().grant::<ApiKeysAdminister>()?;
            KeyOwners::Everybody
        } else {
            KeyOwners::Of(grant.user().id)
        };
        Ok(self.store.list(grant, owners, filter, page).await?)
    }

    /// One key that the caller owns or administers. Anybody else's is not found.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub async fn get(&self, grant: &Grant<ApiKeysRead>, id: KeyId) -> Result<KeyRecord, KeyFault> {
        let record = self.store.get(grant, id).await?.ok_or(KeyFault::NotFound)?;
        let own = record.facts.owner.id == grant.user().id;
        if own || (**grant).clone().grant::<ApiKeysAdminister>().is_ok() { Ok(record) } else { Err(KeyFault::NotFound) }
    }

    /// A key that the caller may ask about, and whether a token of it would verify: its own for a member, every one of
    /// the organization for admins and for services that verify keys.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub async fn standing(&self, grant: &Grant<KeysVerify>, id: KeyId) -> Result<KeyStanding, KeyFault> {
        let standing = self.store.standing(grant, id).await?.ok_or(KeyFault::NotFound)?;
        let anybodys = grant.key().is_some() || (**grant).clone().grant::<ApiKeysAdminister>().is_ok();
        if anybodys || standing.facts.owner.id == grant.user().id { Ok(standing) } else { Err(KeyFault::NotFound) }
    }

    /// Adds to records, which were read under a grant, what people want to see beside them.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub async fn views(&self, records: Vec<KeyRecord>) -> Result<Vec<KeyView>, KeyFault> {
        self.views_with(records, TENANTS_SHOWN_IN_LISTS).await
    }

    async fn views_with(&self, records: Vec<KeyRecord>, shown: u64) -> Result<Vec<KeyView>, KeyFault> {
        let mut details = self.store.details(&records, shown, self.clock.now()).await?;
        let organizations: HashSet<_> = records.iter().map(|record| record.facts.organization.id).collect();
        let mut access = HashMap::with_capacity(organizations.len());
        for organization in organizations {
            access.insert(organization, self.access.of(organization).await?);
        }
        let view = |record: KeyRecord| {
            let KeyFacts { id, organization, owner, servers, .. } = &record.facts;
            let (active, access) = (details.active_servers.get(&organization.id), access.get(&organization.id));
            let reaches = |server: &ServerId| {
                active.is_some_and(|active| active.contains(server))
                    && access.is_some_and(|access| access.permits(owner.id, *server))
            };
            let reached = match servers {
                KeyServers::All => active.into_iter().flatten().filter(|server| reaches(server)).count(),
                KeyServers::Listed(listed) => listed.iter().filter(|server| reaches(server)).count(),
            };
            let servers = match servers {
                KeyServers::All => None,
                KeyServers::Listed(listed) => {
                    let mut servers: Vec<_> = listed.iter().filter_map(|id| details.servers.get(id).cloned()).collect();
                    servers.sort_by(|a, b| a.slug.cmp(&b.slug));
                    Some(servers)
                }
            };
            let unreachable = servers.iter().flatten().filter(|server| !reaches(&server.id)).cloned().collect();
            KeyView {
                servers,
                reached: reached as u64,
                unreachable,
                tenants: details.tenants.remove(id),
                earlier: details.earlier.remove(id).unwrap_or_default(),
                record,
            }
        };
        Ok(records.into_iter().map(view).collect())
    }

    /// Changes what may change about a key: never its role, its type or its owner. Effective on the next request.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub async fn change(
        &self,
        grant: &Grant<ApiKeysWrite>,
        id: KeyId,
        request: KeyChangeRequest,
        event: AuditEvent,
    ) -> Result<KeyRecord, KeyFault> {
        let record = self.changeable(grant, id).await?;
        let mut errors = FieldErrors::default();
        let (role, held) = (record.facts.role, record.facts.permissions);
        let permissions = request.permissions.map(|asked| asked.unwrap_or_else(|| PermissionSet::full(role)));
        for permission in permissions.into_iter().flat_map(PermissionSet::iter) {
            if permission.role() > role {
                errors.add("permissions", above_role(permission, role));
            } else if permission.role() > grant.role() && !held.contains(permission) {
                // Whoever was demoted keeps what the key has, and cannot give it more than they may do themselves now.
                errors.add("permissions", format!("{} is more than your role allows now", permission.as_str()));
            }
        }
        check_expiry(request.expires_at.flatten(), self.clock.now(), &mut errors);
        errors.check()?;
        let servers = match request.servers {
            None => None,
            Some(asked) => Some(self.servers(grant, asked).await?),
        };
        let change = KeyChange {
            name: request.name,
            description: request.description,
            permissions,
            servers,
            expires_at: request.expires_at,
            rate_limit: request.rate_limit,
        };
        self.store.change(grant, id, change, event).await?.ok_or(KeyFault::Revoked)
    }

    /// Gives a key a new token. Its earlier ones work for `grace` at the longest, never longer than the key or than they
    /// would have already.
    ///
    /// # Errors
    /// [`KeyFault`]; [`Denied::Role`] for somebody else's key with a role above the caller's: its token would be more
    /// than the caller may do.
    pub async fn rotate(
        &self,
        grant: &Grant<ApiKeysWrite>,
        id: KeyId,
        grace: Grace,
        event: AuditEvent,
    ) -> Result<CreatedKey, KeyFault> {
        let now = self.clock.now();
        let record = self.changeable(grant, id).await?;
        if record.facts.owner.id != grant.user().id && record.facts.role > grant.role() {
            return Err(Denied::Role { needed: record.facts.role }.into());
        }
        if record.facts.expires_at.is_some_and(|end| end <= now) {
            return Err(KeyFault::Expired);
        }
        let token = IssuedToken::issue_for(id, &self.prefix, &self.token_keys)?;
        let rotation = Rotation {
            digest: *token.digest(),
            prefix: self.prefix.as_str().to_owned(),
            at: now,
            earlier_end: now.after(grace.duration()),
        };
        let record = self.store.rotate(grant, id, rotation, event).await?.ok_or(KeyFault::Revoked)?;
        Ok(CreatedKey { record, token })
    }

    /// Like [`KeyService::views`], for one record: with more of its tenants.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub async fn view(&self, record: KeyRecord) -> Result<KeyView, KeyFault> {
        self.views_with(vec![record], TENANTS_SHOWN).await?.pop().ok_or(KeyFault::NotFound)
    }

    /// Replaces, adds to or removes from a key's allowed tenants; effective on the next request.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub async fn change_tenants(
        &self,
        grant: &Grant<ApiKeysWrite>,
        id: KeyId,
        change: TenantsChange,
        event: AuditEvent,
    ) -> Result<KeyRecord, KeyFault> {
        let record = self.changeable(grant, id).await?;
        check_change(&record.facts, &change)?;
        match self.store.change_tenants(grant, id, change, event).await {
            Ok(record) => record.ok_or(KeyFault::NotFound),
            Err(fault @ TenantsFault::AllUsers { .. }) => Err(FieldErrors::one("remove", fault).into()),
            Err(TenantsFault::Store(fault)) => Err(fault.into()),
        }
    }

    /// Revokes a key, for good. Revoking it again changes nothing and succeeds.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub async fn revoke(&self, grant: &Grant<ApiKeysWrite>, id: KeyId, event: AuditEvent) -> Result<Revoked, KeyFault> {
        self.owned(grant, id).await?;
        self.store.revoke(grant, id, self.clock.now(), event).await?.ok_or(KeyFault::NotFound)
    }

    /// Revokes many keys at once. Doing it again changes nothing and succeeds. Each key gets an event like this one.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub async fn revoke_many(
        &self,
        grant: &Grant<ApiKeysAdminister>,
        which: &KeysOf,
        event: AuditEvent,
    ) -> Result<RevokedMany, KeyFault> {
        Ok(self.store.revoke_many(grant, which, self.clock.now(), event).await?)
    }

    /// A key that the caller may change, and that can change.
    async fn changeable(&self, grant: &Grant<ApiKeysWrite>, id: KeyId) -> Result<KeyRecord, KeyFault> {
        let record = self.owned(grant, id).await?;
        if record.revoked_at.is_some() { Err(KeyFault::Revoked) } else { Ok(record) }
    }

    /// The servers that a key shall list, if the organization has them all.
    async fn servers(
        &self,
        grant: &Grant<ApiKeysWrite>,
        asked: Option<HashSet<ServerId>>,
    ) -> Result<KeyServers, KeyFault> {
        let Some(asked) = asked else { return Ok(KeyServers::All) };
        let known = self.store.servers_named(grant, &asked).await?;
        let mut errors = FieldErrors::default();
        for server in asked.iter().filter(|server| !known.contains_key(server)) {
            errors.add("servers", format!("there is no server {server}"));
        }
        errors.check()?;
        Ok(KeyServers::Listed(asked))
    }

    async fn owned(&self, grant: &Grant<ApiKeysWrite>, id: KeyId) -> Result<KeyRecord, KeyFault> {
        let read = (**grant).clone().grant::<ApiKeysRead>()?;
        self.get(&read, id).await
    }
}
