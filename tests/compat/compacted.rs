//! A compacted topic as others see it: Java's console consumer gets the newest value of each key, and Kafka's dump tool
//! finds nothing wrong with what compaction has written.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::segments::{dump, segment_files};
use crate::support::{Broker, root, target_dir, wait_until};

const KEYS: usize = 100;

#[test]
fn java_reads_compacted_topics() {
    let mut broker = Broker::start(&[
        ("shard.count", "2"),
        ("log.segment.bytes", "1048576"),
        ("log.cleanup.policy", "compact"),
        ("log.cleaner.backoff.ms", "50"),
        ("log.cleaner.min.cleanable.ratio", "0.01"),
    ]);
    produce(&broker);
    let dir = broker.data_dir().join("compacted-0");
    wait_until("the log is compacted", || log_bytes(&dir) < 3 << 20);
    let consumed = consume(&broker);
    let newest: BTreeMap<&str, &str> = consumed.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(newest.len(), KEYS, "{consumed}");
    assert!(newest.values().all(|value| value.starts_with("last")), "{newest:?}");
    assert!(consumed.lines().count() < 30_000, "most old values are gone");
    assert!(broker.terminate().success());
    let dumped = dump(&segment_files(&dir));
    assert!(dumped.contains("isvalid: true") && !dumped.contains("isvalid: false"));
    for complaint in ["Found", "mismatch", "rror", "orrupt", "invalid"] {
        let lines: Vec<_> = dumped.lines().filter(|line| line.contains(complaint)).collect();
        assert!(lines.is_empty(), "the dump tool complains: {lines:?}");
    }
}

/// Five megabytes over a hundred keys, in every codec; then the last value of each.
fn produce(broker: &Broker) {
    let program = "
import os
from confluent_kafka import Producer
for round, codec in enumerate(['none', 'gzip', 'snappy', 'lz4', 'zstd']):
    p = Producer({'bootstrap.servers': os.environ['BOOTSTRAP'], 'compression.type': codec, 'enable.idempotence': True})
    for n in range(8000):
        p.produce('compacted', os.urandom(70).hex(), 'key-%d' % (n % 100), partition=0)
        if n % 500 == 0: p.flush()
    p.flush()
for key in range(100):
    p.produce('compacted', 'last', 'key-%d' % key, partition=0)
p.flush()
";
    let status = Command::new(target_dir().join("clients/confluent/bin/python"))
        .args(["-c", program])
        .env("BOOTSTRAP", broker.bootstrap())
        .status()
        .unwrap();
    assert!(status.success());
}

fn log_bytes(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).unwrap().filter_map(Result::ok);
    let logs = files.filter(|file| file.file_name().to_string_lossy().ends_with(".log"));
    logs.filter_map(|file| file.metadata().ok())
        .map(|meta| meta.len())
        .sum()
}

fn consume(broker: &Broker) -> String {
    let libs = format!("{}/target/clients/kafka/libs/*", root().display());
    let output = Command::new("java")
        .args([
            "-Xmx256M",
            "-cp",
            &libs,
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
        ])
        .args(["--bootstrap-server", &broker.bootstrap(), "--topic", "compacted"])
        .args(["--partition", "0", "--offset", "earliest", "--timeout-ms", "5000"])
        .args(["--property", "print.key=true", "--property", "key.separator=="])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
