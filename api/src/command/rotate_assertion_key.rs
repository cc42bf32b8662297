//! `keyrack admin rotate-assertion-key`

use domain::time::{Clock, SystemClock};

use super::chain;
use crate::compose::Services;
use crate::root_secret;
use crate::settings::Settings;

/// Adds the next key of assertions, and prints its name and from when on it signs as JSON. Nodes that run on the same
/// database publish it within half a minute.
///
/// # Errors
/// What kept it from doing so.
pub async fn run(settings: Settings) -> Result<(), String> {
    let (root, database, node) = root_secret::open(&settings).await.map_err(|fault| chain(&fault))?;
    let nowhere = url::Url::parse("http://localhost").map_err(|error| chain(&error))?;
    let (services, background) = Services::compose(settings, &root, database, &nowhere, node);
    let rotated = services.assertion_keys.rotate(SystemClock.now()).await;
    background.finish(services).await;
    let (key, kid) = rotated.map_err(|fault| chain(&fault))?;
    println!("{}", serde_json::json!({"kid": kid, "signsFrom": key.signs_from.to_string()}));
    Ok(())
}
