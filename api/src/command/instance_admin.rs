//! `keyrack admin grant-instance-admin` and `revoke-instance-admin`

use clap::ArgMatches;
use domain::text::Email;

use super::chain;
use crate::compose::Services;
use crate::root_secret;
use crate::settings::Settings;

/// Makes the person with this e-mail address an instance admin, or no longer one; prints the person's id as JSON. Works
/// from their next request on.
///
/// # Errors
/// What kept it from doing so.
pub async fn run(settings: Settings, matches: &ArgMatches, on: bool) -> Result<(), String> {
    let email = matches.get_one::<String>("email").map(String::as_str).unwrap_or_default();
    let email: Email = email.parse().map_err(|fault| format!("--email: {fault}"))?;
    let (root, database, node) = root_secret::open(&settings).await.map_err(|fault| chain(&fault))?;
    let nowhere = url::Url::parse("http://localhost").map_err(|error| chain(&error))?;
    let (services, background) = Services::compose(settings, &root, database, &nowhere, node);
    let done = set(&services, &email, on).await;
    background.finish(services).await;
    println!("{}", done?);
    Ok(())
}

async fn set(services: &Services, email: &Email, on: bool) -> Result<serde_json::Value, String> {
    let found = services.accounts.set_instance_admin(email, on).await.map_err(|fault| chain(&fault))?;
    let user = found.ok_or_else(|| format!("nobody signs in as {email}"))?;
    Ok(serde_json::json!({"userId": user, "instanceAdmin": on}))
}
