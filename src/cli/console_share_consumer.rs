//! `kafka-console-share-consumer.sh`: prints the records of a topic as a member of a share group.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use super::connect::{ConnectArgs, properties};
use super::console_consumer::{INTERRUPTED, OUTPUT_BYTES};
use super::format::Formatter;
use crate::client::{ClientError, ShareAnswer, ShareConsumer};
use crate::rt::{now, tool};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
    /// The topic to read
    #[arg(long)]
    topic: String,
    /// The share group to read in
    #[arg(long, default_value = "console-share-consumer")]
    group: String,
    /// Stop after this many records
    #[arg(long)]
    max_messages: Option<u64>,
    /// Stop when no record has come for this many milliseconds
    #[arg(long)]
    timeout_ms: Option<u64>,
    /// Reject the records instead of accepting them: nobody gets them again
    #[arg(long, conflicts_with = "release")]
    reject: bool,
    /// Release the records instead of accepting them: others get them
    #[arg(long)]
    release: bool,
    /// print.timestamp, print.key, print.offset, print.partition, print.headers, print.value, key.separator, line.separator, headers.separator, null.literal
    #[arg(long = "property", visible_alias = "formatter-property", value_name = "KEY=VALUE")]
    properties: Vec<String>,
    /// Print each record as a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let formatter = Formatter::new(&properties(&args.properties)?, args.json)?;
    let cluster = args.connect.cluster("console-share-consumer")?;
    let interrupted = tool::interrupted()?;
    let answer = match (args.reject, args.release) {
        (true, _) => ShareAnswer::Reject,
        (_, true) => ShareAnswer::Release,
        _ => ShareAnswer::Accept,
    };
    let mut consumer = ShareConsumer::join(cluster, &args.group, &args.topic, answer)?;
    let mut out = BufWriter::with_capacity(OUTPUT_BYTES, io::stdout().lock());
    let mut printed = 0;
    let mut last_record_at = now();
    let code = loop {
        if args.max_messages.is_some_and(|most| printed >= most) {
            break ExitCode::SUCCESS;
        }
        if interrupted.is_set() {
            break ExitCode::from(INTERRUPTED);
        }
        let idle = now().since(last_record_at);
        if args.timeout_ms.is_some_and(|most| idle >= Duration::from_millis(most)) {
            eprintln!("no record for {} ms, as --timeout-ms asks", idle.as_millis());
            break ExitCode::SUCCESS;
        }
        let records = match consumer.poll() {
            Err(ClientError::Broken(..)) if interrupted.is_set() => continue,
            records => records?,
        };
        for record in &records {
            if args.max_messages.is_some_and(|most| printed >= most) {
                consumer.give_back(record);
                continue;
            }
            formatter
                .print(&mut out, record)
                .context("write to the standard output")?;
            printed += 1;
        }
        if !records.is_empty() {
            last_record_at = now();
        }
        out.flush().context("write to the standard output")?;
    };
    consumer.close()?;
    eprintln!("Processed a total of {printed} messages");
    Ok(code)
}
