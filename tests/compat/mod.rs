//! Real clients against the real binary: each script produces, consumes, administers and fails as its users would.

mod compacted;
mod exactly_once;
mod groups;
mod librdkafka;
mod segments;
mod shard_nodes;
mod shares;
mod streams;

use std::process::{Command, Stdio};

use crate::support::{Broker, is_installed, root, target_dir};

#[test]
fn confluent_kafka() {
    run_script(
        "confluent",
        target_dir().join("clients/confluent/bin/python").to_str().unwrap(),
        "confluent.py",
    );
}

#[test]
fn confluent_kafka_in_transactions() {
    run_script(
        "confluent in transactions",
        target_dir().join("clients/confluent/bin/python").to_str().unwrap(),
        "transactions.py",
    );
}

#[test]
fn aiokafka_in_transactions() {
    run_script(
        "aiokafka",
        target_dir().join("clients/aiokafka/bin/python").to_str().unwrap(),
        "aiokafka_transactions.py",
    );
}

#[test]
fn kafka_python_2() {
    run_script(
        "kafka-python 2",
        target_dir().join("clients/kafka-python-2/bin/python").to_str().unwrap(),
        "kafka_python.py",
    );
}

#[test]
fn kafka_python_3() {
    run_script(
        "kafka-python 3",
        target_dir().join("clients/kafka-python-3/bin/python").to_str().unwrap(),
        "kafka_python.py",
    );
}

#[test]
fn kafkajs() {
    run_script("kafkajs", "node", "kafkajs.js");
}

#[test]
fn franz_go() {
    if let Some(program) = franz_go_program() {
        run_script("franz-go", &program, "franz_go/main.go");
    }
}

/// tests/clients/franz_go, built, where there is a Go to build it with.
fn franz_go_program() -> Option<String> {
    if !is_installed("go") {
        eprintln!("skipped: go is not installed");
        return None;
    }
    Some(target_dir().join("clients/franz_go").to_str().unwrap().to_owned())
}

#[test]
fn kafkas_own_tools() {
    run_script("Kafka's tools", "sh", "java.sh");
}

#[test]
fn clients_of_kafka_0_8() {
    run_script("Kafka 0.8.2.2", "sh", "java_0_8.sh");
}

#[test]
fn kafka_python_2_as_for_old_brokers() {
    run_script(
        "kafka-python 2 with old versions",
        target_dir().join("clients/kafka-python-2/bin/python").to_str().unwrap(),
        "kafka_python_old.py",
    );
}

#[test]
fn kcat_on_an_old_librdkafka() {
    if !is_installed("kcat") {
        eprintln!("skipped: kcat is not installed, and installing it needs root");
        return;
    }
    run_script("kcat", "sh", "kcat.sh");
}

/// The committed baseline names every check's outcome; one that got worse fails. Write it anew only for the better:
/// `odradek-accept --server HOST:PORT --write-baseline tests/compat/odradek-baseline.json`.
#[test]
fn odradeks_conformance_checks_get_no_worse() {
    let broker = Broker::start(&[("shard.count", "2")]);
    // A coordinator says that it is loading until it has read its log, and a check asks once. The lists wait for all.
    for (topic, tool, list) in [
        ("__consumer_offsets", "consumer-groups", "--list"),
        ("__transaction_state", "transactions", "list"),
    ] {
        broker.tool("topics", &format!("--create --topic {topic} --partitions 2"), "");
        broker.tool(tool, list, "");
    }
    let output = Command::new(target_dir().join("clients/odradek/bin/odradek-accept"))
        .args(["--server", &broker.bootstrap(), "--baseline"])
        .arg(root().join("tests/compat/odradek-baseline.json"))
        .output()
        .unwrap();
    let report = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{report}");
}

/// Runs tests/clients/`script` with `interpreter` against a broker of its own and shows its output when it fails.
fn run_script(client: &str, interpreter: &str, script: &str) {
    let broker = Broker::start(&[("shard.count", "2")]);
    run_script_against(&broker, &broker.bootstrap(), client, interpreter, script);
}

fn run_script_against(broker: &Broker, bootstrap: &str, client: &str, interpreter: &str, script: &str) {
    let output = Command::new(interpreter)
        .arg(root().join("tests/clients").join(script))
        .env("BOOTSTRAP", bootstrap)
        .env("WORK", &broker.dir)
        .env("NODE_PATH", target_dir().join("clients/node/node_modules"))
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|problem| panic!("{interpreter}: {problem}; `make clients` installs what the tests need"));
    assert!(
        output.status.success(),
        "{client} ended with {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
