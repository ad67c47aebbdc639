//! THE table of loads: a name, what it shows, and the flags of `corelane-bench run` that make it.

use clap::Parser;

use crate::engine::workload::Workload;

/// Which side of a load its throughput is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Producing,
    Consuming,
}

/// Who loads the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    Blast,
    Librdkafka,
    Java,
}

pub struct Load {
    pub client: Client,
    pub name: &'static str,
    pub title: &'static str,
    pub about: About,
    pub flags: &'static str,
    /// An open loop at this share of the slower broker's maximum of another load.
    pub share_of: Option<(f64, &'static str)>,
    /// Consuming: what is produced first, unmeasured, and then read.
    pub fill: Option<&'static str>,
}

const fn closed(name: &'static str, title: &'static str, flags: &'static str) -> Load {
    Load {
        client: Client::Blast,
        name,
        title,
        about: About::Producing,
        flags,
        share_of: None,
        fill: None,
    }
}

const fn open(name: &'static str, title: &'static str, share: f64, of: &'static str, flags: &'static str) -> Load {
    Load {
        client: Client::Blast,
        name,
        title,
        about: About::Producing,
        flags,
        share_of: Some((share, of)),
        fill: None,
    }
}

const fn read(name: &'static str, title: &'static str, fill: &'static str, flags: &'static str) -> Load {
    Load {
        client: Client::Blast,
        name,
        title,
        about: About::Consuming,
        flags,
        share_of: None,
        fill: Some(fill),
    }
}

/// The same load by a client that is not ours.
const fn by(client: Client, load: Load) -> Load {
    Load { client, ..load }
}

const KIB: &str = "--record-bytes 1024 --batch-records 16";

/// Loads that make many index files, which Kafka maps, 10 MB each by default. Where the kernel reads far ahead (8 MiB on
/// some virtual machines' disks, instead of 128 KiB) it makes and zeroes as much memory at the first touch of each: 17 ms a
/// partition, and Kafka came to 60 batches a second over 1,000 partitions. With small ones a touch costs what it costs
/// elsewhere.
macro_rules! small_indexes {
    ($flags:literal) => {
        concat!($flags, " --topic-config segment.index.bytes=131072")
    };
}

/// `make bench`: a maximum of each kind, and the tail at half of it.
pub const SHORT: &[Load] = &[
    closed("produce-1k", "produce 1 KiB × 16 per batch, closed window", KIB),
    closed(
        "produce-100b",
        "produce 100 B × 160 per batch, closed window",
        "--record-bytes 100 --batch-records 160",
    ),
    open(
        "half-1k",
        "produce 1 KiB at 50 % of the slower maximum, one tail reader",
        0.5,
        "produce-1k",
        "--fan-out 1",
    ),
];

/// `make bench-compare`: every measure of a load. Memory, starts and the machine's own ceiling are measured beside them.
pub const FULL: &[Load] = &[
    closed("produce-1k", "produce 1 KiB × 16 per batch, closed window", KIB),
    closed(
        "produce-100b",
        "produce 100 B × 160 per batch, closed window",
        "--record-bytes 100 --batch-records 160",
    ),
    closed(
        "produce-256k",
        "produce batches of 256 KiB, closed window",
        "--record-bytes 1024 --batch-records 256 --window 4",
    ),
    closed(
        "produce-1k-sync",
        "produce 1 KiB × 16, every commit synced",
        "--topic-config flush.messages=1",
    ),
    closed(
        "single-1000",
        "single records over 1,000 partitions, closed window",
        small_indexes!("--batch-records 1 --partitions 1000 --window 64"),
    ),
    closed(
        "single-1000-open",
        "single records over 1,000 partitions, 15,000 a second",
        small_indexes!("--batch-records 1 --partitions 1000 --rate 15000"),
    ),
    closed("lz4", "produce 1 KiB × 16, lz4", "--compression lz4"),
    read(
        "catch-up",
        "read 1 GB from the beginning",
        "--count 61000",
        "--fan-out 1",
    ),
    read(
        "catch-up-3",
        "read 1 GB from the beginning, three readers",
        "--count 61000",
        "--fan-out 3",
    ),
    open("open-10", "open loop at 10 %", 0.10, "produce-1k", "--fan-out 1"),
    open("open-25", "open loop at 25 %", 0.25, "produce-1k", "--fan-out 1"),
    open("open-50", "open loop at 50 %", 0.50, "produce-1k", "--fan-out 1"),
    open("open-75", "open loop at 75 %", 0.75, "produce-1k", "--fan-out 1"),
    open("open-90", "open loop at 90 %", 0.90, "produce-1k", "--fan-out 1"),
    open(
        "tail-3",
        "open loop at 50 %, three tail readers",
        0.50,
        "produce-1k",
        "--fan-out 3",
    ),
    open(
        "producers-100",
        "open loop at 50 %, 100 producers",
        0.50,
        "produce-1k",
        "--fan-out 1 --producers 100",
    ),
    open(
        "keyed",
        "open loop at 25 %, 100 partitions, keyed (small batches)",
        0.25,
        "produce-1k",
        small_indexes!("--fan-out 1 --partitions 100 --keyed 8"),
    ),
    open(
        "unkeyed",
        "open loop at 25 %, 100 partitions, not keyed",
        0.25,
        "produce-1k",
        small_indexes!("--fan-out 1 --partitions 100"),
    ),
    open(
        "retention",
        "open loop at 50 %, retention deleting",
        0.50,
        "produce-1k",
        small_indexes!("--fan-out 1 --topic-config segment.bytes=16777216 --topic-config retention.bytes=33554432"),
    ),
    open(
        "partitions-1",
        "open loop at 25 %, 1 partition",
        0.25,
        "produce-1k",
        "--partitions 1",
    ),
    open(
        "partitions-100",
        "open loop at 25 %, 100 partitions",
        0.25,
        "produce-1k",
        small_indexes!("--partitions 100"),
    ),
    open(
        "partitions-1000",
        "open loop at 25 %, 1,000 partitions",
        0.25,
        "produce-1k",
        small_indexes!("--partitions 1000"),
    ),
    open(
        "partitions-10000",
        "open loop at 25 %, 10,000 partitions",
        0.25,
        "produce-1k",
        small_indexes!("--partitions 10000"),
    ),
    open(
        "connections-1",
        "open loop at 25 %, 1 connection",
        0.25,
        "produce-1k",
        "--producers 1",
    ),
    open(
        "connections-1000",
        "open loop at 25 %, 1,000 connections",
        0.25,
        "produce-1k",
        "--producers 1000",
    ),
    open(
        "connections-9000",
        "open loop at 25 %, 9,000 connections",
        0.25,
        "produce-1k",
        "--producers 9000",
    ),
    open(
        "size-10b",
        "open loop at 10 %, 10 B × 100",
        0.10,
        "produce-100b",
        "--record-bytes 10 --batch-records 100",
    ),
    open(
        "size-10k",
        "open loop at 25 %, 10 KiB × 4",
        0.25,
        "produce-1k",
        "--record-bytes 10240 --batch-records 4",
    ),
    open(
        "size-100k",
        "open loop at 25 %, 100 KiB",
        0.25,
        "produce-1k",
        "--record-bytes 102400 --batch-records 1",
    ),
    by(
        Client::Librdkafka,
        closed(
            "librdkafka-produce",
            "produce 1 KiB by librdkafka, its own batches",
            KIB,
        ),
    ),
    by(
        Client::Librdkafka,
        read(
            "librdkafka-read",
            "read 1 GB by librdkafka",
            "--count 61000",
            "--fan-out 1",
        ),
    ),
    by(
        Client::Java,
        closed("java-produce", "produce 1 KiB by Kafka's ProducerPerformance", KIB),
    ),
    by(
        Client::Java,
        read(
            "java-read",
            "read 1 GB by Kafka's ConsumerPerformance",
            "--count 61000",
            "--fan-out 1",
        ),
    ),
];

/// What both brokers are warmed with: the kinds of request that follow.
pub const WARM_UP: &str = "--fan-out 1 --record-bytes 200..1800";

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    workload: Workload,
}

/// The workload of a row of flags.
pub fn workload(flags: &str) -> Workload {
    let words = std::iter::once("load").chain(flags.split_whitespace());
    Flags::parse_from(words).workload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_workload_and_leans_on_one_before_it() {
        for table in [SHORT, FULL] {
            for (at, load) in table.iter().enumerate() {
                workload(load.flags)
                    .check()
                    .ok()
                    .unwrap_or_else(|| panic!("{}", load.name));
                if let Some((_, of)) = load.share_of {
                    assert!(table[..at].iter().any(|before| before.name == of), "{}", load.name);
                }
            }
        }
    }
}
