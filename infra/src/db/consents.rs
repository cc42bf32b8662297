//! Keeping connect links' uses, authorizations that are under way, and clients that Keyrack registered itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::access::rehearse::KeyStanding;
use domain::access::{MemberFacts, SystemScope, WithinOrganization};
use domain::connect::LinkUse;
use domain::connect::port::LinkMakers;
use domain::id::{OrganizationId, ServerId, UserId};
use domain::key::KeyId;
use domain::organization::port::Members;
use domain::store::StoreFault;
use domain::time::{Clock, SystemClock};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, QueryFilter};
use serde::Serialize;
use zeroize::Zeroizing;

use super::Database;
use super::SqlAccounts;
use super::consent_rows::{PlainClient, PlainPending};
use super::entity::{connect_link_use, oauth_authorization, oauth_client};
use super::fault::store_fault;
use super::key_standing;
use super::patience::DatabaseTransaction;
use super::scoped::{self, unscoped};
use crate::oauth::{KnownClient, Pending};
use crate::seal::{ConsentPlace, Sealer};

/// How long a person may take for their consent.
const CONSENT_LASTS: Duration = Duration::from_mins(15);

/// Consents in the database, sealed.
#[derive(Clone)]
pub struct SqlConsents {
    db: Database,
    sealer: Arc<Sealer>,
    people: Arc<SqlAccounts>,
}

impl SqlConsents {
    /// Keeps them in this database; what they need to remember is sealed by `sealer`.
    #[must_use]
    pub const fn new(db: Database, sealer: Arc<Sealer>, people: Arc<SqlAccounts>) -> Self {
        Self { db, sealer, people }
    }

    /// Notes that an authorization begins, and that its link was used: both or neither. False when the link was used
    /// already.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn begin(&self, state: &str, pending: &Pending) -> Result<bool, StoreFault> {
        let scope = SystemScope::new(pending.link.organization, "a link begins an authorization of its own tenant");
        let digest = blake3::hash(state.as_bytes());
        let sealed = self.seal(ConsentPlace::Authorization(&digest), &PlainPending::from(pending))?;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        if !use_up(&transaction, &scope, pending.link.used()).await? {
            return Ok(false);
        }
        let row = oauth_authorization::ActiveModel {
            digest: ActiveValue::Set(digest.as_bytes().to_vec()),
            organization_id: ActiveValue::NotSet,
            sealed: ActiveValue::Set(sealed),
            expires_at: ActiveValue::Set(SystemClock.now().after(CONSENT_LASTS).as_micros()),
        };
        scoped::insert::<oauth_authorization::Entity, _>(&scope, [row])
            .exec_without_returning(&transaction)
            .await
            .map_err(store_fault)?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(true)
    }

    /// The authorization with this state, while it lasts.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn find(&self, state: &str) -> Result<Option<Pending>, StoreFault> {
        let digest = blake3::hash(state.as_bytes());
        let row = unscoped("the state finds out which organization")
            .find::<oauth_authorization::Entity>()
            .filter(oauth_authorization::Column::Digest.eq(digest.as_bytes().as_slice()))
            .filter(oauth_authorization::Column::ExpiresAt.gt(SystemClock.now().as_micros()))
            .one(self.db.reader())
            .await
            .map_err(store_fault)?;
        let Some(row) = row else { return Ok(None) };
        let corrupt = || StoreFault::Corrupt("an authorization that is under way".to_owned());
        let plain =
            self.sealer.open_consent(ConsentPlace::Authorization(&digest), &row.sealed).map_err(|_| corrupt())?;
        let plain: PlainPending<'_> = serde_json::from_slice(&plain).map_err(|_| corrupt())?;
        plain.pending().map(Some).ok_or_else(corrupt)
    }

    /// Ends the authorization with this state; false when it is over.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn take(&self, state: &str) -> Result<bool, StoreFault> {
        let taken = unscoped("the state finds out which organization")
            .delete::<oauth_authorization::Entity>()
            .filter(oauth_authorization::Column::Digest.eq(blake3::hash(state.as_bytes()).as_bytes().as_slice()))
            .exec(self.db.writer())
            .await
            .map_err(store_fault)?;
        Ok(taken.rows_affected == 1)
    }

    /// The client that Keyrack registered for a server.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn client(&self, scope: &SystemScope, server: ServerId) -> Result<Option<KnownClient>, StoreFault> {
        let row = scoped::find::<oauth_client::Entity>(scope)
            .filter(oauth_client::Column::ServerId.eq(server.as_uuid()))
            .one(self.db.reader())
            .await
            .map_err(store_fault)?;
        row.map(|row| self.opened(&row)).transpose()
    }

    fn opened(&self, row: &oauth_client::Model) -> Result<KnownClient, StoreFault> {
        let server = ServerId::from_uuid(row.server_id);
        let corrupt = || StoreFault::Corrupt(format!("server {server}: its client of OAuth"));
        let place = ConsentPlace::Client(OrganizationId::from_uuid(row.organization_id), server);
        let plain = self.sealer.open_consent(place, &row.sealed).map_err(|_| corrupt())?;
        let plain: PlainClient<'_> = serde_json::from_slice(&plain).map_err(|_| corrupt())?;
        plain.known().ok_or_else(corrupt)
    }

    /// Keeps a client, in place of the one there was.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn keep_client(
        &self,
        scope: &SystemScope,
        server: ServerId,
        client: &KnownClient,
    ) -> Result<(), StoreFault> {
        let place = ConsentPlace::Client(scope.organization_id(), server);
        let row = oauth_client::ActiveModel {
            server_id: ActiveValue::Set(server.as_uuid()),
            organization_id: ActiveValue::NotSet,
            sealed: ActiveValue::Set(self.seal(place, &PlainClient::from(client))?),
        };
        scoped::insert::<oauth_client::Entity, _>(scope, [row])
            .on_conflict(
                OnConflict::column(oauth_client::Column::ServerId)
                    .update_column(oauth_client::Column::Sealed)
                    .to_owned(),
            )
            .exec_without_returning(self.db.writer())
            .await
            .map_err(store_fault)?;
        Ok(())
    }

    /// Forgets this client of a server, which its authorization server did already. One that was given stays where it
    /// belongs.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn forget_client(&self, scope: &SystemScope, server: ServerId, id: &str) -> Result<(), StoreFault> {
        let known = self.client(scope, server).await?;
        if !known.is_some_and(|known| known.own && known.registered.client.id == id) {
            return Ok(());
        }
        scoped::delete::<oauth_client::Entity>(scope)
            .filter(oauth_client::Column::ServerId.eq(server.as_uuid()))
            .exec(self.db.writer())
            .await
            .map_err(store_fault)?;
        Ok(())
    }

    fn seal(&self, place: ConsentPlace<'_>, plain: &impl Serialize) -> Result<Vec<u8>, StoreFault> {
        let plain = serde_json::to_vec(plain).map_err(|error| StoreFault::Broken(Box::new(error)))?;
        let sealed = self.sealer.seal_consent(place, &Zeroizing::new(plain));
        sealed.map_err(|fault| StoreFault::Broken(Box::new(fault)))
    }
}

