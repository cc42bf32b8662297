//! The program, from arguments to exit code.

use std::path::Path;
use std::process::ExitCode;

use clap::ArgMatches;

use crate::server::Recording;
use crate::settings::Settings;
use crate::{cli, command, demo, logging};

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    main_recording(|log| log)
}

/// The same, with decisions recorded so when it serves.
#[must_use]
pub fn main_recording(recording: Recording) -> ExitCode {
    let matches = cli::command().get_matches();
    let outcome = actix_web::rt::System::new().block_on(run(&matches, recording));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("keyrack: {message}");
            ExitCode::FAILURE
        }
    }
}

async fn run(matches: &ArgMatches, recording: Recording) -> Result<(), String> {
    match matches.subcommand() {
        Some(("serve", flags)) => command::serve::run(begin(flags)?, recording).await,
        Some(("demo", flags)) => demo::run(flags).await,
        Some(("migrate", flags)) => command::migrate::run(&begin(flags)?).await,
        Some(("doctor", flags)) => command::doctor::run(&settings(flags)?).await,
        Some(("ready", flags)) => command::ready::run(settings(flags)?.listen),
        Some(("sample-server", flags)) => command::sample_server::run(flags).await,
        Some(("openapi", flags)) => command::openapi::run(Path::new("."), flags.get_flag("check")),
        Some(("audit", audit)) => match audit.subcommand() {
            Some(("verify", flags)) => command::audit_verify::run(|| settings(flags), flags).await,
            _ => Err("unknown command; see --help".to_owned()),
        },
        Some(("admin", admin)) => match admin.subcommand() {
            Some(("create-owner", flags)) => command::create_owner::run(settings(flags)?, flags).await,
            Some(("rotate-assertion-key", flags)) => command::rotate_assertion_key::run(settings(flags)?).await,
            Some(("grant-instance-admin", flags)) => command::instance_admin::run(settings(flags)?, flags, true).await,
            Some(("revoke-instance-admin", flags)) => {
                command::instance_admin::run(settings(flags)?, flags, false).await
            }
            _ => Err("unknown command; see --help".to_owned()),
        },
        _ => Err("unknown command; see --help".to_owned()),
    }
}

fn settings(flags: &ArgMatches) -> Result<Settings, String> {
    cli::settings(flags).map_err(|faults| {
        let lines: Vec<_> = faults.iter().map(|fault| format!("  {}: {}", fault.variable, fault.message)).collect();
        format!("these settings cannot be used:\n{}", lines.join("\n"))
    })
}

fn begin(flags: &ArgMatches) -> Result<Settings, String> {
    let settings = settings(flags)?;
    logging::begin(&settings.log, settings.log_format).map_err(|error| format!("KEYRACK_LOG: {error}"))?;
    for name in cli::unknown_variables() {
        tracing::warn!(name, "no such setting; see docs/settings.md");
    }
    Ok(settings)
}
