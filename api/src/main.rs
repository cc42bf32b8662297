//! The binary `keyrack`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

// Events are made on one thread and freed on another, and a process runs for months: both cost less here than in the
// system's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    api::entry::main()
}
