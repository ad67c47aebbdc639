//! The composition root: builds everything once, starts the shards, owns the order of shutdown.

use std::process::ExitCode;

use crate::config::BrokerConfig;

pub fn run(config: BrokerConfig) -> anyhow::Result<ExitCode> {
    let _ = config;
    anyhow::bail!("x")
}
