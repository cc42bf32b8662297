//! Creating, changing and revoking keys.

use std::collections::HashSet;
use std::sync::Arc;

use super::digest::TokenKeys;
use super::model::{KeyFacts, KeyRecord, KeyServers, KeyType, NewKey};
use super::port::{KeyOwners, KeyPosition, KeyStore, ListedServer, Revoked, TenantsChange, TenantsFault};
use super::token::{IssuedToken, KeyId, KeyPrefix, NoRandomness};
use crate::access::permission::{ApiKeysAdminister, ApiKeysRead, ApiKeysWrite};
use crate::access::{Denied, Grant, Permission, PermissionSet, Role};
use crate::audit::{AuditEvent, AuditTarget};
use crate::field::FieldErrors;
use crate::id::ServerId;
use crate::page::{Page, PageRequest};
use crate::store::{StoreFault, WriteFault};
use crate::tenant::{AllowedTenants, Allowing};
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

/// A key as people see it.
#[derive(Debug, Clone)]
pub struct KeyView {
    /// The key.
    pub record: KeyRecord,
    /// The servers that it lists, by slug; none for every server.
    pub servers: Option<Vec<ListedServer>>,
    /// How many servers "every server" is now.
    pub every_server: u64,
    /// The tenants that it lists, the first [`TENANTS_SHOWN`] of them, and how many there are; none without a list.
    pub tenants: Option<(AllowedTenants, u64)>,
}

/// The use cases of keys.
pub struct KeyService<C> {
    store: Arc<dyn KeyStore>,
    token_keys: TokenKeys,
    prefix: KeyPrefix,
    clock: C,
}

impl<C: Clock> KeyService<C> {
    /// Puts the service together. New keys get `prefix`.
    pub fn new(store: Arc<dyn KeyStore>, token_keys: TokenKeys, prefix: KeyPrefix, clock: C) -> Self {
        Self { store, token_keys, prefix, clock }
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
        let servers = match request.servers {
            None => KeyServers::All,
            Some(asked) => {
                let known = self.store.servers_named(grant, &asked).await?;
                let mut errors = FieldErrors::default();
                for server in asked.iter().filter(|server| !known.contains_key(server)) {
                    errors.add("servers", format!("there is no server {server}"));
                }
                errors.check()?;
                KeyServers::Listed(asked)
            }
        };
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
        revoked: bool,
        page: PageRequest<KeyPosition>,
    ) -> Result<Page<KeyRecord, KeyPosition>, KeyFault> {
        let owners = if everybody {
            (**grant).clone().grant::<ApiKeysAdminister>()?;
            KeyOwners::Everybody
        } else {
            KeyOwners::Of(grant.user().id)
        };
        Ok(self.store.list(grant, owners, revoked, page).await?)
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

    /// Adds to records what people want to see beside them.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub async fn views(&self, grant: &Grant<ApiKeysRead>, records: Vec<KeyRecord>) -> Result<Vec<KeyView>, KeyFault> {
        let listed = records.iter().filter_map(|record| match &record.facts.servers {
            KeyServers::All => None,
            KeyServers::Listed(servers) => Some(servers),
        });
        let asked: HashSet<ServerId> = listed.flatten().copied().collect();
        let names = self.store.servers_named(grant, &asked).await?;
        let every = self.store.active_servers(grant).await?;
        let mut views = Vec::with_capacity(records.len());
        for record in records {
            let tenants = self.store.listed_tenants(grant, &record.facts, TENANTS_SHOWN).await?;
            let servers = match &record.facts.servers {
                KeyServers::All => None,
                KeyServers::Listed(servers) => {
                    let mut servers: Vec<_> = servers.iter().filter_map(|id| names.get(id).cloned()).collect();
                    servers.sort_by(|a, b| a.slug.cmp(&b.slug));
                    Some(servers)
                }
            };
            views.push(KeyView { record, servers, every_server: every, tenants });
        }
        Ok(views)
    }

