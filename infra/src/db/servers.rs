//! Keeping servers, with their credentials sealed.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use domain::access::permission::{ServersRead, ServersWrite};
use domain::access::{Grant, SystemScope, WithinOrganization};
use domain::audit::{AuditEvent, AuditTarget};
use domain::egress::VettedUrl;
use domain::guard::AllowedFields;
use domain::id::{OrganizationId, ServerId};
use domain::page::{Page, PageRequest};
use domain::server::change::ServerChange;
use domain::server::model::SharedServer;
use domain::server::port::{ChangeFault, ServerDirectory, ServerName, ServerStore};
use domain::server::timeouts::{InvalidTimeout, Timeouts};
use domain::server::{
    AuthKind, AuthScope, OAuthClient, ServerAuth, ServerRecord, ServerStatus, TenantAuth, UpstreamAuth,
};
use domain::store::{StoreFault, WriteFault};
use domain::time::Timestamp;
use sea_orm::{ActiveValue, ColumnTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select};
use secrecy::ExposeSecret;

use super::Database;
use super::audit::record;
use super::commit::Changes;
use super::connections::end_connections_to;
use super::entity::server;
use super::fault::{store_fault, write_fault};
use super::key_rows::{rate_columns, rate_limit};
use super::scoped;
use crate::cache::Change;
use crate::cache::servers::ServerCache;
use crate::seal::{Sealer, ServerPlace};

/// How often a look-up starts again because the server changed meanwhile.
const ATTEMPTS: usize = 8;

/// Servers in the database, behind a cache.
pub struct SqlServers {
    db: Database,
    cache: Arc<ServerCache>,
    changes: Changes,
    sealer: Arc<Sealer>,
}

impl SqlServers {
    /// Puts the cache before the database; credentials are sealed by `sealer`.
    #[must_use]
    pub fn new(db: Database, changes: Changes, sealer: Arc<Sealer>) -> Self {
        let cache = Arc::clone(&changes.caches().servers);
        Self { db, cache, changes, sealer }
    }

    async fn read(
        &self,
        scope: &impl WithinOrganization,
        name: &ServerName,
    ) -> Result<Option<SharedServer>, StoreFault> {
        let row =
            named(scoped::find::<server::Entity>(scope), name).one(self.db.reader()).await.map_err(store_fault)?;
        row.map(|row| self.record(row).map(Arc::new)).transpose()
    }

    async fn read_active(&self, scope: &SystemScope) -> Result<Vec<SharedServer>, StoreFault> {
        let rows = scoped::find::<server::Entity>(scope)
            .filter(server::Column::ArchivedAt.is_null())
            .order_by(server::Column::Slug, Order::Asc)
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        rows.into_iter().map(|row| self.record(row).map(Arc::new)).collect()
    }

