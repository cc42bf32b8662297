//! Revoking many keys at once: somebody's, or those that speak for a tenant.

use std::collections::HashSet;

use domain::access::permission::ApiKeysAdminister;
use domain::access::{Grant, WithinOrganization};
use domain::audit::{AuditEvent, AuditTarget};
use domain::key::port::{KeysOf, RevokedMany};
use domain::key::{KeyId, KeyRecord};
use domain::store::StoreFault;
use domain::tenant::TenantText;
use domain::time::Timestamp;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, ExprTrait, QueryFilter, QuerySelect};

use super::audit::record;
use super::entity::{api_key, api_key_digest, api_key_tenant};
use super::fault::store_fault;
use super::key_rows::{KeyRow, lock_live, records, with_names};
use super::key_tokens::place_of;
use super::keys::SqlKeyStore;
use super::patience::DatabaseTransaction;
use super::people_rows::hold_actor;
use super::{CHUNK, scoped};
use crate::cache::{Change, TokenPlace};

type KeyTokens = Vec<(KeyId, Vec<TokenPlace>)>;

impl SqlKeyStore {
    pub(super) async fn revoke_keys_of(
        &self,
        grant: &Grant<ApiKeysAdminister>,
        which: &KeysOf,
        at: Timestamp,
        event: AuditEvent,
    ) -> Result<RevokedMany, StoreFault> {
        let transaction = self.begin().await?;
        hold_actor(&self.db, &transaction, grant).await?;
        let (ending, narrowed) = match which {
            KeysOf::Owner(owner) => {
                let owned = Condition::all().add(api_key::Column::OwnerId.eq(owner.as_uuid()));
                (lock_live(&transaction, grant, owned).await?, vec![])
            }
            KeysOf::Tenant { org, user } => remove_tenant(&transaction, grant, org.as_ref(), user.as_ref()).await?,
        };
        for chunk in ending.chunks(CHUNK) {
            scoped::update::<api_key::Entity>(grant)
                .filter(api_key::Column::Id.is_in(chunk))
                .filter(api_key::Column::RevokedAt.is_null())
                .col_expr(api_key::Column::RevokedAt, at.as_micros().into())
                .col_expr(api_key::Column::RevokedBy, grant.user().id.as_uuid().into())
                .exec(&transaction)
                .await
                .map_err(store_fault)?;
        }
        let revoked = records_of(&transaction, grant, &ending).await?;
        let narrowed = records_of(&transaction, grant, &narrowed).await?;
        let ended = tokens_of(&transaction, grant, &revoked).await?;
        let changed = tokens_of(&transaction, grant, &narrowed).await?;
        for chunk in ending.chunks(CHUNK) {
            scoped::delete::<api_key_digest::Entity>(grant)
                .filter(api_key_digest::Column::KeyId.is_in(chunk))
                .exec(&transaction)
                .await
                .map_err(store_fault)?;
        }
        let of_each = |keys: &[KeyRecord], action| {
            let one = |key: &KeyRecord| event.one_of_many(action, AuditTarget::Key(key.facts.id));
            keys.iter().map(one).collect::<Vec<_>>()
        };
        let events = [of_each(&revoked, "key.revoke"), of_each(&narrowed, "key.tenants.change")];
        record(&transaction, events.into_iter().flatten()).await?;
        let ended = ended.into_iter().map(|(key, tokens)| Change::KeyEnded { key, tokens });
        let changed = changed.into_iter().map(|(key, tokens)| Change::KeyChanged { key, tokens });
        let receipt = self.changes.commit(transaction, ended.chain(changed).collect()).await?;
        Ok(RevokedMany { revoked, narrowed, receipt })
    }
}

/// Takes a tenant off every list that names it. The keys whose lists allow nobody then, and those that have others left.
async fn remove_tenant(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    org: Option<&TenantText>,
    user: Option<&TenantText>,
) -> Result<(Vec<String>, Vec<String>), StoreFault> {
    use api_key_tenant::Column;
    let mut names = Condition::all().add(Column::TenantOrg.eq(org.map_or("", TenantText::as_str)));
    if let Some(user) = user {
        names = names.add(Column::TenantUser.eq(user.as_str()));
    }
    let mut naming: Vec<String> = scoped::find::<api_key_tenant::Entity>(scope)
        .filter(names.clone())
        .select_only()
        .column(Column::KeyId)
        .distinct()
        .into_tuple()
        .all(transaction)
        .await
        .map_err(store_fault)?;
    // The order in which they are locked, also from one chunk to the next.
    naming.sort_unstable();
    let (mut ending, mut narrowed) = (Vec::new(), Vec::new());
    for chunk in naming.chunks(CHUNK) {
        // First of all: a change of one of these keys comes before or after.
        let live = lock_live(transaction, scope, Condition::all().add(api_key::Column::Id.is_in(chunk))).await?;
        scoped::update::<api_key::Entity>(scope)
            .filter(api_key::Column::Id.is_in(&live))
            .col_expr(api_key::Column::TenantsVersion, Expr::col(api_key::Column::TenantsVersion).add(1))
            .exec(transaction)
            .await
            .map_err(store_fault)?;
        scoped::delete::<api_key_tenant::Entity>(scope)
            .filter(Column::KeyId.is_in(&live))
            .filter(names.clone())
            .exec(transaction)
            .await
            .map_err(store_fault)?;
        let left: Vec<String> = scoped::find::<api_key_tenant::Entity>(scope)
            .filter(Column::KeyId.is_in(&live))
            .filter(Condition::any().add(Column::TenantUser.ne("")).add(Column::AnyUser.eq(true)))
            .select_only()
            .column(Column::KeyId)
            .distinct()
            .into_tuple()
            .all(transaction)
            .await
            .map_err(store_fault)?;
        let left: HashSet<String> = left.into_iter().collect();
        let (some, none): (Vec<_>, Vec<_>) = live.into_iter().partition(|id| left.contains(id));
        narrowed.extend(some);
        ending.extend(none);
    }
    Ok((ending, narrowed))
}

async fn records_of(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    ids: &[String],
) -> Result<Vec<KeyRecord>, StoreFault> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        let rows = with_names(scoped::find::<api_key::Entity>(scope))
            .filter(api_key::Column::Id.is_in(chunk))
            .into_model::<KeyRow>()
            .all(db)
            .await
            .map_err(store_fault)?;
        found.extend(records(db, rows).await?);
    }
    Ok(found)
}

async fn tokens_of(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    keys: &[KeyRecord],
) -> Result<KeyTokens, StoreFault> {
    let mut tokens = KeyTokens::with_capacity(keys.len());
    for chunk in keys.chunks(CHUNK) {
        let rows = scoped::find::<api_key_digest::Entity>(scope)
            .filter(api_key_digest::Column::KeyId.is_in(chunk.iter().map(|key| key.facts.id.as_token_part())))
            .all(db)
            .await
            .map_err(store_fault)?;
        for key in chunk {
            let id = key.facts.id;
            let own = rows.iter().filter(|row| row.key_id == id.as_token_part());
            let own: Result<_, _> = own.map(|row| place_of(row, key.facts.expires_at)).collect();
            tokens.push((id, own?));
        }
    }
    Ok(tokens)
}
