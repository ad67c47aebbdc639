//! The console consumer as a member of a group: where it goes on, what it commits, and how it shares with others.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{Shell, text};
use crate::support::wait_until;

/// New groups need not wait for long.
fn shell() -> Shell {
    Shell::with(&[("shard.count", "2"), ("group.initial.rebalance.delay.ms", "100")])
}

fn lines(range: std::ops::Range<usize>) -> String {
    range.map(|n| format!("line {n}\n")).collect()
}

fn committed(shell: &Shell, group: &str) -> String {
    let described = shell.ok("kafka-consumer-groups.sh", &format!("--describe --group {group}"), "");
    let row = described.lines().last().unwrap_or_default();
    row.split_whitespace().nth(3).unwrap_or_default().to_owned()
}

/// What is committed is what was printed, to the record; the next run goes on there, wherever the group is named.
#[test]
fn a_group_goes_on_where_it_was() {
    let shell = shell();
    shell.topics("--create --topic t --partitions 1");
    shell.ok("kafka-console-producer.sh", "--topic t", &lines(0..10));
    let first = shell.consume("--topic t --group g --from-beginning --max-messages 3");
    assert_eq!(first, lines(0..3));
    assert_eq!(committed(&shell, "g"), "3");
    assert_eq!(
        shell.consume("--topic t --group g --from-beginning --max-messages 2"),
        lines(3..5)
    );
    let named = "--consumer-property group.id=g";
    assert_eq!(
        shell.consume(&format!("--topic t {named} --max-messages 1")),
        lines(5..6)
    );
    let silent = "--consumer-property enable.auto.commit=false";
    let uncommitted = shell.consume(&format!("--topic t --group g {silent} --max-messages 4"));
    assert_eq!((uncommitted, committed(&shell, "g").as_str()), (lines(6..10), "6"));
    assert_eq!(shell.consume("--topic t --group g --timeout-ms 2000"), lines(6..10));

    let other = shell.run("kafka-console-consumer.sh", &format!("--topic t --group h {named}"), "");
    assert_eq!(other.status.code(), Some(1), "{}", text(&other.stderr));
    let one = shell.run(
        "kafka-console-consumer.sh",
        &format!("--topic t --partition 0 {named}"),
        "",
    );
    assert_eq!(one.status.code(), Some(1), "{}", text(&one.stderr));
}

/// A console consumer and librdkafka share two partitions; when the one goes the other reads them both, and no record
/// is read twice.
#[test]
fn a_group_shares_with_librdkafka() {
    let shell = shell();
    shell.topics("--create --topic t --partitions 2");
    let out = shell.bin.join("out");
    let mut console = console_member(&shell, &out);
    let other: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", shell.broker.bootstrap())
        .set("group.id", "g")
        .set("auto.offset.reset", "earliest")
        .set("heartbeat.interval.ms", "200")
        .create()
        .unwrap();
    other.subscribe(&["t"]).unwrap();
    let read = |found: &mut Vec<String>| {
        while let Some(message) = other.poll(Duration::from_millis(20)) {
            let message = message.unwrap();
            found.push(text(rdkafka::Message::payload(&message).unwrap()));
        }
    };
    let mut found = Vec::new();
    wait_until("both have a partition", || {
        read(&mut found);
        let members = shell.run("kafka-consumer-groups.sh", "--describe --group g --members", "");
        let members = text(&members.stdout);
        let counts = members.lines().filter_map(|row| row.split_whitespace().last());
        counts.filter(|count| *count == "1").count() == 2
    });
    let keyed = |from: usize| (from..from + 50).map(|n| format!("{n}:{n}\n")).collect::<String>();
    let keys = "--topic t --property parse.key=true --property key.separator=:";
    shell.ok("kafka-console-producer.sh", keys, &keyed(0));
    let printed = || {
        fs::read_to_string(&out)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    wait_until("all are read", || {
        read(&mut found);
        found.len() + printed().len() >= 50
    });
    assert!(
        !found.is_empty() && !printed().is_empty(),
        "one of them has read nothing"
    );

    interrupt(&console);
    assert_eq!(console.wait().unwrap().code(), Some(130));
    shell.ok("kafka-console-producer.sh", keys, &keyed(50));
    let mut all = Vec::new();
    wait_until("the other one reads the rest", || {
        read(&mut found);
        all = [found.clone(), printed()].concat();
        all.len() >= 100
    });
    all.sort_by_key(|line| line.parse::<usize>().unwrap());
    assert_eq!(all, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
}

fn console_member(shell: &Shell, out: &std::path::Path) -> Child {
    let properties = ["heartbeat.interval.ms=200", "fetch.max.wait.ms=100"];
    let properties = properties.iter().flat_map(|property| ["--consumer-property", property]);
    Command::new(shell.bin.join("kafka-console-consumer.sh"))
        .args(["--bootstrap-server", &shell.broker.bootstrap()])
        .args(["--topic", "t", "--group", "g", "--from-beginning"])
        .args(properties)
        .stdout(File::create(out).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Ctrl-C.
fn interrupt(child: &Child) {
    let told = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(told.unwrap().success());
}
