//! Which connections to PostgreSQL are kept: those that answer, and lead to a machine that writes.
//!
//! When another machine becomes the one that writes, connections to the one before can stay: it is silent, or goes on to answer
//! reads and refuses everything else, for as long as a connection is kept. A new connection finds the machine that writes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::{DbErr, RuntimeErr};
use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgPoolOptions};

/// What PostgreSQL says in a transaction that is read-only.
const READ_ONLY: &str = "25006";
/// How old a connection is before it is replaced: where the database as a whole is read-only, another one is no better, and
/// reads must not pay for a connection each.
const WORTH_KEEPING: Duration = Duration::from_secs(5);
/// How long a connection that comes back may be silent.
const SILENCE: Duration = Duration::from_secs(5);

/// When a write was refused last.
#[derive(Debug, Default)]
pub struct WritesRefused(Mutex<Option<Instant>>);

impl WritesRefused {
    /// Notes what a statement ended with.
    pub fn note(&self, error: &DbErr) {
        let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) = error else {
            return;
        };
        if cause.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() == Some(READ_ONLY) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }

    /// Whether a connection of this age is to be replaced: a write was refused since it was made.
    fn replaces(&self, age: Duration) -> bool {
        let refused = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        age >= WORTH_KEEPING && refused.is_some_and(|refused| refused.elapsed() <= age)
    }
}

/// The pool that keeps no others.
pub fn keeping(pool: PgPoolOptions, refused: &Arc<WritesRefused>) -> PgPoolOptions {
    let (before, after) = (Arc::clone(refused), Arc::clone(refused));
    pool.before_acquire(move |_, known| {
        let good = !before.replaces(known.age);
        Box::pin(async move { Ok(good) })
    })
    .after_release(move |connection, known| {
        let good = !after.replaces(known.age);
        Box::pin(async move { Ok(good && answers(connection).await?) })
    })
}

/// Whether a connection that comes back still answers. One that is silent would keep its place until the kernel gives it up,
/// and when all places are kept so, nobody gets a connection any more, however well the database is again.
async fn answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let late = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    tokio::time::timeout(SILENCE, connection.ping()).await.map_err(late)??;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_from_before_a_refusal_are_replaced_and_no_others() {
        let refused = WritesRefused::default();
        assert!(!refused.replaces(Duration::from_hours(1)), "no write was refused");
        refused.note(&DbErr::Query(RuntimeErr::SqlxError(Arc::new(sqlx::Error::PoolTimedOut))));
        assert!(!refused.replaces(Duration::from_hours(1)), "nor by this");
        let Some(before) = Instant::now().checked_sub(Duration::from_secs(20)) else { return };
        *refused.0.lock().expect("whole") = Some(before);
        assert!(refused.replaces(Duration::from_secs(21)));
        assert!(!refused.replaces(Duration::from_secs(19)), "it was made since");
        *refused.0.lock().expect("whole") = Some(Instant::now());
        assert!(!refused.replaces(Duration::from_secs(4)), "another one would be no better yet");
    }
}
