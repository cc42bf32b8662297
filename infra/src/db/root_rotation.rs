//! Moving the database from one root secret to the next. What can be read again is resealed (`reseal`); digests cannot, and
//! are rewritten when their tokens are used (`key_directory`).
//!
//! With several nodes it is moved while others still make things under the root secret before. They can read what is resealed,
//! since no node joins that cannot (`cluster::Known`); what they make is resealed when they are gone.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use domain::root::{RetiredChecksum, RootSecret};
use domain::store::StoreFault;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, PaginatorTrait, QueryFilter};
use zeroize::Zeroizing;

use super::Database;
use super::entity::{api_key_digest, installation};
use super::fault::store_fault;
use super::installation::{ROOT_FINGERPRINT, ROOT_UNSETTLED, Unsettled};
use super::patience::DatabaseTransaction;
use super::reseal::reseal;
use super::scoped::unscoped;
use crate::seal::{Retired, Sealer};
use crate::token::Ed25519CheckpointSigner;

const REASON: &str = "the root secret is the installation's";

/// What became of things that were made under the root secret before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// So many were resealed.
    pub resealed: usize,
    /// Whether none can be left.
    pub whole: bool,
}

impl Database {
    /// Moves everything that was sealed under `from` to `to`, and notes `to` as the database's root secret: all or
    /// nothing. How many credentials were resealed; none when another process has moved it meanwhile.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn move_root(&self, from: &RootSecret, to: &RootSecret) -> Result<Option<usize>, StoreFault> {
        let (own, both) = (Sealer::derive(to), Sealer::derive(to).with_other(Some(from)));
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
        let resealed = reseal(&transaction, &own, &both).await?;
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
        for (what, leaving, other) in kept {
            retire(&transaction, &own, &both, what, leaving, &other).await?;
        }
        transaction.commit().await.map_err(store_fault)?;
        Ok(Some(resealed))
    }

    /// Reseals what was made under `from` after the database was moved to `to`, and takes the note of it away unless a node
    /// joined meanwhile that makes more; whether it did. Call it when nobody makes things under `from` any more, with the note
    /// that was there before it was found out.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn settle_root(
        &self,
        from: &RootSecret,
        to: &RootSecret,
        noted: &Unsettled,
    ) -> Result<Settled, StoreFault> {
        let (own, both) = (Sealer::derive(to), Sealer::derive(to).with_other(Some(from)));
        let transaction = self.writer().begin().await.map_err(store_fault)?;
        let resealed = reseal(&transaction, &own, &both).await?;
        let done = unscoped(REASON)
            .delete::<installation::Entity>()
            .filter(installation::Column::Name.eq(ROOT_UNSETTLED))
            .filter(installation::Column::Value.eq(noted.value.as_str()))
            .exec(&transaction)
            .await
            .map_err(store_fault)?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(Settled { resealed, whole: done.rows_affected == 1 })
    }

    /// The checksum keys of earlier root secrets: tokens that were issued under one carry its checksum for ever.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn retired_checksums(
        &self,
        root: &RootSecret,
        other: Option<&RootSecret>,
    ) -> Result<Vec<RetiredChecksum>, StoreFault> {
        retired(self.reader(), &Sealer::derive(root).with_other(other), Retired::Checksums).await
    }

    /// The public keys of other root secrets than `root`: checkpoints that were signed under one are verified with it. That
    /// of the `other` one is among them.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn retired_signers(
        &self,
        root: &RootSecret,
        other: Option<&RootSecret>,
    ) -> Result<Vec<[u8; 32]>, StoreFault> {
        let keys = retired(self.reader(), &Sealer::derive(root).with_other(other), Retired::Signers).await?;
        let mut keys: Vec<[u8; 32]> = keys.into_iter().map(|key| *key).collect();
        keys.extend(other.map(|other| *public_key(other)));
        let own = public_key(root);
        let mut seen = HashSet::from([*own]);
        keys.retain(|key| seen.insert(*key));
        Ok(keys)
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
    own: &Sealer,
    both: &Sealer,
    what: Retired,
    leaving: Zeroizing<[u8; 32]>,
    new: &[u8; 32],
) -> Result<(), StoreFault> {
    let mut keys = retired(transaction, both, what).await?;
    keys.retain(|key| **key != *new && *key != leaving);
    keys.push(leaving);
    let sealed = own.seal_retired(what, &keys).map_err(|fault| StoreFault::Broken(Box::new(fault)))?;
    note(transaction, row_of(what), STANDARD_NO_PAD.encode(sealed)).await
}

/// Notes something of the installation, in place of what was noted before.
async fn note(transaction: &DatabaseTransaction, name: &str, value: String) -> Result<(), StoreFault> {
    unscoped(REASON)
        .insert(installation::ActiveModel { name: ActiveValue::Set(name.to_owned()), value: ActiveValue::Set(value) })
        .on_conflict(
            OnConflict::column(installation::Column::Name).update_column(installation::Column::Value).to_owned(),
        )
        .exec_without_returning(transaction)
        .await
        .map(drop)
        .map_err(store_fault)
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
