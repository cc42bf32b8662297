//! Keeping what servers offer.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use domain::access::permission::{ServersApprove, ServersRead, ServersSync};
use domain::access::{Grant, SystemScope, WithinOrganization};
use domain::audit::{AuditEvent, AuditTarget};
use domain::capability::port::{Answer, CapabilityStore, KeepFault, SeenTool};
use domain::capability::{Kept, Offer};
use domain::id::ServerId;
use domain::server::model::SharedServer;
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, QueryFilter, QuerySelect};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::audit::record;
use super::entity::{server, server_capability};
use super::fault::store_fault;
use super::patience::DatabaseTransaction;
use super::people_rows::hold_actor;
use super::{CHUNK, Database, scoped};

/// What servers offer, in the database.
pub struct SqlCapabilities {
    db: Database,
}

impl SqlCapabilities {
    /// Keeps it in this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }
}

#[async_trait]
impl CapabilityStore for SqlCapabilities {
    async fn offers(
        &self,
        grant: &Grant<ServersRead>,
        servers: &[ServerId],
    ) -> Result<HashMap<ServerId, Offer>, StoreFault> {
        use server_capability::Column;
        let rows: Vec<(uuid::Uuid, i64, String, String, String)> = scoped::find::<server_capability::Entity>(grant)
            .filter(Column::ServerId.is_in(servers.iter().map(ServerId::as_uuid)))
            // Not the snapshot, which is most of a row.
            .select_only()
            .columns([Column::ServerId, Column::SyncedAt, Column::Tools, Column::Approvals, Column::Changes])
            .into_tuple()
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        let offer = |(id, at, tools, approvals, changes): (_, _, String, String, String)| {
            let server = ServerId::from_uuid(id);
            let offer = Offer {
                tools: read(server, "tools", &tools)?,
                approvals: read(server, "approvals", &approvals)?,
                changes: read(server, "changes", &changes)?,
                synced_at: Timestamp::from_micros(at),
            };
            Ok((server, offer))
        };
        rows.into_iter().map(offer).collect()
    }

    async fn kept(&self, scope: &SystemScope, server: ServerId) -> Result<Option<Kept>, StoreFault> {
        kept(self.db.reader(), scope, server).await
    }

    async fn synced(&self, scope: &SystemScope, servers: &[ServerId]) -> Result<HashSet<ServerId>, StoreFault> {
        use server_capability::Column;
        let mut synced = HashSet::new();
        for chunk in servers.chunks(CHUNK) {
            let rows: Vec<uuid::Uuid> = scoped::find::<server_capability::Entity>(scope)
                .filter(Column::ServerId.is_in(chunk.iter().map(ServerId::as_uuid)))
                .select_only()
                .column(Column::ServerId)
                .into_tuple()
                .all(self.db.reader())
                .await
                .map_err(store_fault)?;
            synced.extend(rows.into_iter().map(ServerId::from_uuid));
        }
        Ok(synced)
    }

    async fn keep(
        &self,
        grant: &Grant<ServersSync>,
        server: &SharedServer,
        answer: Answer,
        event: AuditEvent,
    ) -> Result<Offer, KeepFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let row = hold_server(&transaction, grant, server.id).await?;
        // What another URL says is not what this server offers.
        let same = row.is_some_and(|row| row.archived_at.is_none() && row.url == server.url.as_url().as_str());
        if !same {
            return Err(KeepFault::ServerChanged);
        }
        let before = kept(&transaction, grant, server.id).await?;
        let after = Kept::after(before.as_ref(), answer);
        let offer = write(&transaction, grant, server.id, &after, before.is_some()).await?;
        let reason = Some(after.summary(before.is_none()));
        let event = AuditEvent { reason, ..event.about(AuditTarget::Server(server.id)) };
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(offer)
    }

    async fn approve(
        &self,
        grant: &Grant<ServersApprove>,
        server: ServerId,
        tools: &[SeenTool],
        event: AuditEvent,
    ) -> Result<Offer, KeepFault> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        hold_actor(&self.db, &transaction, grant).await?;
        hold_server(&transaction, grant, server).await?;
        let mut kept = kept(&transaction, grant, server).await?.ok_or(KeepFault::NeverSynced)?;
        let approved = kept.approve(tools)?;
        if approved.is_empty() {
            return Ok(Offer::from(&kept));
        }
        let offer = write(&transaction, grant, server, &kept, true).await?;
        let reason = Some(approved.join(", "));
        record(&transaction, [AuditEvent { reason, ..event.about(AuditTarget::Server(server)) }]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(offer)
    }
}

/// Locks the server's row, so that what is kept of it changes once at a time, the first time too.
async fn hold_server(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    server: ServerId,
) -> Result<Option<server::Model>, StoreFault> {
    scoped::find::<server::Entity>(scope)
        .filter(server::Column::Id.eq(server.as_uuid()))
        .lock_exclusive()
        .one(transaction)
        .await
        .map_err(store_fault)
}

async fn kept(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    server: ServerId,
) -> Result<Option<Kept>, StoreFault> {
    let row = scoped::find::<server_capability::Entity>(scope)
        .filter(server_capability::Column::ServerId.eq(server.as_uuid()))
        .one(db)
        .await
        .map_err(store_fault)?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Kept {
        snapshot: read(server, "snapshot", &row.snapshot)?,
        approvals: read(server, "approvals", &row.approvals)?,
        changes: read(server, "changes", &row.changes)?,
        synced_at: Timestamp::from_micros(row.synced_at),
    }))
}

async fn write(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    server: ServerId,
    kept: &Kept,
    there: bool,
) -> Result<Offer, StoreFault> {
    let offer = Offer::from(kept);
    let row = server_capability::ActiveModel {
        server_id: ActiveValue::Set(server.as_uuid()),
        organization_id: ActiveValue::NotSet,
        synced_at: ActiveValue::Set(kept.synced_at.as_micros()),
        snapshot: ActiveValue::Set(json(&kept.snapshot)?),
        tools: ActiveValue::Set(json(&offer.tools)?),
        approvals: ActiveValue::Set(json(&kept.approvals)?),
        changes: ActiveValue::Set(json(&kept.changes)?),
    };
    if there {
        let row = server_capability::ActiveModel { server_id: ActiveValue::NotSet, ..row };
        scoped::update::<server_capability::Entity>(scope)
            .filter(server_capability::Column::ServerId.eq(server.as_uuid()))
            .set(row)
            .exec(transaction)
            .await
            .map_err(store_fault)?;
    } else {
        scoped::insert::<server_capability::Entity, _>(scope, [row])
            .exec_without_returning(transaction)
            .await
            .map_err(store_fault)?;
    }
    Ok(offer)
}

fn json(value: &impl Serialize) -> Result<String, StoreFault> {
    serde_json::to_string(value).map_err(|error| StoreFault::Broken(Box::new(error)))
}

fn read<T: DeserializeOwned>(server: ServerId, what: &str, stored: &str) -> Result<T, StoreFault> {
    serde_json::from_str(stored).map_err(|error| StoreFault::Corrupt(format!("server {server}: {what}: {error}")))
}
