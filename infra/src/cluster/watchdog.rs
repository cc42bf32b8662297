//! Ends what is under way when the lease is over. Requests that begin then ask the database; those that began before, and
//! streams, would go on with keys that others have revoked and say so in a receipt.
//!
//! On a thread of its own: whatever becomes of what keeps the lease, this goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Lease;
use crate::cache::Caches;

/// Longest sleep: a machine that slept notices the end of its lease no later than this after it wakes.
const LONGEST: Duration = Duration::from_millis(250);
/// How long what began without a lease may go on without one.
const WITHOUT: Duration = Duration::from_secs(1);

/// Watches a node's lease from when it has its first.
#[derive(Debug, Clone)]
pub struct Watchdog(Arc<AtomicBool>);

impl Watchdog {
    /// Begins to watch.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(lease: Arc<Lease>, caches: Caches) -> std::io::Result<Self> {
        let stopped = Arc::<AtomicBool>::default();
        let seen = Arc::clone(&stopped);
        let watch = move || watch(&lease, &caches, &seen);
        std::thread::Builder::new().name("keyrack-watchdog".to_owned()).spawn(watch)?;
        Ok(Self(stopped))
    }

    /// From now on it does nothing: the node gives up its lease by itself.
    pub fn stop(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn watch(lease: &Lease, caches: &Caches, stopped: &AtomicBool) {
    let over = || stopped.load(Ordering::SeqCst);
    while !lease.holds() && !over() {
        sleep(LONGEST);
    }
    while !over() {
        match lease.left() {
            None => return,
            Some(left) if left > Duration::ZERO => sleep(left.min(LONGEST)),
            Some(_) => {
                tracing::warn!("this node has no lease: it asks the database each time, and ends what is under way");
                caches.forget_everything();
                without(lease, caches, over);
            }
        }
    }
}

fn without(lease: &Lease, caches: &Caches, over: impl Fn() -> bool) {
    let mut since = Instant::now();
    while !lease.holds() && !over() {
        sleep(LONGEST);
        if since.elapsed() >= WITHOUT && !lease.holds() && !over() {
            caches.forget_everything();
            since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::id::{OrganizationId, TenantUserId};
    use domain::tenant::{Tenant, TenantText};

    use super::super::Moment;
    use super::*;
    use crate::cache::Change;

    #[test]
    fn what_was_remembered_is_forgotten_when_the_lease_is_over_whoever_sleeps_meanwhile() {
        let lease = Arc::new(Lease::none());
        let caches = Caches::new(8, &lease);
        let (organization, id) = (OrganizationId::new(), TenantUserId::new());
        let user = TenantText::new("marina").expect("an id");
        let tenant = Tenant::Below { org: None, user: Some((id, user.clone())) };
        let change = Change::TenantUserChanged { organization, id, org: None, user, suspended: true };
        let watchdog = Watchdog::start(Arc::clone(&lease), caches.clone()).expect("a thread");
        lease.hold_until(Moment::now().after(Duration::from_millis(600)));
        caches.apply(&change);
        // What keeps the lease hangs on this thread.
        let began = Instant::now();
        while caches.suspended.covers(&tenant) {
            assert!(began.elapsed() < Duration::from_secs(10), "nobody watches");
            sleep(Duration::from_millis(5));
        }
        assert!(!lease.holds());
        watchdog.stop();
    }
}
