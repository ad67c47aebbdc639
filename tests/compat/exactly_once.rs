//! Kafka's own client copies a topic exactly once while the broker is killed under it, again and again.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Broker, Program, root, target_dir, wait_until};

const RECORDS: i64 = 3_000;
const KILLS: usize = 5;
/// Records that the copier has produced since the broker came back: the kill falls into its transactions.
const RECORDS_BETWEEN_KILLS: i64 = 200;
/// The copy goes on by retries and timeouts of the client.
const PATIENCE: Duration = Duration::from_secs(240);

#[test]
fn copy_is_exactly_once_through_kill_9() {
    let mut broker = Broker::start(&[
        ("shard.count", "2"),
        ("num.partitions", "3"),
        ("group.initial.rebalance.delay.ms", "0"),
    ]);
    run(java(&broker, "fill", &["source", &RECORDS.to_string()]));
    broker.kill_9();
    broker.restart();
    let mut copy = java(&broker, "copy", &["source", "target"]);
    for _ in 0..KILLS {
        wait_until("the copier writes", || {
            assert!(
                copy.0.try_wait().unwrap().is_none(),
                "the copy ended before it was disturbed"
            );
            broker.metric("kafka_server_brokertopicmetrics_messagesin_total") >= RECORDS_BETWEEN_KILLS
        });
        broker.kill_9();
        broker.restart();
    }
    run(copy);
    run(java(&broker, "verify", &["target", &RECORDS.to_string()]));
}

fn java(broker: &Broker, action: &str, arguments: &[&str]) -> Program {
    let child = Command::new("java")
        .arg("-cp")
        .arg(target_dir().join("clients/kafka/libs/*"))
        .arg(root().join("tests/clients/ExactlyOnceCopy.java"))
        .args([action, &broker.bootstrap()])
        .args(arguments)
        .stdin(Stdio::null())
        .spawn();
    Program(child.unwrap())
}

fn run(mut java: Program) {
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = java.0.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "the copier does not end");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "the copier ended with {status}");
}
