//! `keyrack` with a log that forgets every decision: what the audit log costs is the difference to the real one. Changes
//! are still recorded, since they and their rows are one transaction. For `tests/bench/load --audit-cost` alone; the
//! product has no such switch.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use domain::audit::{AuditEvent, AuditLog, Saturated};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

struct Forgets;

#[async_trait]
impl AuditLog for Forgets {
    fn try_record(&self, _: AuditEvent) -> Result<(), Box<AuditEvent>> {
        Ok(())
    }

    async fn record(&self, _: AuditEvent) -> Result<(), Saturated> {
        Ok(())
    }

    async fn settle(&self) -> Result<(), Saturated> {
        Ok(())
    }

    fn count_anonymous(&self, _: &'static str, _: &'static str) {}

    fn count_throttled(&self, _: &'static str) {}
}

fn main() -> ExitCode {
    api::entry::main_recording(|_| Arc::new(Forgets))
}
