//! Kafka's DumpLogSegments reads our segments, indexes and producer snapshots without an error; batches are as sent.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Broker, root, target_dir};

#[test]
fn kafkas_dump_tool_reads_our_segments() {
    let mut broker = Broker::start(&[("log.segment.bytes", "1048576"), ("shard.count", "2")]);
    produce_by_confluent(&broker);
    assert!(broker.terminate().success(), "a clean stop seals the segments");
    let files = segment_files(&broker.data_dir().join("dumped-0"));
    assert!(
        files.iter().filter(|file| file.ends_with(".log")).count() > 3,
        "several segments: {files:?}"
    );
    let dumped = dump(&files);
    assert!(
        dumped.contains("compresscodec: lz4"),
        "batches are stored compressed, as sent"
    );
    assert!(
        dumped.contains("isvalid: true") && !dumped.contains("isvalid: false"),
        "every checksum holds"
    );
    for complaint in ["Found", "mismatch", "rror", "orrupt", "invalid"] {
        let lines: Vec<_> = dumped.lines().filter(|line| line.contains(complaint)).collect();
        assert!(lines.is_empty(), "the dump tool complains: {lines:?}");
    }
}

fn produce_by_confluent(broker: &Broker) {
    let program = "
import os, sys
from confluent_kafka import Producer
p = Producer({'bootstrap.servers': os.environ['BOOTSTRAP'], 'compression.type': 'lz4', 'enable.idempotence': True})
for n in range(20000):
    p.produce('dumped', os.urandom(150), str(n).encode(), partition=0)
    if n % 500 == 0: p.flush()
p.flush()
";
    let status = Command::new(target_dir().join("clients/confluent/bin/python"))
        .args(["-c", program])
        .env("BOOTSTRAP", broker.bootstrap())
        .status()
        .unwrap();
    assert!(status.success());
}

pub(super) fn segment_files(dir: &Path) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .filter(|path| {
            [".log", ".index", ".timeindex", ".txnindex", ".snapshot"]
                .iter()
                .any(|end| path.ends_with(end))
        })
        .collect();
    files.sort();
    files
}

pub(super) fn dump(files: &[String]) -> String {
    let output = Command::new("java")
        .args([
            "-Xmx256M",
            "-cp",
            &format!("{}/target/clients/kafka/libs/*", root().display()),
        ])
        .args(["org.apache.kafka.tools.DumpLogSegments", "--files", &files.join(",")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{text}");
    text
}
