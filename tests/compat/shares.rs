//! Kafka's own share consumers and tools: records shared by members, and acknowledgements that outlive kill -9.

use std::process::{Command, Stdio};

use crate::support::{Broker, root};

/// Locks are over soon, and the second delivery is the last.
const SHORT: [(&str, &str); 5] = [
    ("shard.count", "2"),
    ("group.share.record.lock.duration.ms", "2000"),
    ("group.share.min.record.lock.duration.ms", "1000"),
    ("group.share.delivery.count.limit", "2"),
    ("share.coordinator.state.topic.num.partitions", "10"),
];

#[test]
fn kafkas_own_share_consumers() {
    run(&Broker::start(&SHORT), None);
}

/// Some records are acknowledged, others held; member and broker are killed; only those that were held come again.
#[test]
fn acknowledgements_survive_kill_9() {
    let settings = SHORT.map(|(key, value)| match key {
        // Neither may the lock end meanwhile, nor the deliveries.
        "group.share.record.lock.duration.ms" => (key, "60000"),
        "group.share.delivery.count.limit" => (key, "5"),
        _ => (key, value),
    });
    let mut broker = Broker::start(&settings);
    run(&broker, Some("before"));
    broker.kill_9();
    broker.restart();
    run(&broker, Some("after"));
}

fn run(broker: &Broker, stage: Option<&str>) {
    let deliveries = SHORT.iter().find(|(key, _)| key.ends_with("delivery.count.limit"));
    let mut command = Command::new("sh");
    command
        .arg(root().join("tests/clients/share_groups.sh"))
        .env("BOOTSTRAP", broker.bootstrap())
        .env("WORK", &broker.dir)
        .env("DELIVERIES", deliveries.expect("it is set").1)
        .stdin(Stdio::null());
    if let Some(stage) = stage {
        command.env("STAGE", stage);
    }
    let output = command
        .output()
        .unwrap_or_else(|problem| panic!("sh: {problem}; `make clients` installs what the tests need"));
    assert!(
        output.status.success(),
        "share_groups.sh ended with {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
