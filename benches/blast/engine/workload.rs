//! What is to be done to a broker: the flags of `corelane-bench run`, and one row of a suite.

use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use corelane::record::Compression;

use super::arrival::Arrival;

#[derive(Clone, Debug, clap::Args)]
pub struct Workload {
    /// Topic; made anew with a number behind it unless --keep-topic is given
    #[arg(long, default_value = "blast")]
    pub topic: String,
    /// Use the topic as it is, without making one
    #[arg(long)]
    pub keep_topic: bool,
    /// Settings of the topic made, as key=value
    #[arg(long = "topic-config", value_name = "KEY=VALUE")]
    pub topic_configs: Vec<String>,
    #[arg(long, default_value_t = 8)]
    pub partitions: i32,
    #[arg(long, default_value_t = 1)]
    pub replication_factor: i16,

    /// Connections that produce; 0 for none
    #[arg(long, default_value_t = 4)]
    pub producers: usize,
    /// Bytes of a record's value: N, or N..M for an even spread
    #[arg(long, default_value = "1024")]
    pub record_bytes: Sizes,
    /// Records of a batch
    #[arg(long, default_value_t = 16)]
    pub batch_records: usize,
    /// Records have keys of this many bytes, and each batch is spread over the partitions as a partitioner would
    #[arg(long, value_name = "BYTES")]
    pub keyed: Option<usize>,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, default_value = "none", value_parser = codec)]
    pub compression: Compression,
    /// 0, 1 or -1 (all)
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    pub acks: i16,

    /// Open loop at this many records a second (over all connections); without it: closed windows
    #[arg(long)]
    pub rate: Option<f64>,
    #[arg(long, value_enum, default_value_t = Arrival::Poisson)]
    pub arrival: Arrival,
    /// Requests in flight per connection: the size of a closed window, and a bound in an open loop (there 1,000)
    #[arg(long)]
    pub window: Option<usize>,
    /// Closed windows only: send a whole window at once, then wait for all its answers
    #[arg(long)]
    pub burst: bool,

    /// Readers of every partition, each with connections of its own
    #[arg(long, default_value_t = 0)]
    pub fan_out: usize,
    /// Connections of one reader, the partitions spread over them
    #[arg(long, default_value_t = 1)]
    pub reader_connections: usize,
    /// Read from the log's beginning instead of its end
    #[arg(long)]
    pub catch_up: bool,
    /// Readers check each batch's checksum
    #[arg(long)]
    pub check_crc: bool,
    #[arg(long, default_value_t = 1 << 20)]
    pub fetch_partition_bytes: i32,
    #[arg(long, default_value_t = 500)]
    pub fetch_wait_ms: i32,
    #[arg(long, default_value_t = 1)]
    pub fetch_min_bytes: i32,

    /// Connections that are opened and then do nothing
    #[arg(long, default_value_t = 0)]
    pub idle_connections: usize,
    /// Threads that produce, and as many that read
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Seconds before the measurement
    #[arg(long, default_value = "2", value_parser = seconds)]
    pub warm_up: Duration,
    /// Seconds of the measurement
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub time: Duration,
    /// Requests (or, for readers alone, records) after which the run ends early
    #[arg(long)]
    pub count: Option<u64>,
    /// Seconds that outstanding answers may take after the measurement
    #[arg(long, default_value = "20", value_parser = seconds)]
    pub drain: Duration,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl Workload {
    /// Requests in flight per connection.
    pub fn window(&self) -> usize {
        self.window.unwrap_or(if self.rate.is_some() {
            OPEN_WINDOW
        } else {
            CLOSED_WINDOW
        })
    }

    /// Requests a second of an open loop.
    pub fn requests_per_second(&self) -> Option<f64> {
        self.rate.map(|records| records / self.batch_records as f64)
    }

    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.partitions > 0 && self.batch_records > 0 && self.threads > 0,
            "a count is 0"
        );
        anyhow::ensure!(self.producers > 0 || self.fan_out > 0, "neither producers nor readers");
        anyhow::ensure!(matches!(self.acks, -1..=1), "acks is -1, 0 or 1");
        anyhow::ensure!(!(self.burst && self.rate.is_some()), "--burst is for closed windows");
        anyhow::ensure!(self.rate.is_none_or(|rate| rate > 0.0), "--rate is 0");
        Ok(())
    }
}

/// What an open loop may have in flight before the client itself would be the one who waits.
const OPEN_WINDOW: usize = 1_000;
const CLOSED_WINDOW: usize = 8;

/// Value sizes, evenly spread between two bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    pub min: usize,
    pub max: usize,
}

impl FromStr for Sizes {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Sizes> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let number = |text: &str| text.parse::<usize>().with_context(|| format!("{text}: not a number"));
        let sizes = Sizes {
            min: number(min)?,
            max: number(max)?,
        };
        anyhow::ensure!(sizes.min <= sizes.max, "{text}: the first bound is the lower one");
        Ok(sizes)
    }
}

impl std::fmt::Display for Sizes {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.min == self.max {
            write!(out, "{}", self.min)
        } else {
            write!(out, "{}..{}", self.min, self.max)
        }
    }
}

fn codec(name: &str) -> Result<Compression, String> {
    Compression::from_name(name).ok_or_else(|| format!("{name}: not none, gzip, snappy, lz4 or zstd"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|problem| problem.to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|problem| problem.to_string())
}
