//! Connections and transactions whose statements are waited for, and no longer than that.
//!
//! The machine at the other end of a connection can be gone without a word. Nobody would ever hear of it who only waits for
//! an answer: not a request, and not the audit log's writer, which would need a restart to go on. So no statement is sent but
//! through here. What is not answered in time is given up with its connection, and nobody knows whether it took place.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, Func, Query};
use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, RuntimeErr, Statement,
    TransactionTrait,
};

use super::kept::Outdated;

/// How long is waited, and what is noted of the answers.
#[derive(Debug, Clone)]
pub struct Patience {
    /// The longest that a statement is waited for.
    pub limit: Duration,
    /// Which connections are to be replaced.
    pub outdated: Arc<Outdated>,
}

/// A connection or a transaction that is asked with patience.
#[derive(Debug, Clone)]
pub struct Patient<C> {
    inner: C,
    // None for a file, which always answers.
    patience: Option<Patience>,
}

/// The database's connections.
pub type DatabaseConnection = Patient<sea_orm::DatabaseConnection>;
/// A transaction on one of them.
pub type DatabaseTransaction = Patient<sea_orm::DatabaseTransaction>;

/// What is answered in time.
async fn within<T>(patience: Option<&Patience>, answer: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
    let Some(Patience { limit, outdated }) = patience else { return answer.await };
    let answered = tokio::time::timeout(*limit, answer).await.unwrap_or_else(|_| {
        let late = std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no answer within {limit:?}"));
        Err(DbErr::Query(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Io(late)))))
    });
    answered.inspect_err(|error| outdated.note(error))
}

impl<C> Patient<C> {
    /// Asked with this patience; none waits for as long as it takes.
    pub const fn new(inner: C, patience: Option<Patience>) -> Self {
        Self { inner, patience }
    }

    /// What is below, for what has a reason to wait for longer.
    pub const fn inner(&self) -> &C {
        &self.inner
    }

    /// What is below.
    pub fn into_inner(self) -> C {
        self.inner
    }

    /// The same asked with another patience, where there is one.
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { patience: self.patience.map(|patience| Patience { limit, ..patience }), ..self }
    }
}

impl DatabaseConnection {
    /// Begins a transaction.
    ///
    /// # Errors
    /// [`DbErr`]
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        Ok(Patient::new(within(self.patience.as_ref(), self.inner.begin()).await?, self.patience.clone()))
    }

    /// Begins a transaction with this isolation and access.
    ///
    /// # Errors
    /// [`DbErr`]
    pub async fn begin_with_config(
        &self,
        isolation: Option<IsolationLevel>,
        access: Option<AccessMode>,
    ) -> Result<DatabaseTransaction, DbErr> {
        let begun = self.inner.begin_with_config(isolation, access);
        Ok(Patient::new(within(self.patience.as_ref(), begun).await?, self.patience.clone()))
    }
}

impl DatabaseTransaction {
    /// Commits it.
    ///
    /// # Errors
    /// [`DbErr`]; nobody knows then whether it took place.
    pub async fn commit(self) -> Result<(), DbErr> {
        within(self.patience.as_ref(), self.inner.commit()).await
    }

    /// Sets one of PostgreSQL's timeouts until the transaction ends; zero switches it off.
    ///
    /// # Errors
    /// [`DbErr`]
    pub async fn set_timeout(&self, name: &'static str, timeout: Duration) -> Result<(), DbErr> {
        let value = format!("{}ms", timeout.as_millis());
        let set = Func::cust("set_config").args([name.into(), value.into(), Expr::value(true)]);
        self.query_one(&Query::select().expr(set).to_owned()).await?;
        Ok(())
    }

    /// Takes it back.
    ///
    /// # Errors
    /// [`DbErr`]; it is taken back all the same when its connection ends.
    pub async fn rollback(self) -> Result<(), DbErr> {
        within(self.patience.as_ref(), self.inner.rollback()).await
    }
}

#[async_trait]
impl<C: ConnectionTrait> ConnectionTrait for Patient<C> {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        within(self.patience.as_ref(), self.inner.execute_raw(statement)).await
    }

    #[expect(clippy::disallowed_methods, reason = "what may be sent is checked where it is sent")]
    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        within(self.patience.as_ref(), self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        within(self.patience.as_ref(), self.inner.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        within(self.patience.as_ref(), self.inner.query_all_raw(statement)).await
    }
}

#[cfg(test)]
mod tests {
    use domain::store::StoreFault;

    use super::super::store_fault;
    use super::*;

    #[tokio::test]
    async fn what_is_not_answered_in_time_is_an_outage() {
        let patience = Patience { limit: Duration::from_millis(5), outdated: Arc::default() };
        let given_up = within::<()>(Some(&patience), std::future::pending()).await;
        let fault = store_fault(given_up.expect_err("nobody answers"));
        assert!(matches!(fault, StoreFault::Unavailable(_)), "{fault:?}");
        assert!(matches!(within(Some(&patience), async { Ok(7) }).await, Ok(7)));
    }
}
