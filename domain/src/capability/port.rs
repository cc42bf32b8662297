//! What capabilities ask of a store.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use super::kept::{Kept, Offer};
use super::snapshot::{Fingerprint, Snapshot};
use crate::access::permission::{ServersApprove, ServersRead, ServersSync};
use crate::access::{Grant, SystemScope};
use crate::audit::AuditEvent;
use crate::field::FieldErrors;
use crate::id::ServerId;
use crate::server::model::SharedServer;
use crate::store::StoreFault;
use crate::time::Timestamp;

/// Why nothing was kept or approved.
#[derive(Debug, thiserror::Error)]
pub enum KeepFault {
    /// What is to be approved is not what is there.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// A tool changed since it was looked at.
    #[error("the tool {0:?} is not what it was when you looked at it; look again")]
    Changed(String),
    /// The server was never asked what it offers.
    #[error("the server was not synced yet")]
    NeverSynced,
    /// The server changed while it was asked, or is put away: its answer may be that of another.
    #[error("the server was changed meanwhile; sync it again")]
    ServerChanged,
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// A tool as somebody saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTool {
    /// Its name.
    pub name: String,
    /// What it was.
    pub fingerprint: Fingerprint,
}

/// What a server said when it was asked.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What it offers.
    pub snapshot: Snapshot,
    /// When.
    pub at: Timestamp,
    /// Whether the organization wants changed tools approved.
    pub approval: bool,
}

/// Keeps what servers offer. Every change takes the event that records it: the store writes both or neither.
#[async_trait]
pub trait CapabilityStore: Send + Sync {
    /// What lists show of these servers; nothing of those that were never synced.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn offers(
        &self,
        grant: &Grant<ServersRead>,
        servers: &[ServerId],
    ) -> Result<HashMap<ServerId, Offer>, StoreFault>;

    /// Everything that is kept of a server; none when it was never synced.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn kept(&self, scope: &SystemScope, server: ServerId) -> Result<Option<Kept>, StoreFault>;

    /// Those of these servers that were ever asked what they offer.
    ///
    /// # Errors
    /// [`StoreFault`]
    async fn synced(&self, scope: &SystemScope, servers: &[ServerId]) -> Result<HashSet<ServerId>, StoreFault>;

    /// Keeps what a server said in place of what it said before ([`Kept::after`]). The event is told how it differs. Two
    /// at once come one after the other.
    ///
    /// # Errors
    /// [`KeepFault::ServerChanged`]
    async fn keep(
        &self,
        grant: &Grant<ServersSync>,
        server: &SharedServer,
        answer: Answer,
        event: AuditEvent,
    ) -> Result<Offer, KeepFault>;

    /// Approves tools of a server as they were seen. The event is told which; there is none when all were approved.
    ///
    /// # Errors
    /// [`KeepFault`]
    async fn approve(
        &self,
        grant: &Grant<ServersApprove>,
        server: ServerId,
        tools: &[SeenTool],
        event: AuditEvent,
    ) -> Result<Offer, KeepFault>;
}
