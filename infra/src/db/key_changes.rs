//! Changing a key: its names, permissions, servers, limit and end.

use domain::access::permission::ApiKeysWrite;
use domain::access::{Grant, WithinOrganization};
use domain::audit::AuditEvent;
use domain::key::model::KeyChange;
use domain::key::{KeyId, KeyRecord, KeyServers};
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::{ActiveValue, ColumnTrait, QueryFilter};

use super::audit::record;
use super::entity::{api_key, api_key_server};
use super::fault::store_fault;
use super::key_rows::{permissions_to_text, rate_columns};
use super::key_tokens::tokens;
use super::keys::SqlKeyStore;
use super::patience::DatabaseTransaction;
use super::people_rows::hold_actor;
use super::{CHUNK, scoped};
use crate::cache::Change;

/// Stores the servers that a key lists.
pub async fn insert_servers(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    id: KeyId,
    servers: &KeyServers,
) -> Result<(), StoreFault> {
    let KeyServers::Listed(servers) = servers else { return Ok(()) };
    let rows: Vec<_> = servers
        .iter()
        .map(|server| api_key_server::ActiveModel {
            key_id: ActiveValue::Set(id.as_token_part().to_owned()),
            server_id: ActiveValue::Set(server.as_uuid()),
            organization_id: ActiveValue::NotSet,
        })
        .collect();
    for chunk in rows.chunks(CHUNK) {
        scoped::insert::<api_key_server::Entity, _>(scope, chunk.iter().cloned())
            .exec_without_returning(transaction)
            .await
            .map_err(store_fault)?;
    }
    Ok(())
}

impl SqlKeyStore {
    pub(super) async fn change_key(
        &self,
        grant: &Grant<ApiKeysWrite>,
        id: KeyId,
        change: KeyChange,
        event: AuditEvent,
    ) -> Result<Option<KeyRecord>, StoreFault> {
        use api_key::Column;
        let transaction = self.begin().await?;
        hold_actor(&self.db, &transaction, grant).await?;
        let mut row = api_key::ActiveModel::default();
        if let Some(name) = change.name {
            row.name = ActiveValue::Set(name.to_string());
        }
        if let Some(description) = change.description {
            row.description = ActiveValue::Set(description.as_ref().map(ToString::to_string));
        }
        if let Some(permissions) = change.permissions {
            row.permissions = ActiveValue::Set(permissions_to_text(permissions));
        }
        if let Some(expires_at) = change.expires_at {
            row.expires_at = ActiveValue::Set(expires_at.map(Timestamp::as_micros));
        }
        if let Some(limit) = change.rate_limit {
            let (requests, seconds) = rate_columns(limit);
            (row.rate_requests, row.rate_seconds) = (ActiveValue::Set(requests), ActiveValue::Set(seconds));
        }
        if let Some(servers) = &change.servers {
            row.all_servers = ActiveValue::Set(*servers == KeyServers::All);
        }
        let found = scoped::update::<api_key::Entity>(grant)
            .filter(Column::Id.eq(id.as_token_part()))
            .filter(Column::RevokedAt.is_null())
            .set(row)
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        if found.rows_affected == 0 {
            return Ok(None);
        }
        // After the key's row, whose lock makes two changes at once come one after the other.
        if let Some(servers) = &change.servers {
            scoped::delete::<api_key_server::Entity>(grant)
                .filter(api_key_server::Column::KeyId.eq(id.as_token_part()))
                .exec(&transaction)
                .await
                .map_err(store_fault)?;
            insert_servers(&transaction, grant, id, servers).await?;
        }
        let changed = self.record(&transaction, grant, id).await?;
        let end = changed.as_ref().and_then(|record| record.facts.expires_at);
        let tokens = tokens(&transaction, grant, id, end).await?;
        record(&transaction, [event]).await?;
        self.changes.commit(transaction, vec![Change::KeyChanged { key: id, tokens }]).await?;
        Ok(changed)
    }
}
