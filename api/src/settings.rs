//! The one table of settings. Flags, `KEYRACK_*` variables, `docs/settings.md` and the checks at start come from it.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use domain::egress::EgressPolicy;
use domain::key::KeyPrefix;
use domain::organization::service::SignUpMode;
use domain::root::RootSecret;
use infra::db::DatabaseUrl;
use infra::limit::RedisUrl;
use infra::mail::{Sender, SmtpUrl};
use ipnet::IpNet;
use url::Url;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One JSON object per line.
    Json,
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// The flag without dashes; upper case with underscores after `KEYRACK_` it is the variable.
    pub flag: &'static str,
    /// What it is when nobody says.
    pub default: Option<&'static str>,
    /// What stands in the documents for the default when there is none.
    pub default_note: &'static str,
    /// What it does.
    pub help: &'static str,
    /// A secret is a variable only: a flag would show in the list of processes.
    pub secret: bool,
}

impl Row {
    /// The variable's name.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("KEYRACK_{}", self.flag.replace('-', "_").to_uppercase())
    }
}

/// One setting that cannot be used, with the fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The variable's name.
    pub variable: String,
    /// What it takes.
    pub message: String,
}

type Parsed<T> = Result<T, String>;

macro_rules! settings {
    ($($(#[doc = $help:literal])+ $field:ident : $type:ty = $flag:literal, $default:expr, $note:literal, $secret:literal, $parse:expr;)+) => {
        /// Everything that an operator can set, checked.
        #[derive(Clone)]
        pub struct Settings {
            $($(#[doc = $help])+ pub $field: $type,)+
        }

        /// The table.
        pub const TABLE: &[Row] = &[
            $(Row { flag: $flag, default: $default, default_note: $note, help: concat!($($help),+), secret: $secret }),+
        ];

        impl Settings {
            /// Reads every setting through `raw`, which gets a row and returns what was set; the row's default else.
            ///
            /// # Errors
            /// All settings that cannot be used, at once.
            pub fn read(raw: impl Fn(&Row) -> Option<String>) -> Result<Self, Vec<Fault>> {
                let mut faults = Vec::new();
                let mut rows = TABLE.iter();
                $(
                    let $field = rows.next().and_then(|row| {
                        let parse: fn(Option<&str>) -> Parsed<$type> = $parse;
                        let text = raw(row).or_else(|| row.default.map(str::to_owned));
                        parse(text.as_deref().map(str::trim))
                            .map_err(|message| faults.push(Fault { variable: row.variable(), message }))
                            .ok()
                    });
                )+
                match ($($field),+) {
                    ($(Some($field)),+) if faults.is_empty() => Self { $($field),+ }.fit_together(),
                    _ => Err(faults),
                }
            }
        }
    };
}

settings! {
    /// Address and port to listen on; port 0 takes a free one.
    listen: SocketAddr = "listen", Some("127.0.0.1:8080"), "", false, |text| parsed(text, "must be ADDRESS:PORT, for example 127.0.0.1:8080");
    /// How clients reach this installation: scheme, host and port. Issuer of assertions, base of links.
    public_url: Option<Url> = "public-url", None, "http:// and the address listened on", false, public_url;
    /// Directory for the SQLite database, the root secret, and the journal of decisions that are not in the database yet.
    data_dir: PathBuf = "data-dir", Some("./data"), "", false, |text| Ok(text.unwrap_or_default().into());
    /// `sqlite://PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`.
    database_url: Option<DatabaseUrl> = "database-url", None, "SQLite in the data directory", true, |text| optional(text, |text| text.parse().map_err(|error: infra::db::InvalidDatabaseUrl| error.to_string()));
    /// Most connections to PostgreSQL.
    database_connections: u32 = "database-connections", Some("16"), "", false, |text| within(text, 1, 1000);
    /// Seconds that a statement may take on PostgreSQL. What takes longer is given up, with 503 for whoever waits for it.
    database_timeout: Duration = "database-timeout", Some("30"), "", false, seconds;
    /// Redis that nodes count limits in together: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` with TLS.
    redis_url: Option<RedisUrl> = "redis-url", None, "none: each node counts for itself", true, |text| optional(text, |text| text.parse().map_err(|error: infra::limit::InvalidRedisUrl| error.to_string()));
    /// What this node is called where several serve together: in receipts of revocations and in log lines.
    node_name: String = "node-name", None, "the host's name", false, node_name;
    /// At least 32 random characters; everything secret is derived from it. Keep a copy: without it no key works.
    root_secret: Option<RootSecret> = "root-secret", None, "made in the data directory for SQLite; required for PostgreSQL", true, |text| optional(text, |text| RootSecret::new(text).map_err(|error| error.to_string()));
    /// The root secret before the present one, while it is being replaced; see root-secret.md.
    previous_root_secret: Option<RootSecret> = "previous-root-secret", None, "none", true, |text| optional(text, |text| RootSecret::new(text).map_err(|error| error.to_string()));
    /// The root secret that will replace the present one: nodes that have it can read what others make under it; see root-secret.md.
    next_root_secret: Option<RootSecret> = "next-root-secret", None, "none", true, |text| optional(text, |text| RootSecret::new(text).map_err(|error| error.to_string()));
    /// Days after which assertions are signed with another key; 0 leaves that to `keyrack admin rotate-assertion-key`.
    assertion_key_lifetime: Option<Duration> = "assertion-key-days", Some("90"), "", false, |text| within(text, 0, 3650).map(|days: u64| (days > 0).then(|| Duration::from_hours(24 * days)));
    /// What new keys begin with. Keys issued under an earlier prefix keep working.
    key_prefix: KeyPrefix = "key-prefix", Some("kr"), "", false, |text| text.unwrap_or_default().parse().map_err(|error: domain::text::InvalidText| error.to_string());
    /// Who may create an organization: `bootstrap` (whoever has the token that the first start prints) or `open`.
    signup: SignUpMode = "signup", Some("bootstrap"), "", false, |text| choice(text, &[("bootstrap", SignUpMode::Bootstrap), ("open", SignUpMode::Open)]);
    /// Mail server that letters are handed to: `smtps://USER:PASSWORD@HOST`, or `smtp://…?tls=required`; without TLS for one that asks no password.
    smtp_url: Option<SmtpUrl> = "smtp-url", None, "none: nothing is mailed", true, |text| optional(text, |text| text.parse().map_err(|error: infra::mail::InvalidSmtpUrl| error.to_string()));
    /// Who letters are from, for example `Keyrack <keys@example.com>`.
    smtp_from: Option<Sender> = "smtp-from", None, "required with a mail server", false, |text| optional(text, |text| text.parse().map_err(|error: infra::mail::InvalidSender| error.to_string()));
    /// Networks, separated by commas, of proxies whose `X-Forwarded-For` says where a client is. Failed sign-ins are counted per client address.
    trusted_proxies: Vec<IpNet> = "trusted-proxies", None, "none: clients are where connections come from", false, |text| list(text, "must be networks like 10.0.0.0/8, separated by commas");
    /// Networks, separated by commas, that upstream servers may be in although they are not public, for example `127.0.0.0/8,10.0.0.0/8`.
    egress_allow: Vec<IpNet> = "egress-allow", None, "none: upstream servers must have public addresses", false, |text| list(text, "must be networks like 10.0.0.0/8, separated by commas");
    /// Names, separated by commas, that the Host header may have besides those of the public URL and, on a loopback address, of loopback.
    allowed_hosts: Vec<String> = "allowed-hosts", None, "none", false, |text| list(text, "must be host names, separated by commas");
    /// Origins, separated by commas, of browser clients, for example `https://app.example.com`.
    allowed_origins: Vec<String> = "allowed-origins", None, "none", false, origins;
    /// Threads that serve requests.
    workers: usize = "workers", None, "one per core", false, |text| text.map_or_else(|| Ok(std::thread::available_parallelism().map_or(1, usize::from)), |text| within(Some(text), 1, 1024));
    /// Keys, tenants and servers remembered between requests, each. A key takes about 1 KiB.
    cache_entries: usize = "cache-entries", Some("100000"), "", false, |text| within(text, 16, 100_000_000);
    /// Largest request body, in bytes.
    body_limit: usize = "body-limit", Some("4194304"), "", false, |text| within(text, 1024, 1 << 30);
    /// Calls and open streams that one key may have under way at once, on each node.
    calls_per_key: u32 = "calls-per-key", Some("256"), "", false, |text| within(text, 1, 1_000_000);
    /// Seconds for a connection to an upstream server.
    upstream_connect_timeout: Duration = "upstream-connect-timeout", Some("5"), "", false, seconds;
    /// Seconds that an upstream server may be silent, before its answer and within it.
    upstream_idle_timeout: Duration = "upstream-idle-timeout", Some("300"), "", false, seconds;
    /// Seconds that a server's list of tools is taken for the newest at `/mcp`. For ten times as long it is given out while
    /// it is fetched anew. A change shows after so long, and at once after a sync.
    tool_list_ttl: Duration = "tool-list-ttl", Some("60"), "", false, seconds;
    /// Seconds after which an MCP session that is not used ends. An open stream is a use.
    session_idle_timeout: Duration = "session-idle-timeout", Some("28800"), "", false, |text| within(text, 1, 31_536_000).map(Duration::from_secs);
    /// Seconds after which an MCP session ends, used or not. It is what ends one that a node does not remember.
    session_lifetime: Duration = "session-lifetime", Some("604800"), "", false, |text| within(text, 1, 31_536_000).map(Duration::from_secs);
    /// Seconds that a shutdown waits for what is under way.
    shutdown_timeout: Duration = "shutdown-timeout", Some("30"), "", false, seconds;
    /// Days that the record of each call through the gateway is kept.
    call_retention_days: Duration = "call-retention-days", Some("90"), "", false, days;
    /// Days that use by the hour is kept, which `GET /usage` reads.
    usage_retention_days: Duration = "usage-retention-days", Some("400"), "", false, days;
    /// Days that runs of workflows are kept after their end, but for baselines.
    run_retention_days: Duration = "run-retention-days", Some("90"), "", false, days;
    /// Runs of workflows that a node does at once; 0 for a node that leaves them to others.
    runs_at_once: usize = "runs-at-once", Some("8"), "", false, |text| within(text, 0, 1000);
    /// Runs of workflows that may wait for a node, of each organization.
    runs_waiting: u64 = "runs-waiting", Some("1000"), "", false, |text| within(text, 1, 1_000_000);
    /// Seconds that a run may take, and the most that a workflow can ask for.
    run_timeout: Duration = "run-timeout", Some("3600"), "", false, seconds;
    /// Days that what insights are made of is kept, by the hour for three days and then by the day; and topics without calls. Sessions go with their calls.
    insight_retention_days: Duration = "insight-retention-days", Some("400"), "", false, days;
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or directives of tracing's EnvFilter.
    log: String = "log", Some("info"), "", false, |text| Ok(text.unwrap_or_default().to_owned());
    /// How it is logged: `text` for a person, `json` for a machine.
    log_format: LogFormat = "log-format", Some("text"), "", false, |text| choice(text, &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
}

impl Settings {
    /// Checks what two settings say together.
    fn fit_together(self) -> Result<Self, Vec<Fault>> {
        let mut faults = Vec::new();
        if matches!(self.database_url, Some(DatabaseUrl::Postgres(_))) && self.root_secret.is_none() {
            faults.push(Fault {
                variable: "KEYRACK_ROOT_SECRET".to_owned(),
                message:
                    "is required with PostgreSQL, the same on every node; `openssl rand -base64 48` makes a good one"
                        .to_owned(),
            });
        }
        if !self.listen.ip().is_loopback() && self.public_url.is_none() {
            faults.push(Fault {
                variable: "KEYRACK_PUBLIC_URL".to_owned(),
                message: "is required when listening on more than loopback: the URL that clients use".to_owned(),
            });
        }
        let print = |secret: &Option<RootSecret>| secret.as_ref().map(RootSecret::fingerprint);
        for (variable, secret) in [
            ("KEYRACK_PREVIOUS_ROOT_SECRET", &self.previous_root_secret),
            ("KEYRACK_NEXT_ROOT_SECRET", &self.next_root_secret),
        ] {
            if self.root_secret.is_some() && print(&self.root_secret) == print(secret) {
                let message = "is the same as KEYRACK_ROOT_SECRET; leave it out".to_owned();
                faults.push(Fault { variable: variable.to_owned(), message });
            }
        }
        if self.previous_root_secret.is_some() && self.next_root_secret.is_some() {
            faults.push(Fault {
                variable: "KEYRACK_NEXT_ROOT_SECRET".to_owned(),
                message: "cannot be given together with KEYRACK_PREVIOUS_ROOT_SECRET: finish that replacement first"
                    .to_owned(),
            });
        }
        if self.smtp_url.is_some() && self.smtp_from.is_none() {
            faults.push(Fault {
                variable: "KEYRACK_SMTP_FROM".to_owned(),
                message: "is required with KEYRACK_SMTP_URL: who letters are from".to_owned(),
            });
        }
        if faults.is_empty() { Ok(self) } else { Err(faults) }
    }

    /// Where the database is.
    #[must_use]
    pub fn database(&self) -> DatabaseUrl {
        self.database_url.clone().unwrap_or_else(|| DatabaseUrl::Sqlite(self.data_dir.join("keyrack.db")))
    }

    /// Where upstream servers may be.
    #[must_use]
    pub fn egress(&self) -> EgressPolicy {
        EgressPolicy::new(self.egress_allow.clone())
    }
}

fn parsed<T: std::str::FromStr>(text: Option<&str>, form: &str) -> Parsed<T> {
    text.unwrap_or_default().parse().map_err(|_| form.to_owned())
}

fn optional<T>(text: Option<&str>, parse: impl Fn(&str) -> Parsed<T>) -> Parsed<Option<T>> {
    text.filter(|text| !text.is_empty()).map(parse).transpose()
}

fn within<T: std::str::FromStr + PartialOrd + std::fmt::Display>(text: Option<&str>, min: T, max: T) -> Parsed<T> {
    let number = text.unwrap_or_default().parse::<T>().ok().filter(|number| (&min..=&max).contains(&number));
    number.ok_or_else(|| format!("must be a number from {min} to {max}"))
}

fn node_name(text: Option<&str>) -> Parsed<String> {
    const LONGEST: usize = 64;
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        let host = hostname::get().ok().and_then(|name| name.into_string().ok());
        return Ok(host
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "node".to_owned())
            .chars()
            .take(LONGEST)
            .collect());
    };
    if text.chars().count() <= LONGEST && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be at most {LONGEST} characters, none of them a control character"))
    }
}

fn seconds(text: Option<&str>) -> Parsed<Duration> {
    within(text, 1, 86_400).map(Duration::from_secs)
}

fn days(text: Option<&str>) -> Parsed<Duration> {
    within(text, 1, 36_500).map(|days: u64| Duration::from_hours(24 * days))
}

fn choice<T: Copy>(text: Option<&str>, choices: &[(&str, T)]) -> Parsed<T> {
    let chosen = choices.iter().find(|(name, _)| Some(*name) == text).map(|(_, value)| *value);
    chosen.ok_or_else(|| format!("must be {}", choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" or ")))
}

fn list<T: std::str::FromStr>(text: Option<&str>, form: &str) -> Parsed<Vec<T>> {
    let parts = text.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_err(|_| format!("{form}; {part:?} is not"))).collect()
}

