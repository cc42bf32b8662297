//! Moving the database from one root secret to the next. What can be read again is resealed at once; digests cannot, and
//! are rewritten when their tokens are used (`key_directory`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use domain::id::{OrganizationId, ServerId};
use domain::root::{RetiredChecksum, RootSecret};
use domain::store::StoreFault;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, Order, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::consents::reseal_clients;
use super::entity::{api_key_digest, connection, installation, server};
use super::fault::store_fault;
use super::installation::ROOT_FINGERPRINT;
use super::patience::DatabaseTransaction;
use super::scoped::unscoped;
use super::{CHUNK, Database, connection_rows};
use crate::seal::{Retired, Sealer, ServerPlace};
use crate::token::Ed25519CheckpointSigner;

const REASON: &str = "the root secret is the installation's";

impl Database {
    /// Moves everything that was sealed under `from` to `to`, and notes `to` as the database's root secret: all or
    /// nothing. How many credentials were resealed; none when another process has moved it meanwhile.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn move_root(&self, from: &RootSecret, to: &RootSecret) -> Result<Option<usize>, StoreFault> {
        let sealer = Sealer::derive(to).with_previous(from);
        let transaction = self.writer().begin().await.map_err(store_fault)?;
        let moved = unscoped(REASON)
            .update::<installation::Entity>()
            .filter(installation::Column::Name.eq(ROOT_FINGERPRINT))
            .filter(installation::Column::Value.eq(from.fingerprint()))
            .col_expr(installation::Column::Value, to.fingerprint().into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        if moved.rows_affected == 0 {
            return Ok(None);
        }
        let resealed = reseal_servers(&transaction, &sealer).await?
            + reseal_connections(&transaction, &sealer).await?
            + reseal_clients(&transaction, &sealer).await?;
        // Digests that do not say were all made under the installation's first root secret, which this one is then.
        unscoped(REASON)
            .update::<api_key_digest::Entity>()
            .filter(api_key_digest::Column::Root.is_null())
            .col_expr(api_key_digest::Column::Root, from.fingerprint().into())
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        let kept = [
            (Retired::Checksums, from.checksum_key(), to.checksum_key()),
            (Retired::Signers, public_key(from), public_key(to)),
        ];
        for (what, leaving, own) in kept {
            retire(&transaction, &sealer, what, leaving, &own).await?;
        }
        transaction.commit().await.map_err(store_fault)?;
        Ok(Some(resealed))
    }

    /// The checksum keys of earlier root secrets: tokens that were issued under one carry its checksum for ever.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn retired_checksums(&self, root: &RootSecret) -> Result<Vec<RetiredChecksum>, StoreFault> {
        retired(self.reader(), &Sealer::derive(root), Retired::Checksums).await
    }

    /// The public keys of earlier root secrets: checkpoints that were signed under one are verified with it.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn retired_signers(&self, root: &RootSecret) -> Result<Vec<[u8; 32]>, StoreFault> {
        let keys = retired(self.reader(), &Sealer::derive(root), Retired::Signers).await?;
        Ok(keys.into_iter().map(|key| *key).collect())
    }

    /// How many tokens were not used since the root secret with this fingerprint became the database's: they work only
    /// while the one that they were stored under is still given.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn tokens_under_other_roots(&self, fingerprint: &str) -> Result<u64, StoreFault> {
        unscoped(REASON)
            .find::<api_key_digest::Entity>()
            .filter(api_key_digest::Column::Root.ne(fingerprint))
            .count(self.reader())
            .await
            .map_err(store_fault)
    }
}

