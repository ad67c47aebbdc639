//! The command line under Kafka's script names: what an operator types, and what the scripts print.

mod console_groups;
mod transactions;

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::support::{Broker, scratch_dir};

/// The scripts' names as links, and a broker to call.
struct Shell {
    broker: Broker,
    bin: PathBuf,
}

impl Shell {
    fn new() -> Shell {
        Shell::with(&[("shard.count", "2")])
    }

    fn with(settings: &[(&str, &str)]) -> Shell {
        let bin = scratch_dir();
        for (name, _) in corelane::cli::SCRIPT_NAMES {
            symlink(env!("CARGO_BIN_EXE_corelane"), bin.join(name)).unwrap();
        }
        Shell {
            broker: Broker::start(settings),
            bin,
        }
    }

    /// Runs `script --bootstrap-server … arguments` with `input`; words are separated by blanks.
    fn run(&self, script: &str, arguments: &str, input: &str) -> Output {
        let mut child = Command::new(self.bin.join(script))
            .args(["--bootstrap-server", &self.broker.bootstrap()])
            .args(arguments.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A tool that refuses its arguments does not read its input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// The standard output of a run that must succeed.
    fn ok(&self, script: &str, arguments: &str, input: &str) -> String {
        let output = self.run(script, arguments, input);
        assert!(
            output.status.success(),
            "{script} {arguments}: {}",
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// The standard output of a run that must fail with exit code 1.
    fn fails(&self, script: &str, arguments: &str) -> String {
        let output = self.run(script, arguments, "");
        assert_eq!(output.status.code(), Some(1), "{script} {arguments}");
        text(&output.stdout)
    }

    fn topics(&self, arguments: &str) -> String {
        self.ok("kafka-topics.sh", arguments, "")
    }

    fn consume(&self, arguments: &str) -> String {
        self.ok("kafka-console-consumer.sh", arguments, "")
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.bin);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn topics_are_created_listed_described_and_deleted() {
    let shell = Shell::new();
    assert_eq!(
        shell.topics("--create --topic topic-demo --replication-factor 1 --partitions 10"),
        "Created topic topic-demo.\n"
    );
    assert_eq!(
        shell.fails(
            "kafka-topics.sh",
            "--create --topic topic-demo --replication-factor 1 --partitions 10"
        ),
        "Error while executing topic command : Topic 'topic-demo' already exists.\n"
    );
    assert_eq!(shell.topics("--create --topic topic-demo --if-not-exists"), "");
    assert_eq!(shell.topics("--list"), "topic-demo\n");
    let described = shell.topics("--describe --topic topic-demo");
    let first = described.lines().next().unwrap();
    assert!(first.starts_with("Topic: topic-demo\tTopicId: "), "{first}");
    assert!(
        first.ends_with("\tPartitionCount: 10\tReplicationFactor: 1\tConfigs: "),
        "{first}"
    );
    let second = "\tTopic: topic-demo\tPartition: 0\tLeader: 0\tReplicas: 0\tIsr: 0\tElr: \tLastKnownElr: ";
    assert_eq!(described.lines().nth(1), Some(second));
    assert_eq!(described.lines().count(), 11);
    assert_eq!(shell.topics("--describe --under-replicated-partitions"), "");
    assert!(
        shell
            .fails("kafka-topics.sh", "--describe --topic nope")
            .contains("Topic 'nope' does not exist as expected")
    );
    assert!(
        shell
            .fails("kafka-topics.sh", "--create --topic three --replication-factor 3")
            .starts_with("Error while executing topic command : Unable to replicate the partition 3 time(s)")
    );
    assert_eq!(shell.topics("--alter --topic topic-demo --partitions 12"), "");
    assert_eq!(
        shell.fails("kafka-topics.sh", "--alter --topic topic-demo --partitions 2"),
        "Error while executing topic command : The topic topic-demo currently has 12 partition(s); 2 would not be an increase.\n"
    );
    assert_eq!(shell.topics("--delete --topic topic-demo"), "");
    assert_eq!(shell.topics("--list"), "");
}

#[test]
fn names_that_could_collide_are_warned_of_and_refused() {
    let shell = Shell::new();
    let created = shell.topics("--create --topic a.b");
    assert!(
        created.starts_with("WARNING: Due to limitations in metric names"),
        "{created}"
    );
    assert!(created.ends_with("Created topic a.b.\n"), "{created}");
    let refused = shell.fails("kafka-topics.sh", "--create --topic a_b");
    assert!(
        refused.ends_with("Topic 'a_b' collides with existing topic: a.b\n"),
        "{refused}"
    );
}

#[test]
fn settings_are_given_at_creation_and_changed_later() {
    let shell = Shell::new();
    shell.topics(
        "--create --topic transaction --partitions 10 --replication-factor 1 \
         --config retention.ms=15552000000 --config max.message.bytes=5242880",
    );
    let described = shell.topics("--describe --topic transaction");
    let configs = described
        .lines()
        .next()
        .unwrap()
        .rsplit_once("Configs: ")
        .unwrap()
        .1
        .to_owned();
    let mut configs: Vec<_> = configs.split(',').collect();
    configs.sort_unstable();
    assert_eq!(configs, ["max.message.bytes=5242880", "retention.ms=15552000000"]);

    let entity = "--entity-type topics --entity-name transaction";
    assert_eq!(
        shell.ok(
            "kafka-configs.sh",
            &format!("{entity} --alter --add-config max.message.bytes=10485760"),
            ""
        ),
        "Completed updating config for topic transaction.\n"
    );
    assert_eq!(
        shell.ok("kafka-configs.sh", &format!("{entity} --describe"), ""),
        "Dynamic configs for topic transaction are:\n  \
         max.message.bytes=10485760 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:max.message.bytes=10485760, \
         DEFAULT_CONFIG:message.max.bytes=1048588}\n  \
         retention.ms=15552000000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=15552000000}\n"
    );
    let unknown = shell.run(
        "kafka-configs.sh",
        &format!("{entity} --alter --add-config no.such=1"),
        "",
    );
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        text(&unknown.stderr).contains("Unknown topic config name: no.such"),
        "{}",
        text(&unknown.stderr)
    );
    assert_eq!(
        shell.ok(
            "kafka-configs.sh",
            "--entity-type brokers --entity-name 0 --describe",
            ""
        ),
        "Dynamic configs for broker 0 are:\n"
    );
}

#[test]
fn lines_go_in_and_come_out() {
    let shell = Shell::new();
    let lines: String = (0..5000).map(|n| format!("line {n}\n")).collect();
    shell.topics("--create --topic lines --partitions 1");
    assert_eq!(shell.ok("kafka-console-producer.sh", "--topic lines", &lines), "");
    assert_eq!(shell.consume("--topic lines --from-beginning --timeout-ms 500"), lines);
    assert_eq!(
        shell.consume("--topic lines --partition 0 --offset 4998 --max-messages 2"),
        "line 4998\nline 4999\n"
    );
    shell.ok(
        "kafka-console-producer.sh",
        "--topic keyed --property parse.key=true --property key.separator=:",
        "k:v\n",
    );
    let printed = shell.consume(
        "--topic keyed --from-beginning --max-messages 1 --property print.key=true --property print.offset=true \
         --property print.partition=true",
    );
    assert_eq!(printed, "Partition:0\tOffset:0\tk\tv\n");
}

#[test]
fn the_old_name_of_the_flag_still_works() {
    let shell = Shell::new();
    let status = Command::new(shell.bin.join("kafka-console-producer.sh"))
        .args(["--broker-list", &shell.broker.bootstrap(), "--topic", "topic-demo"])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let refused = shell.run("kafka-topics.sh", "--zookeeper node01:2181 --list", "");
    assert!(
        text(&refused.stderr).contains("use --bootstrap-server"),
        "{}",
        text(&refused.stderr)
    );
}

#[test]
fn every_codec_goes_through_the_console() {
    let shell = Shell::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        shell.ok(
            "kafka-console-producer.sh",
            &format!("--topic {codec} --compression-codec {codec}"),
            "one\ntwo\n",
        );
        assert_eq!(
            shell.consume(&format!("--topic {codec} --from-beginning --max-messages 2")),
            "one\ntwo\n",
            "{codec}"
        );
    }
}

/// Offsets of a group without members are set by every selector, shown, exported, read back and deleted.
#[test]
fn groups_are_moved_described_and_deleted() {
    let shell = Shell::new();
    let groups = |arguments: &str| shell.ok("kafka-consumer-groups.sh", arguments, "");
    shell.topics("--create --topic t --partitions 1");
    let lines: String = (0..10).map(|n| format!("line {n}\n")).collect();
    shell.ok("kafka-console-producer.sh", "--topic t", &lines);
    assert_eq!(groups("--list"), "");
    let moved = |selector: &str| {
        let printed = groups(&format!("--reset-offsets --group g --topic t --execute {selector}"));
        let row = printed.lines().last().unwrap_or_default().to_owned();
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[..3], ["g", "t", "0"], "{printed}");
        cells[3].parse::<i64>().unwrap()
    };
    assert_eq!(moved("--to-latest"), 10);
    assert_eq!(moved("--to-earliest"), 0);
    assert_eq!(moved("--to-offset 7"), 7);
    assert_eq!(moved("--shift-by -3"), 4);
    assert_eq!(moved("--to-offset 99"), 10);
    assert_eq!(moved("--to-datetime 2020-01-01T00:00:00.000"), 0);
    assert_eq!(moved("--to-datetime 2100-01-01T00:00:00.000"), 10);
    assert_eq!(moved("--by-duration P1D"), 0);
    assert_eq!(moved("--to-offset 4"), 4);
    assert_eq!(moved("--to-current"), 4);

    assert_eq!(groups("--list"), "g\n");
    assert!(groups("--list --state").ends_with("g               Empty               \n"));
    let described = groups("--describe --group g");
    let row: Vec<&str> = described.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(row, ["g", "t", "0", "4", "10", "6", "-", "-", "-"]);
    assert!(groups("--describe --group g --json").contains("\"lag\":6"));
    let state = groups("--describe --group g --state");
    assert!(state.contains("COORDINATOR (ID)") && state.contains("Empty"), "{state}");

    let exported = groups("--reset-offsets --group g --topic t --to-offset 2 --export");
    assert_eq!(exported, "\"t\",0,2\n");
    let file = shell.bin.join("plan.csv");
    fs::write(&file, exported).unwrap();
    assert_eq!(moved(&format!("--from-file {}", file.display())), 2);

    let deleted = groups("--delete-offsets --group g --topic t");
    assert!(
        deleted.starts_with("Request succeeded for deleting offsets from group g."),
        "{deleted}"
    );
    moved("--to-latest");
    assert_eq!(
        groups("--delete --group g"),
        "Deletion of requested consumer groups ('g') was successful.\n"
    );
    assert_eq!(groups("--list"), "");
    let missing = shell.fails("kafka-consumer-groups.sh", "--describe --group g");
    assert_eq!(missing, "\nError: Consumer group 'g' does not exist.\n");
}

/// A share group begins where it is told to, reads each record once, and is shown, moved and deleted.
#[test]
fn share_groups_read_and_are_moved_described_and_deleted() {
    let shell = Shell::new();
    let groups = |arguments: &str| shell.ok("kafka-share-groups.sh", arguments, "");
    shell.topics("--create --topic t --partitions 1");
    let lines: String = (0..10).map(|n| format!("line {n}\n")).collect();
    shell.ok("kafka-console-producer.sh", "--topic t", &lines);
    assert_eq!(groups("--list"), "");
    let set = shell.ok(
        "kafka-configs.sh",
        "--alter --group g --add-config share.auto.offset.reset=earliest",
        "",
    );
    assert_eq!(set, "Completed updating config for group g.\n");
    let shown = shell.ok("kafka-configs.sh", "--describe --group g", "");
    assert!(
        shown.contains("DYNAMIC_GROUP_CONFIG:share.auto.offset.reset=earliest"),
        "{shown}"
    );
    let moved = groups("--reset-offsets --group g --topic t --to-earliest --execute");
    let row: Vec<&str> = moved.lines().last().unwrap_or_default().split_whitespace().collect();
    assert_eq!(row, ["g", "t", "0", "0"], "{moved}");

    let read = |flags: &str| {
        shell.ok(
            "kafka-console-share-consumer.sh",
            &format!("--topic t --group g {flags}"),
            "",
        )
    };
    assert_eq!(
        read("--max-messages 4"),
        lines
            .lines()
            .take(4)
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    );
    assert_eq!(read("--max-messages 1 --release"), "line 4\n");
    let rest: String = lines.lines().skip(4).map(|line| format!("{line}\n")).collect();
    assert_eq!(read("--max-messages 6"), rest);

    assert_eq!(groups("--list"), "g\n");
    assert_eq!(
        groups("--list --state"),
        "GROUP           STATE\ng               Empty\n"
    );
    let described = groups("--describe --group g");
    let row: Vec<&str> = described.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(row, ["g", "t", "0", "10", "0"]);
    assert!(groups("--describe --group g --json").contains("\"startOffset\":10"));
    let state = groups("--describe --group g --state --verbose");
    assert!(state.contains("ASSIGNMENT-EPOCH") && state.contains("Empty"), "{state}");

    let deleted = groups("--delete-offsets --group g --topic t");
    assert!(deleted.contains("Successful"), "{deleted}");
    assert_eq!(
        groups("--delete --group g"),
        "Deletion of requested share groups ('g') was successful.\n"
    );
    assert_eq!(groups("--list"), "");
    let missing = shell.fails("kafka-share-groups.sh", "--describe --group g");
    assert!(missing.contains("Group g not found."), "{missing}");
}