    /// Like [`KeyService::views`], for one record and whoever may write keys.
    ///
    /// # Errors
    /// [`KeyFault`]
    pub async fn view(&self, grant: &Grant<ApiKeysWrite>, record: KeyRecord) -> Result<KeyView, KeyFault> {
        let read = (**grant).clone().grant::<ApiKeysRead>()?;
        let mut views = self.views(&read, vec![record]).await?;
        views.pop().ok_or(KeyFault::NotFound)
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
        let record = self.owned(grant, id).await?;
        if record.revoked_at.is_some() {
            return Err(KeyFault::Revoked);
        }
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

    async fn owned(&self, grant: &Grant<ApiKeysWrite>, id: KeyId) -> Result<KeyRecord, KeyFault> {
        let read = (**grant).clone().grant::<ApiKeysRead>()?;
        self.get(&read, id).await
    }
}

fn check(
    request: &KeyRequest,
    creator: Role,
    now: Timestamp,
) -> Result<(Role, PermissionSet, AllowedTenants), FieldErrors> {
    let mut errors = FieldErrors::default();
    let role = request.role.unwrap_or(creator);
    if role > creator {
        errors.add("role", format!("must not be above your own role, {}", creator.as_str()));
    }
    let full = PermissionSet::full(role);
    let permissions = request.permissions.unwrap_or(full);
    for permission in permissions.iter().filter(|permission| !full.contains(*permission)) {
        errors.add("permissions", above_role(permission, role));
    }
    if request.expires_at.is_some_and(|end| end <= now) {
        errors.add("expiresAt", "must be in the future");
    }
    let tenants = match (request.kind, request.tenants.clone()) {
        (KeyType::Solo, None | Some(AllowedTenants::Owner)) => Some(AllowedTenants::Owner),
        (KeyType::Client, None) => Some(AllowedTenants::Users(Allowing::Any)),
        (KeyType::Client, Some(tenants @ AllowedTenants::Users(_)))
        | (KeyType::Platform, Some(tenants @ AllowedTenants::Orgs(_))) => Some(tenants),
        (KeyType::Platform, None) => {
            errors.add(
                "tenants",
                r#"is required for a platform key: {"orgs": "*"} or {"orgs": [{"id": "…", "users": "*"}]}"#,
            );
            None
        }
        (kind, Some(_)) => {
            errors.add("tenants", wrong_tenants(kind));
            None
        }
    };
    match tenants {
        Some(tenants) if errors.0.is_empty() => Ok((role, permissions, tenants)),
        _ => Err(errors),
    }
}

fn above_role(permission: Permission, role: Role) -> String {
    format!("{} is more than the role {} allows", permission.as_str(), role.as_str())
}

const fn wrong_tenants(kind: KeyType) -> &'static str {
    match kind {
        KeyType::Solo => "a solo key speaks for its owner alone; leave tenants out",
        KeyType::Client => r#"a client key takes {"users": "*" | [..]}"#,
        KeyType::Platform => r#"a platform key takes {"orgs": "*" | [{"id": "…", "users": "*" | [..]}]}"#,
    }
}

fn check_change(key: &KeyFacts, change: &TenantsChange) -> Result<(), FieldErrors> {
    let kind = key.kind;
    let fits = |tenants: &AllowedTenants| {
        matches!(
            (kind, tenants),
            (KeyType::Client, AllowedTenants::Users(_)) | (KeyType::Platform, AllowedTenants::Orgs(_))
        )
    };
    match change {
        TenantsChange::Replace(tenants) if fits(tenants) => Ok(()),
        TenantsChange::Replace(_) => Err(FieldErrors::one("tenants", wrong_tenants(kind))),
        // Removing from "everybody" would change nothing and look as if it had.
        TenantsChange::Patch { .. } if !key.tenants.needs_list() => Err(FieldErrors::one(
            "tenants",
            "the key has no list of tenants to change; replace its tenants with a list",
        )),
        TenantsChange::Patch { add, remove } => {
            let mut errors = FieldErrors::default();
            for (field, tenants) in [("add", add), ("remove", remove)] {
                if !fits(tenants) {
                    errors.add(field, wrong_tenants(kind));
                } else if matches!(tenants, AllowedTenants::Users(Allowing::Any) | AllowedTenants::Orgs(Allowing::Any))
                {
                    errors.add(field, r#"cannot be "*"; replace the tenants instead"#);
                }
            }
            errors.check()
        }
    }
}
