//! `keyrack admin create-owner`

use std::io::Read;

use clap::ArgMatches;
use domain::field::FieldErrors;
use domain::organization::Password;
use domain::organization::port::SignUpProof;
use domain::organization::service::SignUp;
use secrecy::SecretString;

use super::chain;
use crate::compose::Services;
use crate::root_secret;
use crate::settings::Settings;

/// Creates an organization and its owner, and prints their ids as JSON.
///
/// # Errors
/// What kept it from doing so.
pub async fn run(settings: Settings, matches: &ArgMatches) -> Result<(), String> {
    let request = request(matches, password()?).map_err(|errors| chain(&errors))?;
    let (root, database, node) = root_secret::open(&settings).await.map_err(|fault| chain(&fault))?;
    let nowhere = url::Url::parse("http://localhost").map_err(|error| chain(&error))?;
    let (services, background) = Services::compose(settings, &root, database, &nowhere, node);
    let created = services.accounts.create_owner(request, SignUpProof::None).await;
    background.finish(services).await;
    let claims = created.map_err(|fault| chain(&fault))?;
    println!("{}", serde_json::json!({"userId": claims.user, "organizationId": claims.organization}));
    Ok(())
}

fn password() -> Result<SecretString, String> {
    if let Ok(password) = std::env::var("KEYRACK_OWNER_PASSWORD") {
        return Ok(password.into());
    }
    let mut text = String::new();
    std::io::stdin()
        .take(4096)
        .read_to_string(&mut text)
        .map_err(|error| format!("standard input has no password: {error}"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned().into())
}

fn request(matches: &ArgMatches, password: SecretString) -> Result<SignUp, FieldErrors> {
    let text = |name: &str| matches.get_one::<String>(name).map(String::as_str).unwrap_or_default();
    let mut errors = FieldErrors::default();
    let email = errors.take("--email", text("email").parse());
    let name = errors.take("--organization-name", text("organization-name").parse());
    let slug = errors.take("--organization-slug", text("organization-slug").parse());
    let password = errors.take("KEYRACK_OWNER_PASSWORD (or standard input)", Password::new(password));
    match (email, name, slug, password) {
        (Some(email), Some(organization_name), Some(organization_slug), Some(password)) => Ok(SignUp {
            email,
            password,
            display_name: None,
            organization_name,
            organization_slug,
            bootstrap_token: None,
        }),
        _ => Err(errors),
    }
}
