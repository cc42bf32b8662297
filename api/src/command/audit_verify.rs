//! `keyrack audit verify`: whether the audit log is what was written, in the database or in an export.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use clap::ArgMatches;
use domain::audit::checkpoint::{CheckpointKeys, Content};
use domain::audit::entry::AuditEntry;
use domain::audit::verify::{ChainVerifier, Record, Report};
use infra::db::{AuditCheck, Database, DatabaseUrl};
use infra::token::{Ed25519CheckpointSigner, JwkSet, PublicKeys};

use super::chain;
use crate::root_secret;
use crate::settings::Settings;
use crate::v1::audit_events::lines;

/// Most bytes of a line; no event has so many.
const LINE_MAX: u64 = 1 << 20;
/// How often a long log says how far it is.
const PROGRESS: Duration = Duration::from_secs(2);

/// Verifies and prints what is wrong, one line per fault. `settings` are read for the database alone.
///
/// # Errors
/// How many faults there are, or what kept it from looking.
pub async fn run(settings: impl FnOnce() -> Result<Settings, String>, matches: &ArgMatches) -> Result<(), String> {
    let given = public_keys(matches)?;
    match matches.get_one::<String>("export") {
        Some(file) => export(file, given),
        None => database(&settings()?, given).await,
    }
}

/// The keys that the arguments give.
fn public_keys(matches: &ArgMatches) -> Result<Option<PublicKeys>, String> {
    let mut keys = PublicKeys::Known(vec![]);
    for key in matches.get_many::<String>("public-key").into_iter().flatten() {
        keys.add(key).map_err(|error| format!("--public-key: {error}"))?;
    }
    if let Some(file) = matches.get_one::<String>("jwks") {
        let fault = |error: &dyn std::fmt::Display| format!("--jwks {file}: {error}");
        let text = std::fs::read(file).map_err(|error| fault(&error))?;
        let set: JwkSet = serde_json::from_slice(&text).map_err(|error| fault(&error))?;
        keys.add_all(&set).map_err(|error| fault(&error))?;
    }
    Ok(matches!(&keys, PublicKeys::Known(known) if !known.is_empty()).then_some(keys))
}

fn export(file: &str, given: Option<PublicKeys>) -> Result<(), String> {
    let unknown_origin = given.is_none();
    let keys = given.unwrap_or(PublicKeys::AnyOne);
    let report = if file == "-" {
        verify_export(io::stdin().lock(), keys)
    } else {
        File::open(file).and_then(|file| verify_export(BufReader::new(file), keys))
    };
    let report = report.map_err(|error| format!("{file}: {error}"))?;
    print(&report);
    if unknown_origin && report.checkpoints > 0 {
        println!(
            "note  the checkpoints were verified with the key that the export itself brings; give --jwks or --public-key \
             to know whose it is"
        );
    }
    end(report.faults.len() as u64 + report.unlisted)
}

async fn database(settings: &Settings, given: Option<PublicKeys>) -> Result<(), String> {
    let url = settings.database();
    if let DatabaseUrl::Sqlite(path) = &url
        && !path.exists()
    {
        return Err(format!("there is no database at {}", path.display()));
    }
    // One connection reads the log; PostgreSQL's pool has one more.
    let database = Database::open(&url, 1).await.map_err(|fault| chain(&fault))?;
    if database.standing().await.map_err(|fault| chain(&fault))?.pending > 0 {
        return Err("the database is of an earlier version; run `keyrack migrate` first".to_owned());
    }
    let known = database.root_fingerprint().await.map_err(|fault| chain(&fault))?;
    let known = known.ok_or("the database was never used")?;
    // What is sealed under one that is not given is not looked at here.
    let obtained = root_secret::obtain(settings, Some(&known), None).map_err(|fault| chain(&fault))?;
    let (root, other) = (&obtained.current, obtained.other());
    let retired = database.retired_signers(root, other).await.map_err(|fault| chain(&fault))?;
    let mut keys = Ed25519CheckpointSigner::derive(root).keys().and(retired);
    if let (PublicKeys::Known(keys), Some(PublicKeys::Known(given))) = (&mut keys, given) {
        keys.extend(given);
    }
    let check = AuditCheck::new(database.clone());
    let mut faults = 0;
    for organization in check.organizations().await.map_err(|fault| chain(&fault))? {
        let mut told = Instant::now();
        let progress = |rows: u64| {
            if told.elapsed() >= PROGRESS {
                told = Instant::now();
                eprintln!("      {organization}: {rows} rows so far");
            }
        };
        let report = check.verify(organization, keys.clone(), progress).await.map_err(|fault| chain(&fault))?;
        print(&report);
        faults += report.faults.len() as u64 + report.unlisted;
    }
    database.close().await.map_err(|fault| chain(&fault))?;
    end(faults)
}

/// Verifies an export that `file` gives, to its end.
///
/// # Errors
/// When it cannot be read; what is wrong with it is in the report.
pub fn verify_export(mut file: impl BufRead, keys: impl CheckpointKeys) -> io::Result<Report> {
    let mut verifier = ChainVerifier::new(None, keys);
    let (mut content, mut line) = (Content::default(), Vec::new());
    loop {
        line.clear();
        if file.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(verifier.finish_export());
        }
        match lines::read(&line) {
            Some(Record::Row(link)) => verifier.row(&link),
            Some(Record::Checkpoint(signed)) => verifier.checkpoint(&signed, Some(content.hash())),
            None => verifier.unreadable(),
        }
        content.update(&line);
    }
}

fn print(report: &Report) {
    let whose = match report.organization {
        None => "no organization".to_owned(),
        Some(AuditEntry::NOBODYS) => "nobody's organization".to_owned(),
        Some(organization) => organization.to_string(),
    };
    for fault in &report.faults {
        println!("FAULT {whose} {}: {}", fault.seq, fault.finding);
    }
    if report.unlisted > 0 {
        println!("FAULT {whose}: and {} more", report.unlisted);
    }
    let rows = match report.rows {
        None => "no rows".to_owned(),
        Some((first, last)) => format!("rows {first} to {last}"),
    };
    let vouched = match report.vouched {
        None => "no checkpoint".to_owned(),
        Some((seq, at)) => format!("{} checkpoints, the newest of row {seq} at {at}", report.checkpoints),
    };
    println!("{} {whose}: {rows}; {vouched}", if report.is_sound() { "ok   " } else { "     " });
    if let Some((from, to)) = report.range {
        let time = |time: Option<domain::time::Timestamp>, none: &str| {
            time.map_or_else(|| none.to_owned(), |time| time.to_string())
        };
        println!(
            "note  {whose}: a segment of the log, from {} to {}; what stands before and after it was not looked at",
            time(from, "the beginning"),
            time(to, "the time of the export")
        );
    }
}

fn end(faults: u64) -> Result<(), String> {
    match faults {
        0 => Ok(()),
        1 => Err("the audit log is not what was written: 1 fault".to_owned()),
        faults => Err(format!("the audit log is not what was written: {faults} faults")),
    }
}