    fn record(&self, row: server::Model) -> Result<ServerRecord, StoreFault> {
        let id = ServerId::from_uuid(row.id);
        let organization = OrganizationId::from_uuid(row.organization_id);
        let corrupt = |what: &str| StoreFault::Corrupt(format!("server {id}: {what}"));
        let kind = AuthKind::named(&row.auth_kind).ok_or_else(|| corrupt("auth"))?;
        let secret = || {
            let sealed = row.auth_sealed.as_deref().ok_or_else(|| corrupt("credential"))?;
            self.sealer.open_server(ServerPlace { organization, server: id }, sealed).map_err(|_| corrupt("credential"))
        };
        let header = || row.auth_header.clone().ok_or_else(|| corrupt("header"));
        let scope = row.auth_scope.as_deref().map_or(Some(AuthScope::Organization), AuthScope::named);
        let auth = match (scope.ok_or_else(|| corrupt("auth scope"))?, kind) {
            (AuthScope::Organization, kind) => ServerAuth::Organization(match kind {
                AuthKind::None => UpstreamAuth::None,
                AuthKind::Bearer => UpstreamAuth::Bearer(secret()?),
                AuthKind::Header => UpstreamAuth::Header { name: header()?, value: secret()? },
                AuthKind::Basic => UpstreamAuth::Basic {
                    username: row.auth_username.clone().ok_or_else(|| corrupt("username"))?,
                    password: secret()?,
                },
                AuthKind::OAuth2 => return Err(corrupt("auth")),
            }),
            (AuthScope::Tenant, kind) => ServerAuth::Tenant(match kind {
                AuthKind::None => return Err(corrupt("auth")),
                AuthKind::Bearer => TenantAuth::Bearer,
                AuthKind::Header => TenantAuth::Header { name: header()? },
                AuthKind::Basic => TenantAuth::Basic,
                AuthKind::OAuth2 => TenantAuth::OAuth2(OAuthClient {
                    id: row.auth_client_id.clone(),
                    secret: row.auth_sealed.is_some().then(secret).transpose()?,
                    scopes: row
                        .auth_scopes
                        .iter()
                        .flat_map(|text| text.split_whitespace())
                        .map(str::to_owned)
                        .collect(),
                }),
            }),
        };
        Ok(ServerRecord {
            id,
            organization,
            slug: row.slug.parse().map_err(|_| corrupt("slug"))?,
            name: row.name.parse().map_err(|_| corrupt("name"))?,
            description: row.description.as_deref().map(str::parse).transpose().map_err(|_| corrupt("description"))?,
            url: VettedUrl::stored(&row.url).map_err(|_| corrupt("url"))?,
            auth,
            categories: serde_json::from_str(&row.categories).map_err(|_| corrupt("categories"))?,
            allowed_secret_fields: allowed_fields(row.allowed_secret_fields.as_deref())
                .ok_or_else(|| corrupt("allowed secret fields"))?,
            rate_limit: rate_limit(row.rate_requests, row.rate_seconds).map_err(|_| corrupt("rate limit"))?,
            timeouts: timeouts(row.connect_timeout_ms, row.idle_timeout_ms).map_err(|_| corrupt("timeouts"))?,
            status: if row.archived_at.is_some() { ServerStatus::Archived } else { ServerStatus::Active },
            created_at: Timestamp::from_micros(row.created_at),
        })
    }
}

impl SqlServers {
    fn row(&self, grant: &Grant<ServersWrite>, server: &ServerRecord) -> Result<server::ActiveModel, StoreFault> {
        let place = ServerPlace { organization: grant.organization_id(), server: server.id };
        let (username, client, secret) = match &server.auth {
            ServerAuth::Organization(UpstreamAuth::Bearer(secret) | UpstreamAuth::Header { value: secret, .. }) => {
                (None, None, Some(secret))
            }
            ServerAuth::Organization(UpstreamAuth::Basic { username, password }) => {
                (Some(username.clone()), None, Some(password))
            }
            ServerAuth::Tenant(TenantAuth::OAuth2(client)) => (None, Some(client), client.secret.as_ref()),
            ServerAuth::Organization(UpstreamAuth::None)
            | ServerAuth::Tenant(TenantAuth::Bearer | TenantAuth::Header { .. } | TenantAuth::Basic) => {
                (None, None, None)
            }
        };
        let scopes = client.filter(|client| !client.scopes.is_empty()).map(|client| client.scopes.join(" "));
        let categories = serde_json::to_string(&server.categories)
            .map_err(|error| StoreFault::Corrupt(format!("categories: {error}")))?;
        let (rate_requests, rate_seconds) = rate_columns(server.rate_limit);
        Ok(server::ActiveModel {
            id: ActiveValue::Set(server.id.as_uuid()),
            organization_id: ActiveValue::NotSet,
            slug: ActiveValue::Set(server.slug.to_string()),
            name: ActiveValue::Set(server.name.to_string()),
            description: ActiveValue::Set(server.description.as_ref().map(ToString::to_string)),
            url: ActiveValue::Set(server.url.as_url().to_string()),
            auth_kind: ActiveValue::Set(server.auth.kind().as_str().to_owned()),
            auth_header: ActiveValue::Set(server.auth.header().map(str::to_owned)),
            auth_username: ActiveValue::Set(username),
            auth_scope: ActiveValue::Set(Some(server.auth.scope().as_str().to_owned())),
            auth_client_id: ActiveValue::Set(client.and_then(|client| client.id.clone())),
            auth_scopes: ActiveValue::Set(scopes),
            auth_sealed: ActiveValue::Set(
                secret
                    .map(|secret| self.sealer.seal_server(place, secret.expose_secret()))
                    .transpose()
                    .map_err(|error| StoreFault::Broken(Box::new(error)))?,
            ),
            categories: ActiveValue::Set(categories),
            created_at: ActiveValue::Set(server.created_at.as_micros()),
            archived_at: ActiveValue::Set(None),
            rate_requests: ActiveValue::Set(rate_requests),
            rate_seconds: ActiveValue::Set(rate_seconds),
            allowed_secret_fields: ActiveValue::Set(stored_fields(&server.allowed_secret_fields)?),
            connect_timeout_ms: ActiveValue::Set(stored_ms(server.timeouts.connect_ms())),
            idle_timeout_ms: ActiveValue::Set(stored_ms(server.timeouts.idle_ms())),
        })
    }
}

