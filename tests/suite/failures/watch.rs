//! Somebody who asks all the time: with a key that works, with one that was revoked, and with what never was a key.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Method;
use tokio::task::JoinHandle;

use super::site::{Seen, Site, Token};

/// How long between two questions.
const PAUSE: Duration = Duration::from_millis(40);

/// Asks until it is ended.
pub struct Watch {
    ended: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<usize>>,
}

impl Watch {
    pub fn begin(site: &Arc<Site>) -> Self {
        let ended = Arc::<AtomicBool>::default();
        let never = "kr_7Gk2mQ0xZt4Rv9Ab_0123456789abcdefghijABCDEFGHIJ0123456789abcdefghi".to_owned();
        let never = Token { id: String::new(), token: never };
        let who = [(site.good.clone(), good as fn(&Seen)), (site.bad.clone(), bad), (never, bad)];
        let tasks = who.map(|(key, judge)| tokio::spawn(ask(Arc::clone(site), key, judge, Arc::clone(&ended))));
        let shown = tokio::spawn(ask_of(Arc::clone(site), site.bad.clone(), Arc::clone(&ended)));
        Self { ended, tasks: tasks.into_iter().chain([shown]).collect() }
    }

    /// How often was answered. Panics where an answer was wrong.
    pub async fn end(self) -> usize {
        self.ended.store(true, Ordering::Relaxed);
        let mut answers = 0;
        for task in self.tasks {
            answers += task.await.expect("every answer was right");
        }
        answers
    }
}

/// What a key that works must never be told, whatever else is wrong.
pub fn good(seen: &Seen) {
    assert!(!matches!(seen.status, Some(401 | 403 | 404 | 500)), "a key that works was told {seen:?}");
}

/// What is no key, or none any more, is refused, or nobody can tell.
fn bad(seen: &Seen) {
    assert!(matches!(seen.status, None | Some(401 | 408 | 503)), "what is no key was told {seen:?}");
}

async fn ask(site: Arc<Site>, key: Token, judge: fn(&Seen), ended: Arc<AtomicBool>) -> usize {
    let mut answers = 0;
    while !ended.load(Ordering::Relaxed) {
        let seen = site.seen(site.by(&key, Method::GET, "/api/v1/me")).await;
        judge(&seen);
        answers += usize::from(seen.status.is_some());
        // A refusal of a key that once was one is in its organization's log.
        if seen.status == Some(401) && !key.id.is_empty() {
            site.decided(&seen);
        }
        tokio::time::sleep(PAUSE).await;
    }
    answers
}

/// Somebody else asks whether a key is good that was revoked.
async fn ask_of(site: Arc<Site>, key: Token, ended: Arc<AtomicBool>) -> usize {
    let mut answers = 0;
    while !ended.load(Ordering::Relaxed) {
        let seen = site.verified(&key).await;
        good(&seen);
        if seen.status == Some(200) {
            assert_eq!(seen.json()["valid"], false, "a revoked key is good: {seen:?}");
            answers += 1;
        }
        tokio::time::sleep(PAUSE).await;
    }
    answers
}
