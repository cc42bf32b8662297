//! A node is partitioned from the database, paused, killed, or its clock is stepped; another one serves beside it.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use support::{App, AppOptions, Store, Wire, Workbench, postgres};

use super::Driver;
use super::drive::{Fault, SLACK, drive};
use super::site::{Seen, Site};
use super::table::Op;
use crate::program::{Setup, signal};

pub const FAULTS: [Driver; 4] = [
    ("node partitioned", || partitioned().boxed_local()),
    ("node paused", || paused().boxed_local()),
    ("node killed", || killed().boxed_local()),
    ("clock stepped", || stepped().boxed_local()),
];

/// The longest that a change waits for a node that is gone: others take its lease away after five seconds.
const LEASE: Duration = Duration::from_secs(6);

/// Whatever becomes of one node, the other answers.
async fn others_are_well(other: Arc<Site>) {
    let ask = |op| {
        let other = Arc::clone(&other);
        async move { (op, other.ask(op).await) }
    };
    for (op, seen) in futures_util::future::join_all(Op::ALL.map(ask)).await {
        assert!(seen.is(op.fine()), "{op:?} at another node: {seen:?}");
        let limit = if op == Op::Manage { LEASE } else { Duration::from_secs(1) };
        assert!(seen.took < limit + SLACK, "{op:?} at another node: {:?}", seen.took);
    }
}

async fn partitioned() {
    let url = postgres::database().await;
    let (wire, through) = Wire::to_database(&url).await;
    let a = App::node("a", &url).await;
    let settings = [("signup", "open"), ("node-name", "c"), ("database-url", &through), ("database-timeout", "5")];
    let settings = settings.map(|(name, value)| (name, value.to_owned())).into();
    let c = App::with(AppOptions { store: Store::Postgres, settings }).await;
    let bench = Workbench::start();
    let site = Arc::new(Site::at(&c.base, &bench.url).await);
    let other = Arc::new(site.seen_from(&a.base));
    let at_once = RefCell::new(None);
    let fault = Fault {
        name: "node partitioned",
        begin: async || {
            wire.stall();
            drop(at_once.replace(Some(tokio::spawn(others_are_well(Arc::clone(&other))))));
        },
        later: Duration::from_secs(6),
        meanwhile: async || {
            at_once.take().expect("it began").await.expect("the other node is well");
            others_are_well(Arc::clone(&other)).await;
        },
        // Worse than a wire that is whole again: the connections from before stay as they are.
        end: async || wire.mend_for_new_connections(),
    };
    drive(&site, fault).await;
}

fn long() -> Option<Duration> {
    let set = std::env::var("KEYRACK_TEST_PAUSE_SECONDS").ok()?;
    set.parse().ok().map(Duration::from_secs)
}

fn setup<'a>(data: &'a tempfile::TempDir, url: &'a str) -> Setup<'a> {
    let listen = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    Setup { data: data.path(), database: Some(url), listen: listen.to_string(), more: vec![] }
}

async fn paused() {
    let (url, data) = (postgres::database().await, tempfile::tempdir().expect("a directory"));
    let a = App::node("a", &url).await;
    let process = setup(&data, &url).start();
    let bench = Workbench::start();
    let site = Arc::new(Site::at(&process.base, &bench.url).await);
    let other = Arc::new(site.seen_from(&a.base));
    let fault = Fault {
        name: "node paused",
        begin: async || signal(&process, "-STOP"),
        later: long().unwrap_or(Duration::from_secs(6)),
        meanwhile: async || others_are_well(Arc::clone(&other)).await,
        end: async || signal(&process, "-CONT"),
    };
    drive(&site, fault).await;
}

async fn killed() {
    let (url, data) = (postgres::database().await, tempfile::tempdir().expect("a directory"));
    let a = App::node("a", &url).await;
    let setup = setup(&data, &url);
    let process = RefCell::new(setup.start());
    let bench = Workbench::start();
    let base = process.borrow().base.clone();
    let site = Arc::new(Site::at(&base, &bench.url).await);
    let other = Arc::new(site.seen_from(&a.base));
    let fault = Fault {
        name: "node killed",
        begin: async || process.borrow_mut().kill(),
        later: Duration::from_secs(3),
        meanwhile: async || others_are_well(Arc::clone(&other)).await,
        end: async || drop(process.replace(setup.start())),
    };
    drive(&site, fault).await;
}

fn libfaketime() -> PathBuf {
    let places = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let found = places.map(|place| place.path().join("faketime/libfaketime.so.1")).find(|file| file.exists());
    found.expect("libfaketime is not installed: run `tests/setup/clock`")
}

/// An hour forward and, later, an hour behind what it should be.
async fn stepped() {
    let (url, data) = (postgres::database().await, tempfile::tempdir().expect("a directory"));
    let a = App::node("a", &url).await;
    let clock = data.path().join("clock");
    let step = |by: &str| {
        // In one go: it is read at any time.
        let next = clock.with_extension("next");
        std::fs::write(&next, by).and_then(|()| std::fs::rename(&next, &clock)).expect("the clock can be set");
    };
    step("+0");
    let mut setup = setup(&data, &url);
    setup.more = vec![
        ("LD_PRELOAD", libfaketime().display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", clock.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let process = setup.start();
    let bench = Workbench::start();
    let site = Arc::new(Site::at(&process.base, &bench.url).await);
    let other = Arc::new(site.seen_from(&a.base));
    let soon = site.ends_in(Duration::from_mins(30)).await;
    let fault = Fault {
        name: "clock stepped",
        begin: async || {
            step("+1h");
            // Sessions are for a quarter of an hour of this node's clock; nothing else is over.
            until(&site, &soon, 401).await;
            let refused = site.ask(Op::Audit).await;
            assert_eq!(refused.status, Some(401), "{refused:?}");
            assert_eq!(site.sign_in().await.status, Some(200));
        },
        later: Duration::from_secs(6),
        meanwhile: async || {
            others_are_well(Arc::clone(&other)).await;
            step("-1h");
            until(&site, &soon, 200).await;
            let signed_in = site.sign_in().await;
            assert_eq!(signed_in.status, Some(200), "{signed_in:?}");
            for op in Op::ALL {
                let seen = site.ask(op).await;
                assert!(seen.is(op.fine()), "an hour behind, {op:?}: {seen:?}");
            }
        },
        end: async || {
            step("+0");
            assert_eq!(site.sign_in().await.status, Some(200));
        },
    };
    drive(&site, fault).await;
}

/// Returns when this key is answered so at this node.
async fn until(site: &Arc<Site>, key: &super::site::Token, status: u16) {
    let began = Instant::now();
    loop {
        let seen: Seen = site.seen(site.by(key, reqwest::Method::GET, "/api/v1/me")).await;
        if seen.status == Some(status) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "not {status}: {seen:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