fn changed(server: &ServerRecord) -> Change {
    Change::ServerChanged { organization: server.organization, server: server.id, slug: server.slug.clone() }
}

fn stored_ms(time: Option<u32>) -> Option<i32> {
    // Every time that is allowed fits.
    time.and_then(|time| i32::try_from(time).ok())
}

fn timeouts(connect: Option<i32>, idle: Option<i32>) -> Result<Timeouts, InvalidTimeout> {
    // What does not fit is 0, which no time is.
    let read = |column: Option<i32>| column.map(|time| u32::try_from(time).unwrap_or(0));
    Timeouts::new(read(connect), read(idle))
}

fn stored_fields(allowed: &AllowedFields) -> Result<Option<String>, StoreFault> {
    if allowed.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    let text = serde_json::to_string(&names);
    text.map(Some).map_err(|error| StoreFault::Corrupt(format!("allowed secret fields: {error}")))
}

fn allowed_fields(stored: Option<&str>) -> Option<AllowedFields> {
    let Some(stored) = stored else { return Some(AllowedFields::default()) };
    let names: Vec<String> = serde_json::from_str(stored).ok()?;
    names.iter().map(|name| name.parse().ok()).collect()
}

fn named(servers: Select<server::Entity>, name: &ServerName) -> Select<server::Entity> {
    match name {
        ServerName::Id(id) => servers.filter(server::Column::Id.eq(id.as_uuid())),
        ServerName::Slug(slug) => servers.filter(server::Column::Slug.eq(slug.as_str())),
    }
}

#[async_trait]
impl ServerStore for SqlServers {
    async fn insert(
        &self,
        grant: &Grant<ServersWrite>,
        server: &ServerRecord,
        event: AuditEvent,
    ) -> Result<(), WriteFault> {
        let row = self.row(grant, server)?;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        scoped::insert::<server::Entity, _>(grant, [row])
            .exec_without_returning(&transaction)
            .await
            .map_err(|error| write_fault(error, "slug"))?;
        record(&transaction, [event]).await?;
        self.changes.commit(transaction, vec![Change::ServerAdded(server.organization)]).await?;
        Ok(())
    }

    async fn get(&self, grant: &Grant<ServersRead>, name: &ServerName) -> Result<Option<SharedServer>, StoreFault> {
        self.read(grant, name).await
    }

    async fn list(
        &self,
        grant: &Grant<ServersRead>,
        among: Option<&HashSet<ServerId>>,
        archived: bool,
        page: PageRequest<ServerId>,
    ) -> Result<Page<SharedServer, ServerId>, StoreFault> {
        use server::Column;
        let mut servers = scoped::find::<server::Entity>(grant);
        if let Some(among) = among {
            servers = servers.filter(Column::Id.is_in(among.iter().map(ServerId::as_uuid)));
        }
        servers =
            servers.filter(if archived { Column::ArchivedAt.is_not_null() } else { Column::ArchivedAt.is_null() });
        if let Some(after) = page.after {
            servers = servers.filter(Column::Id.gt(after.as_uuid()));
        }
        let rows = servers
            .order_by(Column::Id, Order::Asc)
            .limit(u64::from(page.limit.get()) + 1)
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let servers =
            rows.into_iter().map(|row| self.record(row).map(Arc::new)).collect::<Result<Vec<_>, StoreFault>>()?;
        Ok(Page::of_overread(servers, page.limit, |server| server.id))
    }

