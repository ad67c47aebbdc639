//! `corelane measure`: a few figures of this machine, a line each; `tuning/tune measure` compares them.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::rt::gauge;

#[derive(clap::Args)]
pub(super) struct Args {
    /// A directory on the disk to be measured; it is left as it was
    dir: PathBuf,
}

/// Prints name, value, unit and which way is better, separated by tabs.
pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let shown = args.dir.display();
    let mut gauges = gauge::disk(&args.dir).with_context(|| format!("write in {shown} with direct I/O"))?;
    gauges.extend(gauge::loopback().context("send over the loopback")?);
    for gauge in gauges {
        let better = if gauge.higher_is_better { "higher" } else { "lower" };
        println!("{}\t{:.1}\t{}\t{better}", gauge.name, gauge.value, gauge.unit);
    }
    Ok(ExitCode::SUCCESS)
}
