//! Keeps this node's keys of assertions up with the database's, and adds the next one when it is due.

use std::sync::Arc;
use std::time::Duration;

use domain::assertion::keys::{AssertionKeyStore, NumberedKey, OneIsComing};
use domain::audit::{AuditActor, AuditEvent};
use domain::store::StoreFault;
use domain::time::{Clock, SystemClock, Timestamp};

use crate::token::AssertionSigner;

/// How often a node looks for keys that were added. Far less than they are published ahead.
const INTERVAL: Duration = Duration::from_secs(20);

/// Why no key was added.
#[derive(Debug, thiserror::Error)]
pub enum RotationFault {
    /// There is no need.
    #[error(transparent)]
    OneIsComing(#[from] OneIsComing),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// The keys of assertions, here and in the store.
#[derive(Clone)]
pub struct AssertionKeys {
    store: Arc<dyn AssertionKeyStore>,
    signer: Arc<AssertionSigner>,
    // How long a key signs; none for as long as nobody asks for another.
    lifetime: Option<Duration>,
}

impl AssertionKeys {
    /// Keeps `signer` up with `store`.
    #[must_use]
    pub fn new(store: Arc<dyn AssertionKeyStore>, signer: Arc<AssertionSigner>, lifetime: Option<Duration>) -> Self {
        Self { store, signer, lifetime }
    }

    /// Takes over what other nodes added, and adds a key when one is due.
    ///
    /// # Errors
    /// [`StoreFault`]; this node then goes on by what it knows.
    pub async fn refresh(&self, now: Timestamp) -> Result<(), StoreFault> {
        let mut schedule = self.store.schedule().await?;
        if let Some(key) = self.lifetime.and_then(|lifetime| schedule.due(now, lifetime)) {
            self.add(key, now).await?;
            // Ours, or that of a node which was quicker.
            schedule = self.store.schedule().await?;
        }
        self.signer.follow(schedule, now);
        Ok(())
    }

    /// Adds a key, before its time; the key, and its name in the published set.
    ///
    /// # Errors
    /// [`RotationFault`]
    pub async fn rotate(&self, now: Timestamp) -> Result<(NumberedKey, String), RotationFault> {
        let key = self.store.schedule().await?.rotated(now)?;
        self.add(key, now).await?;
        let schedule = self.store.schedule().await?;
        self.signer.follow(schedule, now);
        Ok((key, self.signer.key_id(key)))
    }

    async fn add(&self, key: NumberedKey, now: Timestamp) -> Result<(), StoreFault> {
        let (kid, signs_from) = (self.signer.key_id(key), key.signs_from);
        let reason = Some(format!("{kid} signs from {signs_from} on"));
        let event = AuditEvent { reason, ..AuditEvent::unproven(AuditActor::System, "assertion_key.add", now) };
        if self.store.add(key, event).await? {
            tracing::info!(kid, %signs_from, "assertions will be signed with another key, which is published from now on");
        }
        Ok(())
    }

    /// Refreshes for ever. A fault is logged, and tried again the next time.
    pub async fn run(self) {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            interval.tick().await;
            if let Err(fault) = self.refresh(SystemClock.now()).await {
                let error = &fault as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "keys of assertions could not be looked up; this node goes on with those it knows"
                );
            }
        }
    }
}
