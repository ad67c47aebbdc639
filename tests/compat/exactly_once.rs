//! Kafka's own client copies a topic exactly once while the broker is killed under it, again and again.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Broker, root, target_dir, wait_until};

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
                copy.try_wait().unwrap().is_none(),
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

fn java(broker: &Broker, action: &str, arguments: &[&str]) -> Child {
    Command::new("java")
        .arg("-cp")
        .arg(target_dir().join("clients/kafka/libs/*"))
        .arg(root().join("tests/clients/ExactlyOnceCopy.java"))
        .args([action, &broker.bootstrap()])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn run(mut child: Child) {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
