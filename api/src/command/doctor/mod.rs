//! `keyrack doctor`: what is wrong with this installation, and what to do.

mod clock;
mod egress;
mod journal;
mod listen;
mod nodes;
mod redis;
mod report;
mod root;

use infra::db::{ConnectFault, Database, DatabaseKind, DatabaseUrl, Standing};

use self::report::Report;
use self::root::Told;
use super::chain;
use crate::root_secret::Obtained;
use crate::settings::Settings;

/// Checks what a server needs; changes nothing.
///
/// # Errors
/// How many checks failed.
pub async fn run(settings: &Settings) -> Result<(), String> {
    let mut report = Report::default();
    report.good("settings", "all can be used");
    for name in crate::cli::unknown_variables() {
        report.bad("settings", &format!("{name} is no setting"), "see docs/settings.md for the names");
    }
    let beside = listen::check(settings.listen, &mut report);
    journal::check(settings, &mut report);
    redis::check(settings, &mut report).await;
    egress::check_setting(settings, &mut report);
    let (database, whole) = open(settings, beside, &mut report).await;
    let told = match &database {
        Some(database) => Told::read(database).await,
        None => Told::default(),
    };
    let obtained = root::obtain(settings, &told, &mut report);
    // What is not migrated has not all of the tables.
    if let Some(database) = database.as_ref().filter(|_| whole) {
        check_contents(settings, database, obtained.as_ref(), &told, &mut report).await;
    }
    if let Some(database) = database
        && let Err(fault) = database.close().await
    {
        report.bad("database", &chain(&fault), "look at the database's own log");
    }
    report.end()
}

async fn check_contents(
    settings: &Settings,
    database: &Database,
    obtained: Option<&Obtained>,
    told: &Told,
    report: &mut Report,
) {
    clock::of_this_machine(database, report).await;
    let prints = obtained.map(Obtained::prints);
    let nodes = nodes::check(&settings.database(), prints.as_ref(), report).await;
    clock::of_nodes(&nodes, report);
    if let Some(obtained) = obtained {
        root::check_sealed(database, obtained, told, report).await;
        root::check_replacement(obtained, told, &nodes, report);
    }
    egress::check_servers(settings, database, report).await;
}

/// The database if it can be opened, and whether its schema is up to date. A file belongs to the node that listens here, if
/// one is there.
async fn open(settings: &Settings, beside: bool, report: &mut Report) -> (Option<Database>, bool) {
    let url = settings.database();
    if let DatabaseUrl::Sqlite(path) = &url
        && !path.exists()
    {
        report.good("database", "none yet; the first start makes one");
        return (None, false);
    }
    let database = match Database::open(&url, 1).await {
        Ok(database) => database,
        Err(ConnectFault::InUse(path)) if beside => {
            let finding = format!(
                "{} belongs to the node that serves; what is in it can be looked at when that is stopped",
                path.display()
            );
            report.good("database", &finding);
            return (None, false);
        }
        Err(fault) => {
            let fix = match url.kind() {
                DatabaseKind::Sqlite => "check the path and its permissions; stop the server first if it runs",
                DatabaseKind::Postgres => {
                    "check KEYRACK_DATABASE_URL, and that the database runs and lets this user in"
                }
            };
            report.bad("database", &chain(&fault), fix);
            return (None, false);
        }
    };
    let whole = match database.standing().await {
        Ok(Standing { pending: 0, newer }) => {
            report.good("database", "reached, schema up to date");
            if !newer.is_empty() {
                let finding = format!(
                    "it has migrations of a newer version: {}; this one serves beside it until it is replaced",
                    newer.join(", ")
                );
                report.good("database", &finding);
            }
            true
        }
        Ok(Standing { pending, .. }) => {
            let finding = format!("{pending} migrations are to be run");
            report.bad("database", &finding, "run `keyrack migrate`, or start the server");
            false
        }
        Err(fault) => {
            report.bad("database", &chain(&fault), "look at the database's own log");
            false
        }
    };
    (Some(database), whole)
}
