//! Real clients in groups: members that come, go and die, commits that outlive kill -9, the tools that look at groups.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Broker, root, target_dir};

/// New groups need not wait for long: the waiting itself is tried without clients.
const QUICK: [(&str, &str); 2] = [("shard.count", "2"), ("group.initial.rebalance.delay.ms", "200")];

#[test]
fn confluent_kafka_in_groups() {
    run(
        &Broker::start(&QUICK),
        &python("confluent"),
        "groups_confluent.py",
        None,
    );
}

#[test]
fn kafka_python_2_in_groups() {
    run(
        &Broker::start(&QUICK),
        &python("kafka-python-2"),
        "groups_kafka_python.py",
        None,
    );
}

#[test]
fn kafka_python_3_in_groups() {
    run(
        &Broker::start(&QUICK),
        &python("kafka-python-3"),
        "groups_kafka_python.py",
        None,
    );
}

#[test]
fn kafkajs_in_groups() {
    run(&Broker::start(&QUICK), "node", "groups_kafkajs.js", None);
}

#[test]
fn kafkas_own_clients_in_groups() {
    let mut broker = Broker::start(&QUICK);
    run(&broker, "sh", "groups_java.sh", None);
    assert!(broker.terminate().success());
    run(&broker, "sh", "groups_java.sh", Some("dump"));
}

/// Members of the newer protocol are missed sooner than a broker would allow by default.
const NEXT: [(&str, &str); 7] = [
    ("shard.count", "2"),
    ("group.initial.rebalance.delay.ms", "200"),
    ("group.consumer.min.session.timeout.ms", "1000"),
    ("group.consumer.session.timeout.ms", "6000"),
    ("group.consumer.min.heartbeat.interval.ms", "100"),
    ("group.consumer.heartbeat.interval.ms", "500"),
    ("group.consumer.assignment.interval.ms", "100"),
];

#[test]
fn confluent_kafka_in_groups_of_the_newer_protocol() {
    let broker = Broker::start(&NEXT);
    run(&broker, &python("confluent"), "groups_next_confluent.py", None);
}

#[test]
fn kafkas_own_clients_in_groups_of_the_newer_protocol() {
    let mut broker = Broker::start(&NEXT);
    run(&broker, "sh", "groups_next_java.sh", None);
    assert!(broker.terminate().success());
    run(&broker, "sh", "groups_next_java.sh", Some("dump"));
}

/// A member consumes and commits; it and the broker are killed; the next one goes on exactly there.
#[test]
fn commits_survive_kill_9() {
    let mut broker = Broker::start(&QUICK);
    run(&broker, &python("confluent"), "groups_confluent.py", Some("before"));
    broker.kill_9();
    broker.restart();
    run(&broker, &python("confluent"), "groups_confluent.py", Some("after"));
}

/// The same for a group of the newer protocol.
#[test]
fn groups_of_the_newer_protocol_survive_kill_9() {
    let mut broker = Broker::start(&NEXT);
    run(
        &broker,
        &python("confluent"),
        "groups_next_confluent.py",
        Some("before"),
    );
    broker.kill_9();
    broker.restart();
    run(&broker, &python("confluent"), "groups_next_confluent.py", Some("after"));
}

fn python(client: &str) -> String {
    let python = target_dir().join("clients").join(client).join("bin/python");
    python.to_string_lossy().into_owned()
}

fn run(broker: &Broker, interpreter: &str, script: &str, stage: Option<&str>) {
    let mut command = Command::new(interpreter);
    command
        .arg(root().join("tests/clients").join(script))
        .env("BOOTSTRAP", broker.bootstrap())
        .env("WORK", &broker.dir)
        .env("DATA", Path::new(&broker.data_dir()))
        .env("NODE_PATH", target_dir().join("clients/node/node_modules"))
        .stdin(Stdio::null());
    if let Some(stage) = stage {
        command.env("STAGE", stage);
    }
    let output = command
        .output()
        .unwrap_or_else(|problem| panic!("{interpreter}: {problem}; `make clients` installs what the tests need"));
    assert!(
        output.status.success(),
        "{script} ended with {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
