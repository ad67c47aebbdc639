//! The tools of partitions and replicas, ours and Kafka's own, on a cluster: both do the same, and say the same.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::Cluster;
use super::failover::{Load, TOPIC};
use crate::support::{PATIENCE, Program, target_dir, wait_until};

pub(super) const REASSIGN: &str = "reassign.ReassignPartitionsCommand";

/// Partitions move to and fro while a producer writes: begun, watched and taken back by either tool. Nothing acknowledged is
/// lost, and in the end the replicas are the same, as both verifications find.
#[test]
fn partitions_move_under_load_as_both_tools_say() {
    let cluster = Cluster::start();
    create(&cluster, &format!("--topic {TOPIC} --replica-assignment 1:2,2:3,3:1"));
    let load = Load::onto_topic(&cluster, 2);
    load.ledger.await_more();

    let there = file(&cluster, "there", &plan(&[&[3, 2], &[1, 3], &[2, 1]]));
    let said = ours(
        &cluster,
        "reassign-partitions",
        &format!("--execute --wait --reassignment-json-file {there}"),
    );
    assert!(
        said.ends_with("Successfully started partition reassignments for orders-0,orders-1,orders-2\n"),
        "{said}"
    );
    let before = said.lines().find(|line| line.starts_with('{')).expect("what was there");
    assert!(
        before.contains(r#"{"topic":"orders","partition":0,"replicas":[1,2],"log_dirs":["/"#),
        "{before}"
    );
    let verify = format!("--verify --reassignment-json-file {there}");
    let state = both(&cluster, "reassign-partitions", REASSIGN, &verify);
    assert_eq!(state.matches("is completed.").count(), 3, "{state}");
    load.ledger.await_more();

    let back = file(&cluster, "back", &plan(&[&[1, 2], &[2, 3], &[3, 1]]));
    let execute = format!("--execute --reassignment-json-file {back}");
    let said = kafkas(&cluster, REASSIGN, &execute);
    assert!(
        said.contains("Successfully started partition reassignments for"),
        "{said}"
    );
    ours(
        &cluster,
        "reassign-partitions",
        &format!("--verify --wait --reassignment-json-file {back}"),
    );
    let ledger = load.stop();
    let before = file(&cluster, "before", before);
    let state = both(
        &cluster,
        "reassign-partitions",
        REASSIGN,
        &format!("--verify --reassignment-json-file {before}"),
    );
    assert!(
        state.contains("Reassignment of replica orders-0-1 completed successfully."),
        "{state}"
    );
    assert_eq!(
        both(&cluster, "reassign-partitions", REASSIGN, "--list"),
        "No partition reassignments found.\n"
    );
    let cancelled = both(
        &cluster,
        "reassign-partitions",
        REASSIGN,
        &format!("--cancel --reassignment-json-file {there}"),
    );
    assert!(
        cancelled.starts_with("None of the specified partition reassignments are active."),
        "{cancelled}"
    );
    let state = both(&cluster, "reassign-partitions", REASSIGN, &verify);
    assert!(
        state
            .contains("There is no active reassignment of partition orders-0, but replica set is 1,2 rather than 3,2."),
        "{state}"
    );
    let described = both(
        &cluster,
        "topics",
        "TopicCommand",
        &format!("--describe --topic {TOPIC}"),
    );
    assert!(described.contains("Replicas: 1,2"), "{described}");

    ledger.check(&cluster, TOPIC);
    let said = ours(
        &cluster,
        "replica-verification",
        &format!("--once --time -2 --topics-include {TOPIC}"),
    );
    assert!(said.contains("max lag is 0 for partition orders-"), "{said}");
    assert!(
        said.ends_with("among 3 partitions\n") && !said.contains("match"),
        "{said}"
    );
    kafkas_verification_finds_equal_replicas(&cluster);
}

/// A throttled move takes its time, and is seen to be under way meanwhile; the end takes the throttle back.
#[test]
fn a_throttled_move_is_no_faster_than_its_rate() {
    const RATE: usize = 400_000;
    const VALUE: usize = 100_000;
    const RECORDS: usize = 30;
    let cluster = Cluster::start();
    create(
        &cluster,
        &format!("--topic {TOPIC} --replica-assignment 1 --config min.insync.replicas=1"),
    );
    let records = format!("{}\n", "x".repeat(VALUE)).repeat(RECORDS);
    cluster.nodes[0].tool("console-producer", &format!("--topic {TOPIC} --sync"), &records);
    let began = Instant::now();
    let there = file(&cluster, "there", &plan(&[&[1, 2]]));
    let execute = format!("--execute --throttle {RATE} --reassignment-json-file {there}");
    let said = ours(&cluster, "reassign-partitions", &execute);
    assert!(
        said.contains("The inter-broker throttle limit was set to 400000 B/s"),
        "{said}"
    );
    let verify = format!("--verify --reassignment-json-file {there}");
    let state = ours(&cluster, "reassign-partitions", &verify);
    assert!(
        state.contains("Reassignment of partition orders-0 is still in progress."),
        "{state}"
    );
    assert_eq!(
        ours(&cluster, "reassign-partitions", "--list"),
        "Current partition reassignments:\norders-0: replicas: 1,2. adding: 2.\n"
    );
    ours(
        &cluster,
        "reassign-partitions",
        &format!("--preserve-throttles --wait {verify}"),
    );
    // What one answer holds, and a second's worth, may come at once.
    let throttled = (RECORDS * VALUE - (1 << 20) - RATE) / RATE;
    assert!(
        began.elapsed() >= Duration::from_secs(throttled as u64),
        "{:?}",
        began.elapsed()
    );
    let state = both(&cluster, "reassign-partitions", REASSIGN, &verify);
    assert!(
        state.contains("Reassignment of partition orders-0 is completed."),
        "{state}"
    );
    for described in [
        ours(&cluster, "configs", "--describe --entity-type brokers --entity-name 1"),
        ours(&cluster, "configs", &format!("--describe --topic {TOPIC}")),
    ] {
        assert!(!described.contains("throttled"), "{described}");
    }
}

/// A preferred replica that comes back leads again when it is asked for. One that may miss records leads only when an
/// unclean election is asked for; what tells of it does so also through a list of brokers whose first ones are down.
#[test]
fn leaders_are_elected_only_as_asked() {
    let mut cluster = Cluster::start();
    create(&cluster, &format!("--topic {TOPIC} --replica-assignment 1:2:3,1:3:2"));
    create(
        &cluster,
        "--topic lonely --replica-assignment 1:2 --config min.insync.replicas=1",
    );
    wait_until("all replicas are in sync", || cluster.in_sync(2, Some(TOPIC), 3));
    wait_until("those of the other topic too", || cluster.in_sync(2, Some("lonely"), 2));
    assert!(cluster.nodes[0].terminate().success());
    let is_led = |cluster: &Cluster, topic: &str, leader: &str| {
        let described = cluster.nodes[2].tool("topics", &format!("--describe --topic {topic}"), "");
        let leaders = described.lines().filter(|line| line.contains("Leader: "));
        leaders
            .filter(|line| line.contains(&format!("Leader: {leader}\t")))
            .count()
            == described.matches("Leader: ").count()
    };
    wait_until("others lead", || !is_led(&cluster, TOPIC, "1"));
    cluster.nodes[0].restart();
    wait_until("it is in sync again", || {
        cluster.in_sync(2, Some(TOPIC), 3) && cluster.in_sync(2, Some("lonely"), 2)
    });
    let said = ours(
        &cluster,
        "leader-election",
        "--election-type PREFERRED --all-topic-partitions",
    );
    assert_eq!(
        said,
        "Successfully completed leader election (PREFERRED) for partitions lonely-0, orders-0, orders-1\n"
    );
    wait_until("it leads again", || is_led(&cluster, TOPIC, "1"));
    let elect = format!("--election-type preferred --topic {TOPIC} --partition 1");
    assert_eq!(
        both(&cluster, "leader-election", "LeaderElectionCommand", &elect),
        "Valid replica already elected for partitions orders-1\n"
    );

    // The second replica stops, then the only one in sync is lost.
    cluster.nodes[1].kill_9();
    wait_until("it is out of sync", || cluster.in_sync(2, Some("lonely"), 1));
    cluster.nodes[0].kill_9();
    cluster.nodes[1].restart();
    let unavailable = |cluster: &Cluster| ours(cluster, "topics", "--describe --unavailable-partitions --topic lonely");
    wait_until("it has no leader", || unavailable(&cluster).contains("Leader: none"));
    assert_eq!(
        both(
            &cluster,
            "topics",
            "TopicCommand",
            "--describe --unavailable-partitions --topic lonely"
        ),
        unavailable(&cluster)
    );
    let preferred = run_ours(
        &cluster,
        "leader-election",
        "--election-type PREFERRED --topic lonely --partition 0",
    );
    assert_eq!(preferred.status.code(), Some(1));
    assert!(
        text(&preferred.stdout).starts_with("Error completing leader election (PREFERRED) for partition: lonely-0: ")
    );
    assert!(unavailable(&cluster).contains("Leader: none"), "not by itself");
    assert_eq!(
        ours(
            &cluster,
            "leader-election",
            "--election-type UNCLEAN --topic lonely --partition 0"
        ),
        "Successfully completed leader election (UNCLEAN) for partitions lonely-0\n"
    );
    wait_until("the survivor leads", || is_led(&cluster, "lonely", "2"));
}

pub(super) fn create(cluster: &Cluster, arguments: &str) {
    cluster.nodes[0].tool("topics", &format!("--create {arguments}"), "");
}

pub(super) fn plan(replicas: &[&[i32]]) -> String {
    let partition = |(index, replicas): (usize, &&[i32])| {
        format!(r#"{{"topic": "{TOPIC}", "partition": {index}, "replicas": {replicas:?}}}"#)
    };
    let partitions: Vec<String> = replicas.iter().enumerate().map(partition).collect();
    format!(r#"{{"version": 1, "partitions": [{}]}}"#, partitions.join(", "))
}

pub(super) fn file(cluster: &Cluster, name: &str, content: &str) -> String {
    let path = cluster.nodes[0].dir.join(format!("{name}.json"));
    fs::write(&path, content).unwrap();
    path.display().to_string()
}

fn run_ours(cluster: &Cluster, subcommand: &str, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corelane"));
    command.args(subcommand.split(' '));
    run(&mut command, cluster, arguments)
}

pub(super) fn ours(cluster: &Cluster, subcommand: &str, arguments: &str) -> String {
    printed(&run_ours(cluster, subcommand, arguments))
}

pub(super) fn kafkas(cluster: &Cluster, class: &str, arguments: &str) -> String {
    printed(&run(&mut java(class), cluster, arguments))
}

/// What both tools print, which must be the same.
pub(super) fn both(cluster: &Cluster, subcommand: &str, class: &str, arguments: &str) -> String {
    let said = ours(cluster, subcommand, arguments);
    assert_eq!(said, kafkas(cluster, class, arguments), "{subcommand} {arguments}");
    said
}

fn java(class: &str) -> Command {
    let mut command = Command::new("java");
    let jars = target_dir().join("clients/kafka/libs/*");
    command
        .args(["-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(jars)
        .arg(format!("org.apache.kafka.tools.{class}"));
    command
}

fn run(command: &mut Command, cluster: &Cluster, arguments: &str) -> Output {
    command
        .args(["--bootstrap-server", &cluster.bootstrap()])
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn printed(output: &Output) -> String {
    let said = text(&output.stdout);
    assert!(
        output.status.success(),
        "{}: {said}{}",
        output.status,
        text(&output.stderr)
    );
    said
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// It goes on for ever: until it has reported twice that nothing is left.
fn kafkas_verification_finds_equal_replicas(cluster: &Cluster) {
    let log = cluster.nodes[0].dir.join("verification.log");
    let out = fs::File::create(&log).unwrap();
    let mut command = java("ReplicaVerificationTool");
    command
        .args(["--broker-list", &cluster.bootstrap(), "--topics-include", TOPIC])
        .args(["--time", "-2", "--report-interval-ms", "100", "--max-wait-ms", "100"])
        .stdin(Stdio::null())
        .stderr(out.try_clone().unwrap())
        .stdout(out);
    let _tool = Program(command.spawn().unwrap());
    let said = || fs::read_to_string(&log).unwrap();
    wait_until("Kafka's tool has compared all", || {
        said().matches("max lag is 0 for partition orders-").count() >= 2
    });
    assert!(!said().contains("match"), "within {PATIENCE:?}: {}", said());
}
