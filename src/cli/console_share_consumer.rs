//! `kafka-console-share-consumer.sh`: prints the records of a topic as a member of a share group.

use std::process::ExitCode;

use super::connect::{ConnectArgs, properties};
use super::format::Formatter;
use super::printing::{Printing, Source};
use crate::client::{ClientError, ConsumedRecord, ShareAnswer, ShareConsumer};

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
    let printing = Printing {
        formatter: Formatter::new(&properties(&args.properties)?, args.json)?,
        max_messages: args.max_messages,
        timeout_ms: args.timeout_ms,
    };
    let answer = match (args.reject, args.release) {
        (true, _) => ShareAnswer::Reject,
        (_, true) => ShareAnswer::Release,
        _ => ShareAnswer::Accept,
    };
    printing.run(|| {
        let cluster = args.connect.cluster("console-share-consumer")?;
        Ok(ShareConsumer::join(cluster, &args.group, &args.topic, answer)?)
    })
}

impl Source for ShareConsumer {
    fn poll(&mut self) -> Result<Vec<ConsumedRecord>, ClientError> {
        ShareConsumer::poll(self)
    }

    fn put_back(&mut self, records: &[ConsumedRecord]) {
        records.iter().for_each(|record| self.give_back(record));
    }

    fn close(self) -> Result<(), ClientError> {
        ShareConsumer::close(self)
    }
}