async fn reseal_servers(transaction: &DatabaseTransaction, sealer: &Sealer) -> Result<usize, StoreFault> {
    let servers = unscoped(REASON)
        .find::<server::Entity>()
        .filter(server::Column::AuthSealed.is_not_null())
        .all(transaction)
        .await
        .map_err(store_fault)?;
    for row in &servers {
        let place = ServerPlace {
            organization: OrganizationId::from_uuid(row.organization_id),
            server: ServerId::from_uuid(row.id),
        };
        let opened = sealer
            .open_server(place, row.auth_sealed.as_deref().unwrap_or_default())
            .map_err(|_| StoreFault::Corrupt(format!("server {}: credential", place.server)))?;
        let sealed =
            sealer.seal_server(place, opened.expose_secret()).map_err(|fault| StoreFault::Broken(Box::new(fault)))?;
        unscoped(REASON)
            .update::<server::Entity>()
            .filter(server::Column::Id.eq(row.id))
            .col_expr(server::Column::AuthSealed, sealed.into())
            .exec(transaction)
            .await
            .map_err(store_fault)?;
    }
    Ok(servers.len())
}

async fn reseal_connections(transaction: &DatabaseTransaction, sealer: &Sealer) -> Result<usize, StoreFault> {
    let (mut resealed, mut after) = (0, None);
    loop {
        // There can be one for each tenant and server: not all in memory at once.
        let mut page = unscoped(REASON).find::<connection::Entity>();
        if let Some(after) = after {
            page = page.filter(connection::Column::Id.gt(after));
        }
        let page = page.order_by(connection::Column::Id, Order::Asc).limit(CHUNK as u64).all(transaction).await;
        let page = page.map_err(store_fault)?;
        let Some(last) = page.last() else { return Ok(resealed) };
        after = Some(last.id);
        for row in page {
            let id = row.id;
            let sealed = connection_rows::row(sealer, &*connection_rows::opened(sealer, row)?)?.sealed;
            unscoped(REASON)
                .update::<connection::Entity>()
                .filter(connection::Column::Id.eq(id))
                .set(connection::ActiveModel { sealed, ..Default::default() })
                .exec(transaction)
                .await
                .map_err(store_fault)?;
            resealed += 1;
        }
    }
}

fn public_key(root: &RootSecret) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(Ed25519CheckpointSigner::derive(root).public_key())
}

const fn row_of(what: Retired) -> &'static str {
    match what {
        Retired::Checksums => "retired_checksum_keys",
        Retired::Signers => "retired_checkpoint_keys",
    }
}

/// Adds a key to those that are kept, and takes the new root secret's own away: it may have been in use before.
async fn retire(
    transaction: &DatabaseTransaction,
    sealer: &Sealer,
    what: Retired,
    leaving: Zeroizing<[u8; 32]>,
    own: &[u8; 32],
) -> Result<(), StoreFault> {
    let mut keys = retired(transaction, sealer, what).await?;
    keys.retain(|key| **key != *own && *key != leaving);
    keys.push(leaving);
    let sealed = sealer.seal_retired(what, &keys).map_err(|fault| StoreFault::Broken(Box::new(fault)))?;
    unscoped(REASON)
        .insert(installation::ActiveModel {
            name: ActiveValue::Set(row_of(what).to_owned()),
            value: ActiveValue::Set(STANDARD_NO_PAD.encode(sealed)),
        })
        .on_conflict(
            OnConflict::column(installation::Column::Name).update_column(installation::Column::Value).to_owned(),
        )
        .exec_without_returning(transaction)
        .await
        .map_err(store_fault)?;
    Ok(())
}

async fn retired(
    db: &impl ConnectionTrait,
    sealer: &Sealer,
    what: Retired,
) -> Result<Vec<Zeroizing<[u8; 32]>>, StoreFault> {
    let row = unscoped(REASON)
        .find::<installation::Entity>()
        .filter(installation::Column::Name.eq(row_of(what)))
        .one(db)
        .await
        .map_err(store_fault)?;
    let Some(row) = row else { return Ok(vec![]) };
    let opened = STANDARD_NO_PAD.decode(row.value).ok().and_then(|sealed| sealer.open_retired(what, &sealed).ok());
    opened.ok_or_else(|| StoreFault::Corrupt("the keys of earlier root secrets".to_owned()))
}
