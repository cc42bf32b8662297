//! Counting a call: that it was made, whether it failed, and how long its answer took to begin.

use std::time::Instant;

use actix_web::http::StatusCode;
use domain::key::port::LiveKey;
use domain::time::{Clock, SystemClock};
use domain::usage::{Hour, Slot};
use infra::usage::UsageMeter;

use super::Admitted;

/// A call of an admitted caller, counted when it is answered, or when its caller leaves before that.
///
/// It failed when its answer's status says so: a 5xx of the upstream's, or any refusal of ours after the caller was
/// admitted. A caller that left did not get an answer, so that is a failure too.
pub struct MeteredCall<'a> {
    meter: &'a UsageMeter,
    slot: Slot,
    began: Instant,
    failed: bool,
}

impl<'a> MeteredCall<'a> {
    /// Begins.
    pub(super) fn begin(meter: &'a UsageMeter, admitted: &Admitted) -> Self {
        let facts = admitted.live.facts();
        let slot = Slot {
            organization: facts.organization.id,
            key: facts.id,
            server: admitted.server.record().id,
            hour: Hour::of(SystemClock.now()),
        };
        Self { meter, slot, began: Instant::now(), failed: true }
    }

    /// The upstream's answer goes to the caller.
    pub(super) fn answered(mut self, status: StatusCode) {
        self.failed = status.is_server_error();
    }

    /// It came to nothing on our side.
    pub(super) fn refused(self) {
        drop(self);
    }
}

impl Drop for MeteredCall<'_> {
    fn drop(&mut self) {
        self.meter.count(self.slot, self.began.elapsed(), self.failed);
    }
}
