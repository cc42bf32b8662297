//! The command line. Flags for settings come from the settings' table.

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::settings::{Fault, Settings, TABLE};

/// Every command.
#[must_use]
#[expect(clippy::too_many_lines, reason = "one page that names every command")]
pub fn command() -> Command {
    Command::new("keyrack")
        .about("API keys for MCP servers: issue, verify, resolve tenants, proxy, revoke.")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(with_settings(Command::new("serve").about("Run the server.")))
        .subcommand(
            Command::new("demo")
                .about("Run everything embedded, with a sample MCP server and one key of each type.")
                .arg(
                    Arg::new("check")
                        .long("check")
                        .action(ArgAction::SetTrue)
                        .help("Play the demo with a real MCP client, print what it saw, and exit."),
                )
                .arg(
                    Arg::new("listen")
                        .long("listen")
                        .default_value("127.0.0.1:8080")
                        .help("Loopback address to listen on; port 0 takes a free one."),
                ),
        )
        .subcommand(with_settings(Command::new("migrate").about("Bring the database to this version's schema.")))
        .subcommand(
            Command::new("admin").about("What only an operator on the machine may do.").subcommand_required(true).subcommand(
                with_settings(
                    Command::new("grant-instance-admin")
                        .about("Let a person see and revoke the keys of every organization.")
                        .arg(required("email", "E-mail address that the person signs in with.")),
                ),
            ).subcommand(
                with_settings(
                    Command::new("revoke-instance-admin")
                        .about("End that.")
                        .arg(required("email", "E-mail address that the person signs in with.")),
                ),
            ).subcommand(
                with_settings(Command::new("rotate-assertion-key").about(
                    "Sign assertions with another key: published now, used in 15 minutes. With SQLite, stop the server first.",
                )),
            ).subcommand(
                with_settings(
                    Command::new("create-owner")
                        .about("Create an organization and its owner. The password comes from KEYRACK_OWNER_PASSWORD or standard input.")
                        .arg(required("email", "E-mail address of the owner."))
                        .arg(required("organization-name", "Name of the organization, for people."))
                        .arg(required("organization-slug", "Name of the organization, for addresses.")),
                ),
            ),
        )
        .subcommand(
            Command::new("openapi")
                .about("Write the API document and the documents made from tables, from the repository's root.")
                .arg(
                    Arg::new("check")
                        .long("check")
                        .action(ArgAction::SetTrue)
                        .help("Only compare: exit 1 when a committed document is not what the code makes."),
                ),
        )
        .subcommand(
            Command::new("audit").about("The audit log.").subcommand_required(true).subcommand(with_settings(
                Command::new("verify")
                    .about("Find every edit, removal, reordering and truncation of the audit log, in the database or in an export.")
                    .arg(
                        Arg::new("export")
                            .long("export")
                            .value_name("FILE")
                            .help("Verify this export instead of the database; - is standard input. Needs no database and no root secret."),
                    )
                    .arg(
                        Arg::new("public-key")
                            .long("public-key")
                            .value_name("KEY")
                            .action(ArgAction::Append)
                            // One key in 64 begins with a hyphen.
                            .allow_hyphen_values(true)
                            .help("A key whose checkpoints count: `x` of it in /.well-known/jwks.json. Can be given several times."),
                    )
                    .arg(
                        Arg::new("jwks")
                            .long("jwks")
                            .value_name("FILE")
                            .help("A copy of /.well-known/jwks.json, whose keys' checkpoints count."),
                    ),
            )),
        )
        .subcommand(with_settings(
            Command::new("ready").about("Ask the node that listens here whether it can serve: exit 0 or 1, for health checks."),
        ))
        .subcommand(
            Command::new("sample-server")
                .about("Run the demo's MCP server by itself: notes, told apart by the verified assertion.")
                .arg(required("listen", "Address to listen on."))
                .arg(required("url", "Its MCP endpoint as it is registered with Keyrack, for example http://sample:3001/mcp."))
                .arg(required("keyrack", "The public URL of the Keyrack that it trusts."))
                .arg(
                    Arg::new("jwks")
                        .long("jwks")
                        .value_name("URL")
                        .help("Where that one's keys are, if not below its public URL."),
                ),
        )
        .subcommand(with_settings(Command::new("doctor").about("Check settings, database and egress, and say what to do.")))
}

fn required(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).required(true).help(help)
}

fn with_settings(command: Command) -> Command {
    TABLE.iter().filter(|row| !row.secret).fold(command, |command, row| {
        let default = row.default.map_or_else(|| row.default_note.to_owned(), str::to_owned);
        let help = format!("{} [{}] [default: {default}]", row.help.trim(), row.variable());
        command.arg(Arg::new(row.flag).long(row.flag).value_name("VALUE").help(help).help_heading("Settings"))
    })
}

/// The settings that flags and variables give; a flag wins.
///
/// # Errors
/// Every setting that cannot be used.
pub fn settings(matches: &ArgMatches) -> Result<Settings, Vec<Fault>> {
    Settings::read(|row| {
        let flag = if row.secret { None } else { matches.get_one::<String>(row.flag).cloned() };
        flag.or_else(|| std::env::var(row.variable()).ok().filter(|value| !value.is_empty()))
    })
}

/// Variables that begin with `KEYRACK_` and are none of ours: most likely typing errors.
#[must_use]
pub fn unknown_variables() -> Vec<String> {
    const OTHERS: [&str; 1] = ["KEYRACK_OWNER_PASSWORD"];
    let known: Vec<String> = TABLE.iter().map(crate::settings::Row::variable).collect();
    std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        // The suite's own, which its commands inherit.
        .filter(|name| !name.starts_with("KEYRACK_TEST_"))
        .filter(|name| name.starts_with("KEYRACK_") && !known.contains(name) && !OTHERS.contains(&name.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        super::command().debug_assert();
    }

    #[test]
    fn a_public_key_that_begins_with_a_hyphen_is_a_value() {
        let key = "-8SqXrmrzkuKDrYlbRMxAVUqZKfuW9bpEa1YrerD2hC";
        let matches = super::command().try_get_matches_from(["keyrack", "audit", "verify", "--public-key", key]);
        let matches = matches.expect("it is read");
        let verify = matches.subcommand().and_then(|(_, audit)| audit.subcommand()).expect("a command").1;
        assert_eq!(verify.get_many::<String>("public-key").expect("keys").collect::<Vec<_>>(), [key]);
    }
}
