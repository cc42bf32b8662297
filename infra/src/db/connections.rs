//! Keeping tenants' connections, sealed.

use std::sync::Arc;

use async_trait::async_trait;
use domain::access::permission::{ConnectionsRead, ConnectionsWrite};
use domain::access::{Grant, SystemScope, WithinOrganization};
use domain::audit::{AuditActor, AuditEvent, AuditTarget};
use domain::connect::LinkUse;
use domain::connection::port::{ConnectionDirectory, ConnectionStore};
use domain::connection::{Connection, Credential, Holder, OAuthGrant, SharedConnection};
use domain::id::{ConnectionId, OrganizationId, ServerId, UserId};
use domain::page::{Page, PageRequest};
use domain::store::{Overtaken, StoreFault};
use domain::time::{Clock, SystemClock};
use sea_orm::sea_query::{LockType, OnConflict};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, Order, QueryFilter, QueryOrder, QuerySelect};

use super::Database;
use super::audit::record;
use super::commit::Changes;
use super::connection_rows::{holder_columns, opened, row};
use super::consents::use_up;
use super::entity::connection;
use super::fault::store_fault;
use super::patience::DatabaseTransaction;
use super::people_rows::locked_membership;
use super::scoped;
use crate::cache::Change;
use crate::cache::connections::{ConnectionCache, key_of};
use crate::last_used::LastUsed;
use crate::seal::Sealer;

/// How often a look-up starts again because the connection changed meanwhile.
const ATTEMPTS: usize = 8;

/// Connections in the database, behind a cache.
#[derive(Clone)]
pub struct SqlConnections {
    pub(super) db: Database,
    cache: Arc<ConnectionCache>,
    changes: Changes,
    sealer: Arc<Sealer>,
    uses: LastUsed,
}

impl SqlConnections {
    /// Puts the cache before the database; credentials are sealed by `sealer`.
    #[must_use]
    pub fn new(db: Database, changes: Changes, sealer: Arc<Sealer>, uses: LastUsed) -> Self {
        let cache = Arc::clone(&changes.caches().connections);
        Self { db, cache, changes, sealer, uses }
    }

    async fn read(
        &self,
        db: &impl ConnectionTrait,
        scope: &impl WithinOrganization,
        holder: Holder,
        server: ServerId,
    ) -> Result<Option<SharedConnection>, StoreFault> {
        let row = scoped::find::<connection::Entity>(scope)
            .filter(of(holder))
            .filter(connection::Column::ServerId.eq(server.as_uuid()))
            .one(db)
            .await
            .map_err(store_fault)?;
        row.map(|row| opened(&self.sealer, row)).transpose()
    }

    /// Keeps a connection, and uses up the link that it came by; false when that was used already.
    async fn keep(
        &self,
        grant: &Grant<ConnectionsWrite>,
        connection: &SharedConnection,
        event: AuditEvent,
        link: Option<LinkUse>,
    ) -> Result<bool, StoreFault> {
        use connection::Column;
        let row = row(&self.sealer, connection)?;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        // A connection does not begin after its person's removal, which ends those that there are.
        let membership = locked_membership(&self.db, &transaction, grant, grant.user().id, LockType::Share).await?;
        if membership.is_none_or(|row| row.disabled_at.is_some()) {
            return Err(StoreFault::Overtaken(Overtaken::Gone));
        }
        if let Some(link) = link
            && !use_up(&transaction, grant, link).await?
        {
            return Ok(false);
        }
        let replaced =
            OnConflict::columns([Column::OrganizationId, Column::HolderKind, Column::HolderId, Column::ServerId])
                .update_columns([
                    Column::Id,
                    Column::Origin,
                    Column::Kind,
                    Column::Sealed,
                    Column::Refused,
                    Column::CreatedAt,
                    Column::LastUsedAt,
                ])
                .to_owned();
        scoped::insert::<connection::Entity, _>(grant, [row])
            .on_conflict(replaced)
            .exec_without_returning(&transaction)
            .await
            .map_err(store_fault)?;
        record(&transaction, [event]).await?;
        self.changes.commit(transaction, vec![Change::ConnectionChanged(key_of(connection))]).await?;
        Ok(true)
    }

    /// Keeps what a connection was renewed with, unless it was made anew or ended meanwhile.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn renew(&self, scope: &SystemScope, old: &Connection, grant: &OAuthGrant) -> Result<(), StoreFault> {
        let renewed = Connection { credential: Credential::OAuth(Box::new(grant.clone())), ..old.clone() };
        let sealed = row(&self.sealer, &renewed)?.sealed;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        scoped::update::<connection::Entity>(scope)
            .filter(connection::Column::Id.eq(old.id.as_uuid()))
            .set(connection::ActiveModel { sealed, ..Default::default() })
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        self.changes.commit(transaction, vec![Change::ConnectionChanged(key_of(old))]).await.map(drop)
    }

    /// Notes that a connection cannot be renewed, with the reason for the audit log.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn refuse(&self, old: &Connection, why: &'static str) -> Result<(), StoreFault> {
        let scope = SystemScope::new(old.organization, "a connection that cannot be renewed is marked");
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let marked = scoped::update::<connection::Entity>(&scope)
            .filter(connection::Column::Id.eq(old.id.as_uuid()))
            .filter(connection::Column::Refused.eq(false))
            .col_expr(connection::Column::Refused, true.into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        if marked.rows_affected > 0 {
            let event = AuditEvent {
                organization: Some(old.organization),
                target: AuditTarget::Connection(old.id),
                reason: Some(why.to_owned()),
                ..AuditEvent::unproven(AuditActor::System, "connection.refuse", SystemClock.now())
            };
            record(&transaction, [event]).await?;
        }
        self.changes.commit(transaction, vec![Change::ConnectionChanged(key_of(old))]).await.map(drop)
    }
}

