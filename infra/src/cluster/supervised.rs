//! What keeps the lease must go on, and when it falls nobody may trust what it vouched for. A fault of the program in it, which
//! nobody foresaw, costs the lease and a moment, and no restart.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::Lease;
use crate::cache::Caches;

/// How long to wait before it is begun again: what it falls over may be there still.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether it is to be begun again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to end.
    Done,
    /// It could not begin.
    Again,
}

/// Runs it on this thread until it is done. When it ends otherwise, the lease is over at once, everything is forgotten and what
/// is under way ends; then it is begun again, and the node joins as another one.
pub fn run(lease: &Lease, caches: &Caches, mut keep: impl FnMut() -> Ended) {
    // Whatever it was in the middle of is dropped with it; it begins with nothing but what is asked next.
    while catch_unwind(AssertUnwindSafe(&mut keep)).unwrap_or(Ended::Again) != Ended::Done {
        lease.end();
        caches.forget_everything();
        tracing::error!("what keeps this node's lease fell; the lease is over, and the node joins anew");
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::id::{OrganizationId, TenantUserId};
    use domain::tenant::{Tenant, TenantText};

    use super::super::Moment;
    use super::*;
    use crate::cache::Change;

    #[test]
    fn when_what_keeps_the_lease_falls_the_lease_is_over_everything_is_forgotten_and_it_is_begun_again() {
        let lease = Arc::new(Lease::none());
        let caches = Caches::new(8, &lease);
        let (organization, id) = (OrganizationId::new(), TenantUserId::new());
        let user = TenantText::new("marina").expect("an id");
        let tenant = Tenant::Below { org: None, user: Some((id, user.clone())) };
        let (mut begun, mut found) = (0, Vec::new());
        run(&lease, &caches, || {
            begun += 1;
            // What is said here is heard by nobody: it would be begun again.
            found.push((lease.holds(), caches.suspended.covers(&tenant)));
            if begun == 3 {
                return Ended::Done;
            }
            lease.hold_until(Moment::now().after(Duration::from_hours(1)));
            let suspended =
                Change::TenantUserChanged { organization, id, org: None, user: user.clone(), suspended: true };
            caches.apply(&suspended);
            assert!(begun != 1, "nobody foresaw this");
            Ended::Again
        });
        assert_eq!(found, [(false, false); 3], "it began with a lease, or with what was remembered");
    }
}
