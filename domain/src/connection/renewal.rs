//! Renewing what was granted for a time only.

use std::sync::Arc;

use async_trait::async_trait;

use super::model::SharedConnection;
use crate::server::ServerRecord;

/// Why a connection was not renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRenewed {
    /// The grant is over: only its person can give another.
    #[error("the grant is over")]
    Over,
    /// Nobody knows: who could renew it did not answer.
    #[error("the authorization server does not renew the access token now")]
    Unavailable,
}

/// Renews connections, one attempt at a time for each. An attempt goes on when nobody waits for it any more.
#[async_trait]
pub trait Renewals: Send + Sync {
    /// Begins to renew a connection that is due, if nobody does; does not wait.
    fn begin(&self, connection: &SharedConnection, server: &ServerRecord);

    /// Begins to renew a connection whose token the server did not take, though it should be good yet; does not wait.
    fn doubted(&self, connection: &SharedConnection, server: &ServerRecord);

    /// The connection, renewed.
    ///
    /// # Errors
    /// [`NotRenewed`]
    async fn renewed(
        &self,
        connection: &SharedConnection,
        server: &ServerRecord,
    ) -> Result<SharedConnection, NotRenewed>;
}

#[async_trait]
impl<R: Renewals + ?Sized> Renewals for Arc<R> {
    fn begin(&self, connection: &SharedConnection, server: &ServerRecord) {
        (**self).begin(connection, server);
    }

    fn doubted(&self, connection: &SharedConnection, server: &ServerRecord) {
        (**self).doubted(connection, server);
    }

    async fn renewed(
        &self,
        connection: &SharedConnection,
        server: &ServerRecord,
    ) -> Result<SharedConnection, NotRenewed> {
        (**self).renewed(connection, server).await
    }
}
