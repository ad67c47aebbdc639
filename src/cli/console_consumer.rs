//! `kafka-console-consumer.sh`: prints the records of a topic: as a member of a group, or without one every partition, or one.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::connect::{ConnectArgs, properties};
use super::format::Formatter;
use super::printing::{Printing, Source};
use crate::client::{ClientError, ConsumedRecord, Consumer, ConsumerSettings, GroupConsumer, GroupSettings, Position};

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
    /// fetch.min.bytes, fetch.max.bytes, max.partition.fetch.bytes, fetch.max.wait.ms, auto.offset.reset of Kafka's consumer;
    /// and in a group group.id, group.instance.id, session.timeout.ms, heartbeat.interval.ms, max.poll.interval.ms,
    /// enable.auto.commit, auto.commit.interval.ms
    #[arg(
        long = "consumer-property",
        visible_alias = "command-property",
        value_name = "KEY=VALUE"
    )]
    consumer_properties: Vec<String>,
    /// Print each record as a JSON object
    #[arg(long)]
    json: bool,
    /// Read as a member of this group, on from what it has committed, and commit what was printed. Without a group all
    /// partitions are read and nothing is committed
    #[arg(long, conflicts_with = "partition")]
    group: Option<String>,
}

/// Settings of Kafka's consumer: those of the file, and over them those of the flags.
type Given = BTreeMap<String, String>;

/// Whoever reads: without a group or in one.
enum Reader {
    Alone(Box<Consumer>),
    Member(Box<GroupConsumer>),
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let printing = Printing {
        formatter: Formatter::new(&properties(&args.properties)?, args.json)?,
        max_messages: args.max_messages,
        timeout_ms: args.timeout_ms,
    };
    printing.run(|| Reader::open(&args))
}

impl Reader {
    fn open(args: &Args) -> anyhow::Result<Reader> {
        let mut given: Given = args.connect.config()?.to_map();
        let flags = properties(&args.consumer_properties)?;
        let named = [args.group.as_ref(), flags.get("group.id"), given.get("group.id")];
        let group = group_of(args, named.into_iter().flatten())?;
        given.extend(flags);
        let (start, settings) = (position(args, &given)?, settings(args, &given)?);
        let group = group.map(|group| group_settings(&group, &given)).transpose()?;
        let cluster = args.connect.cluster("console-consumer")?;
        Ok(match group {
            None => {
                let consumer = Consumer::open(cluster, &args.topic, args.partition, start, settings)?;
                Reader::Alone(Box::new(consumer))
            }
            Some(group) => {
                let member = GroupConsumer::open(cluster, &args.topic, start, settings, group)?;
                Reader::Member(Box::new(member))
            }
        })
    }
}

impl Source for Reader {
    fn poll(&mut self) -> Result<Vec<ConsumedRecord>, ClientError> {
        match self {
            Reader::Alone(consumer) => consumer.poll(),
            Reader::Member(member) => member.poll(),
        }
    }

    /// Records that were not printed are not committed.
    fn put_back(&mut self, records: &[ConsumedRecord]) {
        if let Reader::Member(member) = self {
            member.put_back(records);
        }
    }

    fn close(self) -> Result<(), ClientError> {
        match self {
            Reader::Alone(_) => Ok(()),
            Reader::Member(member) => member.close(),
        }
    }
}

/// The one group that is named, wherever it is.
fn group_of<'a>(args: &Args, mut named: impl Iterator<Item = &'a String>) -> anyhow::Result<Option<String>> {
    let Some(group) = named.next() else {
        return Ok(None);
    };
    if let Some(other) = named.find(|other| *other != group) {
        bail!(
            "group {group} and group {other} are both named (--group, group.id of --consumer-property or --command-config)"
        );
    }
    if args.partition.is_some() {
        bail!("group {group}: a group and --partition cannot be given together");
    }
    Ok(Some(group.clone()))
}

fn group_settings(group: &str, given: &Given) -> anyhow::Result<GroupSettings> {
    if given
        .get("group.protocol")
        .is_some_and(|protocol| !protocol.eq_ignore_ascii_case("classic"))
    {
        bail!("group.protocol: this tool joins by the classic protocol");
    }
    let mut settings = GroupSettings {
        instance_id: given.get("group.instance.id").cloned(),
        ..GroupSettings::new(group)
    };
    let mut commit_interval = settings.commit_interval.unwrap_or_default();
    for (key, field) in [
        ("session.timeout.ms", &mut settings.session_timeout),
        ("heartbeat.interval.ms", &mut settings.heartbeat_interval),
        ("max.poll.interval.ms", &mut settings.rebalance_timeout),
        ("auto.commit.interval.ms", &mut commit_interval),
    ] {
        if let Some(value) = given.get(key) {
            let ms = value.parse().with_context(|| format!("{key}={value}: not a number"))?;
            *field = Duration::from_millis(ms);
        }
    }
    let commits = given
        .get("enable.auto.commit")
        .is_none_or(|value| value.trim() == "true");
    settings.commit_interval = commits.then_some(commit_interval);
    Ok(settings)
}

fn position(args: &Args, given: &Given) -> anyhow::Result<Position> {
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

fn settings(args: &Args, given: &Given) -> anyhow::Result<ConsumerSettings> {
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
