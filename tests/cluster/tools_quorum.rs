//! The tools of the quorum and of brokers, ours beside Kafka's own: what they say of a cluster is the same.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use super::Cluster;
use crate::support::{Broker, scratch_dir, target_dir, wait_until};

const CLUSTER: &str = "4L6g3nShT-eMCtK--X86sw";

pub(super) fn ours(subcommand: &str, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_corelane"))
        .arg(subcommand)
        .args(arguments.split_whitespace())
        .output()
        .unwrap()
}

/// Kafka's class of that name.
pub(super) fn kafkas(class: &str, arguments: &str) -> Output {
    let jars = target_dir().join("clients/kafka/libs/*");
    Command::new("java")
        .args(["-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(jars)
        .arg(class)
        .args(arguments.split_whitespace())
        .output()
        .unwrap_or_else(|problem| panic!("java: {problem}; `make clients` installs what the tests need"))
}

pub(super) fn ok(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// What was printed about the failure, on both channels.
pub(super) fn failed(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stdout) + &text(&output.stderr)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A tool of ours, and the class of Kafka's.
pub(super) struct Tool(&'static str, pub(super) &'static str);

pub(super) const QUORUM: Tool = Tool("metadata-quorum", "org.apache.kafka.tools.MetadataQuorumCommand");
const CLUSTERS: Tool = Tool("cluster", "org.apache.kafka.tools.ClusterTool");
const FEATURES: Tool = Tool("features", "org.apache.kafka.tools.FeatureCommand");
const LOG_DIRS: Tool = Tool("log-dirs", "org.apache.kafka.tools.LogDirsCommand");
pub(super) const STORAGE: Tool = Tool("storage", "kafka.tools.StorageTool");

impl Tool {
    /// What ours prints, which Kafka's prints too, but for what `shown` leaves out.
    pub(super) fn agree<T: PartialEq + std::fmt::Debug>(&self, arguments: &str, shown: impl Fn(&str) -> T) -> String {
        let (mine, theirs) = (ours(self.0, arguments), kafkas(self.1, arguments));
        assert_eq!(mine.status.code(), theirs.status.code(), "{arguments}");
        let (mine, theirs) = (text(&mine.stdout), text(&theirs.stdout));
        assert_eq!(shown(&mine), shown(&theirs), "{} {arguments}\n{mine}\n{theirs}", self.0);
        mine
    }
}

fn sorted_lines(text: &str) -> BTreeSet<String> {
    text.lines().map(str::to_owned).collect()
}

/// Three nodes whose directories were formatted before.
fn formatted() -> Cluster {
    let node = |id: i32| {
        let node = Broker::prepare(&[("broker.id", &id.to_string())]);
        let file = node.dir.join("server.properties");
        let printed = ok(&ours("storage", &format!("format -t {CLUSTER} -c {}", file.display())));
        let expected = format!("Formatting metadata directory {}.\n", node.data_dir().display());
        assert_eq!(printed, expected);
        (node, "127.0.0.1".to_owned())
    };
    Cluster::of((1..=3).map(node).collect())
}

#[test]
fn kafkas_tools_and_ours_say_the_same_of_a_cluster() {
    let mut cluster = formatted();
    cluster.create(0, "orders");
    wait_until("the quorum is complete", || voters(&cluster, 0) == 3);
    wait_until("all replicas are in sync", || cluster.in_sync(0, Some("orders"), 3));
    let leader = cluster.controller();
    for node in 0..3 {
        let printed = ok(&ours("metadata-quorum", &on(&cluster, node, "describe --status")));
        assert!(
            printed.contains(&format!("ClusterId:              {CLUSTER}\n")),
            "{printed}"
        );
        assert!(
            printed.contains(&format!("LeaderId:               {}\n", leader + 1)),
            "{printed}"
        );
    }
    let follower = (leader + 1) % 3;
    QUORUM.agree(&on(&cluster, follower, "describe --status"), |printed| {
        let steady = |line: &&str| !line.starts_with("MaxFollowerLagTimeMs");
        printed.lines().filter(steady).map(str::to_owned).collect::<Vec<_>>()
    });
    QUORUM.agree(&on(&cluster, follower, "describe --replication"), without_times);
    FEATURES.agree(&on(&cluster, 0, "describe"), sorted_lines);
    for asked in [
        "upgrade --feature share.version=1 --feature transaction.version=2",
        "upgrade --feature share.version=1 --dry-run",
        "upgrade --feature group.version=1 --feature share.version=9",
        "upgrade --feature metadata.version=7 --dry-run",
        "downgrade --feature transaction.version=1",
        "disable --feature share.version --unsafe",
    ] {
        FEATURES.agree(&on(&cluster, follower, asked), sorted_lines);
    }
    LOG_DIRS.agree(&on(&cluster, 0, "--describe --topic-list orders"), |printed| {
        let json = printed.lines().last().map(serde_json::from_str::<serde_json::Value>);
        sorted_json(json.unwrap().unwrap())
    });

    let away = (leader + 2) % 3;
    cluster.nodes[away].kill_9();
    let endpoints = |node| on(&cluster, node, "list-endpoints --include-fenced-brokers");
    let fenced = |printed: &str| printed.lines().any(|line| line.contains(" fenced "));
    wait_until("the dead broker is fenced", || {
        fenced(&ok(&ours("cluster", &endpoints(follower))))
    });
    let listed = CLUSTERS.agree(&endpoints(follower), sorted_lines);
    assert_eq!(listed.lines().count(), 4, "{listed}");
    cluster.create(follower, "while-away");
    let replication = ok(&ours(
        "metadata-quorum",
        &on(&cluster, follower, "describe --replication"),
    ));
    assert!(lag(&replication, away + 1) > 0, "{replication}");

    let unregister = on(&cluster, follower, &format!("unregister --id {}", away + 1));
    let printed = ok(&ours("cluster", &unregister));
    assert_eq!(printed, format!("Broker {} is no longer registered.\n", away + 1));
    let gone = format!("Broker ID {} is not currently registered", away + 1);
    assert!(failed(&kafkas(CLUSTERS.1, &unregister)).contains(&gone));
    assert!(failed(&ours("cluster", &unregister)).contains(&gone));
    assert_eq!(ok(&ours("cluster", &endpoints(follower))).lines().count(), 3);

    cluster.nodes[away].restart();
    wait_until("it has registered again and is caught up", || {
        let replication = ok(&ours("metadata-quorum", &on(&cluster, away, "describe --replication")));
        let endpoints = ok(&ours("cluster", &on(&cluster, away, "list-endpoints")));
        lag(&replication, away + 1) == 0 && endpoints.lines().count() == 4
    });
    voters_that_run_stay(&cluster);
}

/// Whatever is said of a directory; Kafka's tool hears the same.
fn voters_that_run_stay(cluster: &Cluster) {
    let replication = ok(&ours("metadata-quorum", &on(cluster, 0, "describe --replication")));
    let (run, unknown) = (directory(&replication, 3), "AAAAAAAAAAAAAAAAAAAAAQ");
    for (directory, why) in [
        (run.as_str(), "runs at"),
        (unknown, "is not in the quorum"),
        ("?", "Failed to parse --controller-directory-id: "),
    ] {
        let remove = on(cluster, 0, &format!("remove-controller -i 3 -d {directory}"));
        for said in [ours("metadata-quorum", &remove), kafkas(QUORUM.1, &remove)] {
            let said = failed(&said);
            assert!(said.contains(why), "{said}");
        }
    }
    QUORUM.agree(
        &on(cluster, 0, &format!("remove-controller --dry-run -i 3 -d {run}")),
        str::to_owned,
    );
    assert_eq!(voters(cluster, 0), 3);
}

/// Of that node, as the tools know it.
pub(super) fn directory(replication: &str, node: usize) -> String {
    let mut rows = replication.lines().map(cells);
    let row = rows.find(|row| row[0] == node.to_string());
    row.expect("a row for every node")[1].to_owned()
}

pub(super) fn on(cluster: &Cluster, node: usize, arguments: &str) -> String {
    let bootstrap = format!("--bootstrap-server {}", cluster.nodes[node].bootstrap());
    // Kafka's cluster tool has its flags behind the action, the others before it.
    match arguments.split(' ').next() {
        Some("list-endpoints" | "unregister" | "cluster-id") => format!("{arguments} {bootstrap}"),
        _ => format!("{bootstrap} {arguments}"),
    }
}

fn voters(cluster: &Cluster, node: usize) -> usize {
    let printed = ok(&ours("metadata-quorum", &on(cluster, node, "describe --replication")));
    let votes = |line: &&str| line.ends_with("Leader  \t") || line.ends_with("Follower\t");
    printed.lines().filter(votes).count()
}

pub(super) fn cells(line: &str) -> Vec<&str> {
    line.split('\t').map(str::trim).collect()
}

pub(super) fn without_times(replication: &str) -> Vec<String> {
    let steady = |line| [&cells(line)[..4], &cells(line)[6..]].concat().join("\t");
    replication.lines().map(steady).collect()
}

fn lag(replication: &str, node: usize) -> i64 {
    let mut rows = replication.lines().map(cells);
    let row = rows.find(|row| row[0] == node.to_string());
    row.expect("a row for every node")[3].parse().unwrap()
}

/// Lists in an order that is not the tool's.
fn sorted_json(json: serde_json::Value) -> serde_json::Value {
    match json {
        serde_json::Value::Array(items) => {
            let mut items: Vec<_> = items.into_iter().map(sorted_json).collect();
            items.sort_by_key(ToString::to_string);
            items.into()
        }
        serde_json::Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, sorted_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

/// It leads, it votes, and it cannot be forgotten: nobody else would be left.
#[test]
fn a_node_alone_is_a_quorum_of_itself() {
    let cluster = Cluster {
        nodes: vec![Broker::start(&[])],
    };
    let printed = QUORUM.agree(&on(&cluster, 0, "describe --status"), sorted_lines);
    assert!(printed.contains("\nMaxFollowerLag:         0\n"), "{printed}");
    assert!(
        printed.contains("\nCurrentVoters:          [{\"id\": 0}]\n"),
        "{printed}"
    );
    let refusal = failed(&ours("cluster", &on(&cluster, 0, "unregister --id 0")));
    assert!(refusal.contains("only node of its cluster"), "{refusal}");
}

/// The same words and exit codes as Kafka's tool, which takes what ours has written for its own.
#[test]
fn directories_are_formatted_as_kafkas_are() {
    let dir = scratch_dir();
    let paths = ["a", "b"].map(|name| dir.join(name).display().to_string());
    let file = dir.join("server.properties");
    let properties = format!(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:9093\n\
         listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\ncontroller.listener.names=CONTROLLER\n\
         log.dirs={}\n",
        paths.join(",")
    );
    std::fs::write(&file, properties).unwrap();
    let config = format!("-c {}", file.display());
    let missing = STORAGE.agree(&format!("info {config}"), str::to_owned);
    assert!(missing.starts_with("Found problems:\n  "), "{missing}");
    let format = |id: &str, flags: &str| ours("storage", &format!("format -t {id} {config} {flags}"));
    let printed = ok(&format(CLUSTER, ""));
    assert_eq!(
        printed,
        format!(
            "Formatting metadata directory {}.\nFormatting data directory {}.\n",
            paths[0], paths[1]
        )
    );
    let formatted = STORAGE.agree(&format!("info {config}"), str::to_owned);
    assert!(formatted.contains(&format!("Found metadata: {{cluster.id={CLUSTER}, directory.id=")));

    let again = failed(&format(CLUSTER, ""));
    let theirs = failed(&kafkas(STORAGE.1, &format!("format -t {CLUSTER} {config}")));
    // It names whichever directory its hashing puts first, and a busy machine makes its logging say more.
    let theirs = theirs.replace(&paths[1], &paths[0]);
    assert!(theirs.contains(&again), "{again}{theirs}");
    assert_eq!(
        ok(&format(CLUSTER, "--ignore-formatted")),
        "All of the log directories are already formatted.\n"
    );
    let other = failed(&format("another", "-g"));
    assert!(
        other.ends_with(&format!("Expected another, but read {CLUSTER}\n")),
        "{other}"
    );
    std::fs::remove_dir_all(dir).unwrap();
}

/// One that is told of some controllers says that it brings none along; Kafka's tool asks for it, and takes what ours has
/// written.
#[test]
fn a_broker_that_is_no_controller_is_formatted_as_kafkas_are() {
    let dir = scratch_dir();
    let file = dir.join("server.properties");
    let properties = format!(
        "process.roles=broker\nnode.id=4\ncontroller.quorum.bootstrap.servers=127.0.0.1:9093\n\
         listeners=PLAINTEXT://127.0.0.1:9092\ncontroller.listener.names=CONTROLLER\nlog.dirs={}\n",
        dir.join("data").display()
    );
    std::fs::write(&file, properties).unwrap();
    let format = format!("format -t {CLUSTER} -c {} --no-initial-controllers", file.display());
    let printed = ok(&ours("storage", &format));
    assert!(printed.starts_with("Formatting metadata directory "), "{printed}");
    let again = STORAGE.agree(&format!("{format} --ignore-formatted"), str::to_owned);
    assert_eq!(again, "All of the log directories are already formatted.\n");
    std::fs::remove_dir_all(dir).unwrap();
}
