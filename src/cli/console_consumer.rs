//! `kafka-console-consumer.sh`: prints the records of a topic, without a group: every partition, or one.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::connect::{ConnectArgs, properties};
use super::format::Formatter;
use crate::client::{ClientError, Consumer, ConsumerSettings, Position};
use crate::rt::{now, tool};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
    /// The topic to read
    #[arg(long)]
    topic: String,
    /// Only this partition; by default it is read from its end
    #[arg(long)]
    partition: Option<i32>,
    /// Where to begin in the partition: earliest, latest or an offset
    #[arg(long, requires = "partition")]
    offset: Option<String>,
    /// Begin with the oldest record instead of the next one
    #[arg(long, conflicts_with = "offset")]
    from_beginning: bool,
    /// Stop after this many records
    #[arg(long)]
    max_messages: Option<u64>,
    /// Stop when no record has come for this many milliseconds
    #[arg(long)]
    timeout_ms: Option<u64>,
    /// read_uncommitted or read_committed
    #[arg(long, default_value = "read_uncommitted", value_parser = ["read_uncommitted", "read_committed"])]
    isolation_level: String,
    /// print.timestamp, print.key, print.offset, print.partition, print.headers, print.value, key.separator, line.separator, headers.separator, null.literal
    #[arg(long = "property", visible_alias = "formatter-property", value_name = "KEY=VALUE")]
    properties: Vec<String>,
    /// fetch.min.bytes, fetch.max.bytes, max.partition.fetch.bytes, fetch.max.wait.ms, auto.offset.reset of Kafka's consumer
    #[arg(
        long = "consumer-property",
        visible_alias = "command-property",
        value_name = "KEY=VALUE"
    )]
    consumer_properties: Vec<String>,
    /// Print each record as a JSON object
    #[arg(long)]
    json: bool,
    /// Read as a member of this group: not possible yet
    #[arg(long)]
    group: Option<String>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(group) = &args.group {
        bail!("--group {group}: this tool is no member of groups yet; without --group all partitions are read");
    }
    let formatter = Formatter::new(&properties(&args.properties)?, args.json)?;
    let cluster = args.connect.cluster("console-consumer")?;
    let interrupted = tool::interrupted()?;
    let mut consumer = Consumer::open(cluster, &args.topic, args.partition, position(&args)?, settings(&args)?)?;
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
                break;
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
    out.flush()?;
    eprintln!("Processed a total of {printed} messages");
    Ok(code)
}

const OUTPUT_BYTES: usize = 1 << 20;
/// What a shell shows for a program that SIGINT ended: 128 + 2.
const INTERRUPTED: u8 = 130;

fn position(args: &Args) -> anyhow::Result<Position> {
    let given = properties(&args.consumer_properties)?;
    let reset = given.get("auto.offset.reset").map(String::as_str);
    match args.offset.as_deref() {
        Some("earliest") => Ok(Position::Earliest),
        Some("latest") => Ok(Position::Latest),
        Some(offset) => {
            let wrong = || format!("--offset {offset}: must be earliest, latest or a number that is not negative");
            let offset: i64 = offset.parse().with_context(wrong)?;
            if offset < 0 {
                bail!(wrong())
            } else {
                Ok(Position::Offset(offset))
            }
        }
        None if args.from_beginning || reset == Some("earliest") => Ok(Position::Earliest),
        None => Ok(Position::Latest),
    }
}

fn settings(args: &Args) -> anyhow::Result<ConsumerSettings> {
    let given = properties(&args.consumer_properties)?;
    let mut settings = ConsumerSettings {
        read_committed: args.isolation_level == "read_committed",
        ..Default::default()
    };
    let rows: BTreeMap<&str, &mut i32> = BTreeMap::from([
        ("fetch.min.bytes", &mut settings.min_bytes),
        ("fetch.max.bytes", &mut settings.max_bytes),
        ("max.partition.fetch.bytes", &mut settings.partition_max_bytes),
        ("fetch.max.wait.ms", &mut settings.max_wait_ms),
    ]);
    for (key, field) in rows {
        if let Some(value) = given.get(key) {
            *field = value.parse().with_context(|| format!("{key}={value}: not a number"))?;
        }
    }
    Ok(settings)
}