    async fn change(
        &self,
        grant: &Grant<ServersWrite>,
        name: &ServerName,
        change: ServerChange,
        event: AuditEvent,
    ) -> Result<Option<SharedServer>, ChangeFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        // Locked, so that what the change is compared with is still true when it is made.
        let found = named(scoped::find::<server::Entity>(grant), name).lock_exclusive().one(&transaction).await;
        let Some(row) = found.map_err(store_fault)? else { return Ok(None) };
        let (before, archived_at) = (self.record(row.clone())?, row.archived_at);
        if archived_at.is_some() {
            return Err(ChangeFault::Archived);
        }
        let after = change.apply(&before)?;
        let mut columns = self.row(grant, &after)?;
        columns.id = ActiveValue::NotSet;
        scoped::update::<server::Entity>(grant)
            .filter(server::Column::Id.eq(before.id.as_uuid()))
            .set(columns)
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        record(&transaction, [event.about(AuditTarget::Server(before.id))]).await?;
        self.changes.commit(transaction, vec![changed(&before)]).await?;
        Ok(Some(Arc::new(after)))
    }

    async fn archive(
        &self,
        grant: &Grant<ServersWrite>,
        name: &ServerName,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<Option<SharedServer>, StoreFault> {
        let Some(found) = self.read(grant, name).await? else { return Ok(None) };
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let archived = scoped::update::<server::Entity>(grant)
            .filter(server::Column::Id.eq(found.id.as_uuid()))
            .filter(server::Column::ArchivedAt.is_null())
            .col_expr(server::Column::ArchivedAt, at.as_micros().into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        if archived.rows_affected > 0 {
            let ended = end_connections_to(&transaction, grant, found.id).await?;
            let reason = (ended > 0).then(|| format!("{ended} connections ended"));
            let event = AuditEvent { reason, ..event.about(AuditTarget::Server(found.id)) };
            record(&transaction, [event]).await?;
        }
        let connections = Change::ConnectionsTo { organization: found.organization, server: found.id };
        self.changes.commit(transaction, vec![changed(&found), connections]).await?;
        self.read(grant, &ServerName::Id(found.id)).await
    }
}

#[async_trait]
impl ServerDirectory for SqlServers {
    fn cached(&self, organization: OrganizationId, name: &ServerName) -> Option<SharedServer> {
        self.cache.get(organization, name)
    }

    async fn find(&self, scope: &SystemScope, name: &ServerName) -> Result<Option<SharedServer>, StoreFault> {
        for _ in 0..ATTEMPTS {
            let ticket = self.cache.ticket(scope.organization_id(), name);
            let Some(server) = self.db.in_time(self.read(scope, name)).await? else { return Ok(None) };
            if self.cache.fill(ticket, name.clone(), Arc::clone(&server)) {
                return Ok(Some(server));
            }
        }
        Err(StoreFault::Unavailable("the server changed at every attempt to read it".into()))
    }

    async fn active(&self, scope: &SystemScope) -> Result<Vec<SharedServer>, StoreFault> {
        let organization = scope.organization_id();
        if let Some(servers) = self.cache.active(organization) {
            return Ok(servers.to_vec());
        }
        for _ in 0..ATTEMPTS {
            let ticket = self.cache.ticket_of_active(organization);
            let servers = self.db.in_time(self.read_active(scope)).await?;
            if self.cache.fill_active(ticket, organization, servers.as_slice().into()) {
                return Ok(servers);
            }
        }
        Err(StoreFault::Unavailable("the servers changed at every attempt to read them".into()))
    }
}