fn of(holder: Holder) -> Condition {
    let (kind, id) = holder_columns(holder);
    Condition::all().add(connection::Column::HolderKind.eq(kind)).add(connection::Column::HolderId.eq(id))
}

#[async_trait]
impl ConnectionStore for SqlConnections {
    async fn list(
        &self,
        grant: &Grant<ConnectionsRead>,
        holder: Holder,
        page: PageRequest<ConnectionId>,
    ) -> Result<Page<SharedConnection, ConnectionId>, StoreFault> {
        let mut found = scoped::find::<connection::Entity>(grant).filter(of(holder));
        if let Some(after) = page.after {
            found = found.filter(connection::Column::Id.gt(after.as_uuid()));
        }
        let rows = found
            .order_by(connection::Column::Id, Order::Asc)
            .limit(u64::from(page.limit.get()) + 1)
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let connections = rows.into_iter().map(|row| opened(&self.sealer, row)).collect::<Result<Vec<_>, _>>()?;
        Ok(Page::of_overread(connections, page.limit, |connection| connection.id))
    }

    async fn get(
        &self,
        grant: &Grant<ConnectionsRead>,
        holder: Holder,
        server: ServerId,
    ) -> Result<Option<SharedConnection>, StoreFault> {
        self.read(self.db.reader(), grant, holder, server).await
    }

    async fn put(
        &self,
        grant: &Grant<ConnectionsWrite>,
        connection: &SharedConnection,
        event: AuditEvent,
    ) -> Result<(), StoreFault> {
        self.keep(grant, connection, event, None).await.map(drop)
    }

    async fn put_by_link(
        &self,
        grant: &Grant<ConnectionsWrite>,
        connection: &SharedConnection,
        event: AuditEvent,
        link: LinkUse,
    ) -> Result<bool, StoreFault> {
        self.keep(grant, connection, event, Some(link)).await
    }

    async fn delete(
        &self,
        grant: &Grant<ConnectionsWrite>,
        holder: Holder,
        server: ServerId,
        event: AuditEvent,
    ) -> Result<Option<SharedConnection>, StoreFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let Some(found) = self.read(&transaction, grant, holder, server).await? else { return Ok(None) };
        let deleted = scoped::delete::<connection::Entity>(grant)
            .filter(connection::Column::Id.eq(found.id.as_uuid()))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        if deleted.rows_affected == 0 {
            // Somebody else was first.
            return Ok(None);
        }
        record(&transaction, [event.about(AuditTarget::Connection(found.id))]).await?;
        self.changes.commit(transaction, vec![Change::ConnectionChanged(key_of(&found))]).await?;
        Ok(Some(found))
    }
}

#[async_trait]
impl ConnectionDirectory for SqlConnections {
    fn cached(&self, organization: OrganizationId, holder: Holder, server: ServerId) -> Option<SharedConnection> {
        self.cache.get(&(organization, holder, server))
    }

    async fn find(
        &self,
        scope: &SystemScope,
        holder: Holder,
        server: ServerId,
    ) -> Result<Option<SharedConnection>, StoreFault> {
        let key = (scope.organization_id(), holder, server);
        for _ in 0..ATTEMPTS {
            let ticket = self.cache.ticket(&key);
            let read = self.read(self.db.reader(), scope, holder, server);
            let Some(connection) = self.db.in_time(read).await? else { return Ok(None) };
            if self.cache.fill(ticket, Arc::clone(&connection)) {
                return Ok(Some(connection));
            }
        }
        Err(StoreFault::Unavailable("the connection changed at every attempt to read it".into()))
    }

    fn used(&self, connection: &Connection) {
        self.uses.note_connection(connection.id);
    }
}

/// Ends the connections of a person who leaves.
pub async fn end_connections_of(
    db: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    person: UserId,
) -> Result<(), StoreFault> {
    scoped::delete::<connection::Entity>(scope)
        .filter(of(Holder::Person(person)))
        .exec(db)
        .await
        .map_err(store_fault)?;
    Ok(())
}

/// Ends the connections to a server that is put away; how many. It never takes a call again.
pub async fn end_connections_to(
    db: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    server: ServerId,
) -> Result<u64, StoreFault> {
    let ended = scoped::delete::<connection::Entity>(scope)
        .filter(connection::Column::ServerId.eq(server.as_uuid()))
        .exec(db)
        .await
        .map_err(store_fault)?;
    Ok(ended.rows_affected)
}
