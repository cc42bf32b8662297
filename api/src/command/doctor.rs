//! `keyrack doctor`: what is wrong with this installation, and what to do.

use infra::db::{Database, DatabaseKind, DatabaseUrl};
use infra::limit::SharedLimiter;

use super::chain;
use crate::root_secret;
use crate::settings::Settings;

/// Checks what a server needs; changes nothing.
///
/// # Errors
/// How many checks failed.
pub async fn run(settings: &Settings) -> Result<(), String> {
    let mut report = Report::default();
    report.good("settings", "all can be used");
    let known = check_database(settings, &mut report).await;
    check_root_secret(settings, known.as_deref(), &mut report);
    check_listen(settings, &mut report);
    check_redis(settings, &mut report).await;
    if settings.egress_allow.is_empty() {
        report.good("egress", "upstream servers must have public addresses");
    } else {
        let networks: Vec<_> = settings.egress_allow.iter().map(ToString::to_string).collect();
        report.good("egress", &format!("also allowed: {}", networks.join(", ")));
    }
    for name in crate::cli::unknown_variables() {
        report.bad("settings", &format!("{name} is no setting"), "see docs/settings.md for the names");
    }
    report.end()
}

#[derive(Default)]
struct Report {
    checks: usize,
    faults: usize,
}

impl Report {
    fn good(&mut self, what: &str, finding: &str) {
        self.checks += 1;
        println!("ok    {what}: {finding}");
    }

    fn bad(&mut self, what: &str, finding: &str, fix: &str) {
        self.checks += 1;
        self.faults += 1;
        println!("FAULT {what}: {finding}\n      fix: {fix}");
    }

    fn end(self) -> Result<(), String> {
        match self.faults {
            0 => Ok(()),
            faults => Err(format!("{faults} of {} checks failed", self.checks)),
        }
    }
}

fn check_root_secret(settings: &Settings, known: Option<&str>, report: &mut Report) {
    let file = settings.data_dir.join("root.secret");
    if settings.root_secret.is_none() && known.is_none() && !file.exists() {
        report.good("root secret", "none yet; the first start makes one in the data directory");
        return;
    }
    match root_secret::obtain(settings, known, None) {
        Ok(obtained) if obtained.moves => {
            report.good("root secret", "the next start moves the database from the previous one to it");
        }
        Ok(_) => report.good("root secret", "there, and the database's own"),
        Err(fault) => report.bad("root secret", &chain(&fault), "restore it from your copy; without it no key works"),
    }
}

/// The fingerprint of the root secret that the database was used with, if it says so.
async fn check_database(settings: &Settings, report: &mut Report) -> Option<String> {
    let url = settings.database();
    if let DatabaseUrl::Sqlite(path) = &url
        && !path.exists()
    {
        report.good("database", "none yet; the first start makes one");
        return None;
    }
    let database = match Database::open(&url, 1).await {
        Ok(database) => database,
        Err(fault) => {
            let fix = match url.kind() {
                DatabaseKind::Sqlite => "check the path and its permissions; stop the server first if it runs",
                DatabaseKind::Postgres => {
                    "check KEYRACK_DATABASE_URL, and that the database runs and lets this user in"
                }
            };
            report.bad("database", &chain(&fault), fix);
            return None;
        }
    };
    match database.pending_migrations().await {
        Ok(0) => report.good("database", "reached, schema up to date"),
        Ok(steps) => {
            report.bad(
                "database",
                &format!("{steps} migrations are to be run"),
                "run `keyrack migrate`, or start the server",
            );
        }
        Err(fault) => report.bad("database", &chain(&fault), "check that the user may create tables"),
    }
    // A database that was never migrated has no such table; that is told above.
    let known = database.root_fingerprint().await.ok().flatten();
    if let Some(known) = &known
        && let Ok(tokens @ 1..) = database.tokens_under_other_roots(known).await
    {
        let finding =
            format!("{tokens} tokens wait to be used while the previous root secret is given; see root-secret.md");
        report.good("tokens", &finding);
    }
    if let Err(fault) = database.close().await {
        report.bad("database", &chain(&fault), "look at the database's own log");
    }
    known
}

async fn check_redis(settings: &Settings, report: &mut Report) {
    let Some(url) = &settings.redis_url else {
        let alone = settings.database().kind() == DatabaseKind::Sqlite;
        let nodes = if alone {
            "counted in memory"
        } else {
            "counted by each node for itself; set KEYRACK_REDIS_URL to share them"
        };
        return report.good("limits", nodes);
    };
    let answered = async { SharedLimiter::new(url, 1)?.ping().await };
    match answered.await {
        Ok(()) => report.good("redis", &format!("{url} answers")),
        Err(fault) => report.bad(
            "redis",
            &format!("{url}: {}", chain(&fault)),
            "check KEYRACK_REDIS_URL, and that Redis runs and lets this user in; until then each node counts limits for itself",
        ),
    }
}

fn check_listen(settings: &Settings, report: &mut Report) {
    match std::net::TcpListener::bind(settings.listen) {
        Ok(_) => report.good("listen", &format!("{} is free", settings.listen)),
        Err(error) => report.bad(
            "listen",
            &format!("{}: {error}", settings.listen),
            "choose another KEYRACK_LISTEN, or stop what has the port",
        ),
    }
}
