//! The `corelane` binary: arguments → subcommand → exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    corelane::cli::main(std::env::args().collect())
}
