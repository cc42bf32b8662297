//! Which connections to PostgreSQL are kept: those that answer, and lead to a machine that writes.
//!
//! When another machine becomes the one that writes, connections to the one before can stay: it is silent, or goes on to answer
//! reads and refuses everything else, for as long as a connection is kept. A new connection finds the machine that writes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::{DbErr, RuntimeErr};
use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgPoolOptions};

use super::session::LOCKS_AWAITED;

/// What PostgreSQL says in a transaction that is read-only.
const READ_ONLY: &str = "25006";
/// How old a connection is before it is replaced: where the database as a whole is read-only, another one is no better, and
/// reads must not pay for a connection each.
const WORTH_KEEPING: Duration = Duration::from_secs(5);
/// How long a connection that comes back may be silent.
const SILENCE: Duration = Duration::from_secs(5);

/// How long a connection may be in the making: as long as is waited for one.
const IN_THE_MAKING: Duration = LOCKS_AWAITED;

/// Which connections may lead to a machine that does not write any more.
#[derive(Debug, Default)]
pub struct Outdated(Mutex<Met>);

#[derive(Debug, Default)]
struct Met {
    // When a write was refused last.
    refused: Option<Instant>,
    // Connections that were made until then are replaced, whatever they answer.
    until: Option<Instant>,
}

impl Outdated {
    /// Notes what a statement ended with.
    pub fn note(&self, error: &DbErr) {
        if let DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause)) = error {
            self.note_cause(cause);
        }
    }

    /// The same of the driver's own.
    pub fn note_cause(&self, cause: &sqlx::Error) {
        if cause.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() == Some(READ_ONLY) {
            self.met().refused = Some(Instant::now());
        }
    }

    /// Another server answers than before. Connections that there are, or that are in the making, are replaced before anybody
    /// reads through them: those to the server before are good for nothing, also where it goes on to answer.
    pub fn server_changed(&self) {
        self.met().until = Some(Instant::now() + IN_THE_MAKING);
    }

    /// Whether a connection of this age is to be replaced: another server was met, or a write was refused, since it was made.
    #[must_use]
    pub fn has(&self, age: Duration) -> bool {
        let met = self.met();
        let refused = age >= WORTH_KEEPING && met.refused.is_some_and(|refused| refused.elapsed() <= age);
        refused || met.until.is_some_and(|until| until + age >= Instant::now())
    }

    fn met(&self) -> MutexGuard<'_, Met> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pool that keeps no others.
pub fn keeping(pool: PgPoolOptions, outdated: &Arc<Outdated>) -> PgPoolOptions {
    let (before, after) = (Arc::clone(outdated), Arc::clone(outdated));
    pool.before_acquire(move |_, known| {
        let good = !before.has(known.age);
        Box::pin(async move { Ok(good) })
    })
    .after_release(move |connection, known| {
        let good = !after.has(known.age);
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
        let outdated = Outdated::default();
        assert!(!outdated.has(Duration::from_hours(1)), "no write was refused");
        outdated.note(&DbErr::Query(RuntimeErr::SqlxError(Arc::new(sqlx::Error::PoolTimedOut))));
        assert!(!outdated.has(Duration::from_hours(1)), "nor by this");
        let Some(before) = Instant::now().checked_sub(Duration::from_secs(20)) else { return };
        outdated.met().refused = Some(before);
        assert!(outdated.has(Duration::from_secs(21)));
        assert!(!outdated.has(Duration::from_secs(19)), "it was made since");
        outdated.met().refused = Some(Instant::now());
        assert!(!outdated.has(Duration::from_secs(4)), "another one would be no better yet");
    }

    #[test]
    fn connections_to_the_server_before_are_replaced_however_young_they_are() {
        let outdated = Outdated::default();
        outdated.server_changed();
        assert!(outdated.has(Duration::ZERO), "it may have been in the making");
        assert!(outdated.has(Duration::from_hours(1)));
        let Some(before) = Instant::now().checked_sub(Duration::from_secs(20)) else { return };
        outdated.met().until = Some(before);
        assert!(!outdated.has(Duration::from_secs(19)), "it was made since");
        assert!(outdated.has(Duration::from_secs(21)));
    }
}
