//! The binary `keyrack`, built beside the suite so that its tests can start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    api::entry::main()
}
