//! `keyrack migrate`

use infra::db::Database;

use super::chain;
use crate::settings::Settings;

/// Brings the database to this version's schema.
///
/// # Errors
/// What kept it from doing so.
pub async fn run(settings: &Settings) -> Result<(), String> {
    let database = Database::open(&settings.database(), 1).await.map_err(|fault| chain(&fault))?;
    let steps = database.migrate().await.map_err(|fault| chain(&fault))?;
    database.close().await.map_err(|fault| chain(&fault))?;
    println!("{steps} migrations were run; the database is up to date");
    Ok(())
}