/// Notes that a link was used; false when it was already.
pub async fn use_up(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    link: LinkUse,
) -> Result<bool, StoreFault> {
    let row = connect_link_use::ActiveModel {
        nonce: ActiveValue::Set(link.nonce.to_vec()),
        organization_id: ActiveValue::NotSet,
        expires_at: ActiveValue::Set(link.ends.as_micros()),
    };
    let added = scoped::insert::<connect_link_use::Entity, _>(scope, [row])
        .on_conflict(OnConflict::column(connect_link_use::Column::Nonce).do_nothing().to_owned())
        .exec_without_returning(transaction)
        .await
        .map_err(store_fault)?;
    Ok(added == 1)
}

#[async_trait]
impl LinkMakers for SqlConsents {
    async fn key(&self, organization: OrganizationId, id: KeyId) -> Result<Option<KeyStanding>, StoreFault> {
        let scope = SystemScope::new(organization, "a link asks how the key stands that made it");
        key_standing::standing(self.db.reader(), &scope, id).await
    }

    async fn person(&self, organization: OrganizationId, id: UserId) -> Result<Option<MemberFacts>, StoreFault> {
        self.people.active(organization, id).await
    }

    async fn is_used(&self, organization: OrganizationId, nonce: &[u8; 16]) -> Result<bool, StoreFault> {
        let scope = SystemScope::new(organization, "a link asks whether it was used");
        let row = scoped::find::<connect_link_use::Entity>(&scope)
            .filter(connect_link_use::Column::Nonce.eq(nonce.as_slice()))
            .one(self.db.reader())
            .await
            .map_err(store_fault)?;
        Ok(row.is_some())
    }
}

/// Deletes what is over at `now`: uses of links that are over anyway, and authorizations that nobody came back from.
pub async fn purge(db: &impl ConnectionTrait, now: domain::time::Timestamp) -> Result<u64, StoreFault> {
    const REASON: &str = "what is over is nobody's any more";
    let uses = unscoped(REASON)
        .delete::<connect_link_use::Entity>()
        .filter(connect_link_use::Column::ExpiresAt.lte(now.as_micros()))
        .exec(db)
        .await
        .map_err(store_fault)?;
    let begun = unscoped(REASON)
        .delete::<oauth_authorization::Entity>()
        .filter(oauth_authorization::Column::ExpiresAt.lte(now.as_micros()))
        .exec(db)
        .await
        .map_err(store_fault)?;
    Ok(uses.rows_affected + begun.rows_affected)
}
