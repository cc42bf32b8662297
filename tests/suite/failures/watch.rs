//! Somebody who asks all the time: with a key that works, with one that was revoked, and with what never was a key.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use tokio::task::JoinHandle;

use super::site::{Seen, Site, Token};

/// How long between two questions.
const PAUSE: Duration = Duration::from_millis(40);
/// Answers that show something: where there is nobody to answer for most of the time, more are waited for at the end.
const ENOUGH: usize = 20;
/// How long.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks until it is ended.
pub struct Watch {
    ended: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watch {
    pub fn begin(site: &Arc<Site>) -> Self {
        let (ended, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let never = "kr_7Gk2mQ0xZt4Rv9Ab_0123456789abcdefghijABCDEFGHIJ0123456789abcdefghi".to_owned();
        let never = Token { id: String::new(), token: never };
        let who = [(site.good.clone(), good as fn(&Seen)), (site.bad.clone(), bad), (never, bad)];
        let until = || (Arc::clone(&ended), Arc::clone(&answers));
        let tasks = who.map(|(key, judge)| tokio::spawn(ask(Arc::clone(site), key, judge, until())));
        let shown = tokio::spawn(ask_of(Arc::clone(site), site.bad.clone(), until()));
        Self { tasks: tasks.into_iter().chain([shown]).collect(), ended, answers }
    }

    /// Panics where an answer was wrong, and where there are too few.
    pub async fn end(self, what: &str) {
        let began = Instant::now();
        while self.answers.load(Ordering::Relaxed) < ENOUGH && began.elapsed() < PATIENCE {
            tokio::time::sleep(PAUSE).await;
        }
        self.ended.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("every answer was right");
        }
        let answers = self.answers.load(Ordering::Relaxed);
        assert!(answers >= ENOUGH, "{what}: only {answers} answers");
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

/// Whether it is ended, and how often was answered.
type Until = (Arc<AtomicBool>, Arc<AtomicUsize>);

async fn ask(site: Arc<Site>, key: Token, judge: fn(&Seen), (ended, answers): Until) {
    while !ended.load(Ordering::Relaxed) {
        let seen = site.seen(site.by(&key, Method::GET, "/api/v1/me")).await;
        judge(&seen);
        answers.fetch_add(usize::from(seen.status.is_some()), Ordering::Relaxed);
        // A refusal of a key that once was one is in its organization's log.
        if seen.status == Some(401) && !key.id.is_empty() {
            site.decided(&seen);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Somebody else asks whether a key is good that was revoked.
async fn ask_of(site: Arc<Site>, key: Token, (ended, answers): Until) {
    while !ended.load(Ordering::Relaxed) {
        let seen = site.verified(&key).await;
        good(&seen);
        if seen.status == Some(200) {
            assert_eq!(seen.json()["valid"], false, "a revoked key is good: {seen:?}");
            answers.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
