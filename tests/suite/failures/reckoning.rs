//! After a fault: everything that was promised is there, and the audit log has every decision that was answered.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::site::Site;
use super::table::Row;
use crate::program::audit_verify;

/// How long what was promised may take to be seen.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an export tells.
struct Log {
    requests: HashSet<String>,
    /// What was done to what, how often.
    done: HashMap<(String, String), usize>,
}

pub async fn reckon(site: &Arc<Site>, row: &Row) {
    let (created, revoked, runs) = {
        let promised = site.promised();
        (promised.created.clone(), promised.revoked.clone(), promised.runs.clone())
    };
    for key in &created {
        let used = site.seen(site.by(key, Method::GET, "/api/v1/me")).await;
        assert_eq!(used.status, Some(200), "{}: a key that was created is not there: {used:?}", row.fault);
    }
    for key in &revoked {
        let used = site.seen(site.by(key, Method::GET, "/api/v1/me")).await;
        assert_eq!(used.status, Some(401), "{}: a key that was revoked is back: {used:?}", row.fault);
    }
    let mut ends: HashMap<String, usize> = HashMap::new();
    for run in &runs {
        *ends.entry(over(site, run).await).or_default() += 1;
    }
    // Those before and after the fault pass, whatever becomes of those within it.
    let strangers = ends.keys().find(|end| *end != "pass" && *end != row.ends());
    assert!(strangers.is_none(), "{}: runs ended as {ends:?}", row.fault);
    assert!(ends.contains_key(row.ends()), "{}: runs ended as {ends:?}", row.fault);
    let log = complete(site, row).await;
    let count = |action: &str, id: &str| log.done.get(&(action.to_owned(), id.to_owned())).copied().unwrap_or(0);
    for (action, ids) in [
        ("key.create", created.iter().map(|key| &key.id).collect::<Vec<_>>()),
        ("key.revoke", revoked.iter().map(|key| &key.id).collect()),
        ("run.dispatch", runs.iter().collect()),
        ("run.finish", runs.iter().collect()),
    ] {
        for id in ids {
            assert_eq!(count(action, id), 1, "{}: {action} of {id}", row.fault);
        }
    }
}

/// How a run ended.
async fn over(site: &Arc<Site>, run: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = site.seen(site.by_owner(Method::GET, &format!("/api/v1/runs/{run}"))).await;
        assert_eq!(seen.status, Some(200), "a run that was accepted: {seen:?}");
        match seen.json()["status"].as_str() {
            Some("pending" | "running") => assert!(Instant::now() < deadline, "{run} does not end: {seen:?}"),
            Some(end) => {
                if end == "error" {
                    println!("failures: {run} ended as an error: {}", seen.body);
                }
                return end.to_owned();
            }
            None => panic!("{seen:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The log when every decision that was answered is in it; its chain holds.
async fn complete(site: &Arc<Site>, row: &Row) -> Log {
    let deadline = Instant::now() + PATIENCE;
    let wanted = site.promised().decided.clone();
    loop {
        let (text, log) = export(site).await;
        let missing: Vec<&String> = wanted.iter().filter(|request| !log.requests.contains(*request)).collect();
        if missing.is_empty() {
            println!("failures: {}: {} decisions are in the log", row.fault, wanted.len());
            audit_verify(&text);
            return log;
        }
        assert!(
            Instant::now() < deadline,
            "{}: {} of {} decisions that were answered are in no log: {missing:?}",
            row.fault,
            missing.len(),
            wanted.len()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn export(site: &Arc<Site>) -> (String, Log) {
    let request = site.by_owner(Method::GET, "/api/v1/audit-events/export");
    let text = request.send().await.expect("an answer").text().await.expect("an export");
    let mut log = Log { requests: HashSet::new(), done: HashMap::new() };
    for event in text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
        if let Some(request) = event["requestId"].as_str() {
            log.requests.insert(request.to_owned());
        }
        let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        *log.done.entry((part(&event["action"]), part(&event["target"]["id"]))).or_default() += 1;
    }
    (text, log)
}
