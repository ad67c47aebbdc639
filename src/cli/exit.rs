//! Exit codes: 0 done, 1 failed, 2 wrong usage, 78 (sysexits' EX_CONFIG) a configuration that cannot be used.

use std::process::ExitCode;

/// The arguments make no sense.
pub(super) fn usage() -> ExitCode {
    ExitCode::from(2)
}

/// The configuration file cannot be used.
pub(super) fn config() -> ExitCode {
    ExitCode::from(78)
}

/// Turns an error into its message and exit code 1.
pub(super) fn report(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|problem| {
        eprintln!("{problem:#}");
        ExitCode::FAILURE
    })
}
