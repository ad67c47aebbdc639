//! Logs: one event per line on stderr, human on a terminal, JSON otherwise.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// Starts logging for a broker. `CORELANE_LOG` takes tracing's filter syntax ("debug", "corelane::storage=trace").
pub(super) fn start() {
    let filter = EnvFilter::try_from_env("CORELANE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    // Only a second start in one process can fail; the first one then goes on logging.
    let _ = if stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().try_init()
    };
}