fn public_url(text: Option<&str>) -> Parsed<Option<Url>> {
    const FORM: &str = "must be scheme, host and port alone, for example https://keys.example.com";
    optional(text, |text| {
        let url = Url::parse(text).map_err(|_| FORM.to_owned())?;
        let bare = matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty();
        if bare { Ok(url) } else { Err(FORM.to_owned()) }
    })
}

fn origins(text: Option<&str>) -> Parsed<Vec<String>> {
    let origins: Vec<String> = list(text, "must be origins, separated by commas")?;
    origins
        .into_iter()
        .map(|origin| match public_url(Some(&origin)) {
            Ok(Some(url)) => Ok(url.origin().ascii_serialization()),
            _ => Err(format!("must be origins like https://app.example.com; {origin:?} is not")),
        })
        .collect()
}

/// `docs/settings.md`, made from the table.
#[must_use]
pub fn document() -> String {
    let mut text = String::from(
        "# Settings\n\n<!-- made from api/src/settings.rs by `keyrack openapi`; do not edit -->\n\n\
         Every setting is a variable, and a flag of every command that uses it, except secrets, which are variables \
         only. A flag wins over its variable. All faults are reported at once at start.\n\n\
         | variable | flag | default | what it does |\n|---|---|---|---|\n",
    );
    for row in TABLE {
        let flag = if row.secret { "—".to_owned() } else { format!("`--{}`", row.flag) };
        let default = row.default.map_or_else(|| row.default_note.to_owned(), |default| format!("`{default}`"));
        let _ = writeln!(text, "| `{}` | {flag} | {default} | {} |", row.variable(), row.help.trim());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Settings, Vec<Fault>> {
        Settings::read(|row| set.iter().find(|(flag, _)| *flag == row.flag).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_defaults_are_good() {
        let settings = read(&[]).unwrap_or_else(|faults| panic!("{faults:?}"));
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
        assert!(matches!(settings.database(), DatabaseUrl::Sqlite(_)));
    }

    #[test]
    fn every_fault_is_reported_at_once_with_its_variable() {
        let faults = read(&[
            ("listen", "here"),
            ("public-url", "https://x.example.com/path"),
            ("database-url", "mysql://x"),
            ("root-secret", "short"),
            ("key-prefix", "K"),
            ("signup", "maybe"),
            ("egress-allow", "10.0.0.0/8,lan"),
            ("allowed-origins", "app"),
            ("workers", "0"),
            ("body-limit", "1"),
            ("upstream-idle-timeout", "soon"),
            ("call-retention-days", "0"),
            ("usage-retention-days", "a year"),
            ("run-retention-days", "0"),
            ("runs-at-once", "all"),
            ("runs-waiting", "0"),
            ("run-timeout", "0"),
            ("log-format", "xml"),
            ("smtp-url", "mx.example.com"),
            ("smtp-from", "keys"),
            ("trusted-proxies", "proxy"),
            ("assertion-key-days", "never"),
        ])
        .err()
        .expect("faults");
        assert_eq!(faults.len(), 22, "{faults:#?}");
        assert!(faults.iter().all(|fault| fault.variable.starts_with("KEYRACK_") && !fault.message.contains("short")));
    }

    #[test]
    fn postgres_needs_a_root_secret_and_a_public_address_a_public_url() {
        let faults =
            read(&[("database-url", "postgres://db/keyrack"), ("listen", "0.0.0.0:80")]).err().expect("faults");
        let names: Vec<_> = faults.iter().map(|fault| fault.variable.as_str()).collect();
        assert_eq!(names, ["KEYRACK_ROOT_SECRET", "KEYRACK_PUBLIC_URL"]);
    }

    #[test]
    fn a_mail_server_needs_a_sender() {
        let faults = read(&[("smtp-url", "smtp://localhost")]).err().expect("faults");
        assert_eq!(faults[0].variable, "KEYRACK_SMTP_FROM");
        assert!(read(&[("smtp-url", "smtp://localhost"), ("smtp-from", "keys@example.com")]).is_ok());
    }
}
