//! The binary `keyrack`.

use std::process::ExitCode;

fn main() -> ExitCode {
    api::entry::main()
}
