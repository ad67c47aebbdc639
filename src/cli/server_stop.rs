//! `kafka-server-stop.sh`: asks every broker of this machine to stop cleanly (SIGTERM).

use std::process::ExitCode;

use crate::rt::tool;

#[derive(clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: Args) -> anyhow::Result<ExitCode> {
    let mut brokers = Vec::new();
    for command in [
        &["corelane", "start"][..],
        &["kafka-server-start.sh"],
        &["kafka-server-start"],
    ] {
        brokers.extend(tool::processes(command)?);
    }
    if brokers.is_empty() {
        println!("No kafka server to stop");
        return Ok(ExitCode::FAILURE);
    }
    for pid in brokers {
        tool::terminate(pid)?;
        println!("asked process {pid} to stop");
    }
    Ok(ExitCode::SUCCESS)
}
