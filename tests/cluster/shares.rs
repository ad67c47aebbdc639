//! Share groups on a cluster: it makes no difference to Kafka's own share consumers and tools which brokers lead the
//! partitions, coordinate the group, and keep its state; nor that they stop, are killed, and lead in turns.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use super::Cluster;
use super::failover::{Load, PARTITIONS, TOPIC};
use super::tools_partitions::{kafkas, ours};
use crate::support::{Broker, Program, target_dir, wait_until};

const GROUP: &str = "shared";
const KAFKAS_TOOL: &str = "consumer.group.ShareGroupCommand";

/// What a broken connection leaves locked is offered again soon, and however often brokers fall. Kafka's consumer that could
/// not begin a session with a broker that was down waits 30 s when it closes, and has no time left then to leave the group.
const SETTINGS: [(&str, &str); 5] = [
    ("group.share.session.timeout.ms", "15000"),
    ("group.share.min.session.timeout.ms", "15000"),
    ("group.share.record.lock.duration.ms", "5000"),
    ("group.share.min.record.lock.duration.ms", "1000"),
    ("group.share.delivery.count.limit", "10"),
];

/// Every record comes to one of two members, and is acknowledged once. Then the tools, each asking by another broker, list,
/// describe, move and delete the group.
#[test]
fn a_share_group_does_not_see_where_the_leaders_are() {
    let cluster = start();
    cluster.create(0, TOPIC);
    let members = [Member::start(&cluster, "auto"), Member::start(&cluster, "sync")];
    // Members that come later have partitions change hands, and what was read of them meanwhile may come again.
    wait_until("every node lists the group", || listed(&cluster) == [GROUP; 3]);
    wait_until("the partitions are shared out", || {
        let assigned = assigned(&cluster);
        assigned.len() == 2 && assigned.iter().sum::<i32>() == PARTITIONS
    });
    let load = Load::onto_topic(&cluster, 3);
    for member in &members {
        wait_until("both members get records", || !member.taken().acknowledged.is_empty());
    }
    load.ledger.await_more();
    let leaders: BTreeSet<i32> = cluster
        .partitions(0, Some(TOPIC))
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(leaders.len(), 3, "every broker leads a partition");
    let ends = load.stop_and_check(&cluster).ends();
    wait_until("all is acknowledged", || {
        acknowledged_by(&members).keys().copied().eq(all(&ends))
    });
    assert_eq!(listed(&cluster), [GROUP; 3]);
    let members = members.map(Member::stop);
    let mut taken = BTreeMap::new();
    for member in &members {
        for (at, times) in &member.taken {
            *taken.entry(*at).or_insert(0) += times;
        }
    }
    assert!(taken.keys().copied().eq(all(&ends)));
    let again: Vec<(&At, &usize)> = taken.iter().filter(|(_, times)| **times > 1).collect();
    assert!(again.is_empty(), "some records came more than once: {again:?}");

    let start_and_lag = |start: fn(i64) -> i64| -> Vec<(i64, i64)> {
        ends.values().map(|end| (start(*end), end - start(*end))).collect()
    };
    assert_eq!(described(&cluster), start_and_lag(|end| end));
    let reset = format!("--reset-offsets --group {GROUP} --topic {TOPIC} --to-earliest --execute");
    kafkas(&cluster, KAFKAS_TOOL, &reset);
    assert_eq!(described(&cluster), start_and_lag(|_| 0));
    let member = Member::start(&cluster, "auto");
    wait_until("all is read again", || {
        member.taken().acknowledged.keys().copied().eq(all(&ends))
    });
    member.stop();
    assert_eq!(described(&cluster), start_and_lag(|end| end));
    ours(&cluster, "share-groups", &reset);
    assert_eq!(described(&cluster), start_and_lag(|_| 0));
    kafkas(
        &cluster,
        KAFKAS_TOOL,
        &format!("--delete-offsets --group {GROUP} --topic {TOPIC}"),
    );
    assert_eq!(described(&cluster), []);
    kafkas(&cluster, KAFKAS_TOOL, &format!("--delete --group {GROUP}"));
    assert_eq!(listed(&cluster), [""; 3]);
}

/// One broker after the other falls: with it a leader of a partition that is read, and the coordinators of part of the
/// state. Then all leaders move back. Every record is got, and what was confirmed as acknowledged is not offered to the
/// members that come later.
#[test]
fn acknowledgements_outlive_their_brokers() {
    let mut cluster = start();
    let load = Load::start(&cluster);
    let members = [Member::start(&cluster, "auto"), Member::start(&cluster, "sync")];
    for victim in 0..3 {
        await_more(&members);
        load.ledger.await_more();
        cluster.nodes[victim].kill_9();
        let other = (victim + 1) % 3;
        wait_until("others lead", || cluster.is_led_without(other, victim));
        load.ledger.await_more();
        await_more(&members);
        cluster.nodes[victim].restart();
        wait_until("it is in sync again", || cluster.in_sync(other, None, 3));
    }
    ours(
        &cluster,
        "leader-election",
        "--election-type PREFERRED --all-topic-partitions",
    );
    await_more(&members);
    let ends = load.stop_and_check(&cluster).ends();
    wait_until("all is got", || {
        let known: BTreeSet<At> = members
            .iter()
            .flat_map(|member| member.taken().taken.into_keys())
            .collect();
        all(&ends).all(|at| known.contains(&at))
    });
    wait_until("nothing is left to acknowledge", || {
        described(&cluster).iter().all(|(_, lag)| *lag == 0)
    });
    let mut confirmed: BTreeSet<At> = BTreeSet::new();
    for member in members {
        confirmed.extend(member.stop().acknowledged.into_keys());
    }
    assert!(!confirmed.is_empty());

    let later = Member::start(&cluster, "sync");
    let load = Load::onto_topic(&cluster, 3);
    load.ledger.await_more();
    let later_ends = load.stop().ends();
    wait_until("what is new is got", || {
        let taken = later.taken().taken;
        all(&later_ends)
            .filter(|at| at.1 >= ends[&at.0])
            .all(|at| taken.contains_key(&at))
    });
    let again: Vec<At> = later
        .stop()
        .taken
        .into_keys()
        .filter(|at| confirmed.contains(at))
        .collect();
    assert!(again.is_empty(), "acknowledged, and offered again: {again:?}");
}

fn start() -> Cluster {
    Cluster::of(
        (0..3)
            .map(|_| (Broker::prepare(&SETTINGS), "127.0.0.1".to_owned()))
            .collect(),
    )
}

/// A record's partition and offset.
type At = (i32, i64);

fn all(ends: &BTreeMap<i32, i64>) -> impl Iterator<Item = At> {
    ends.iter()
        .flat_map(|(partition, end)| (0..*end).map(move |offset| (*partition, offset)))
}

fn acknowledged_by(members: &[Member]) -> BTreeMap<At, usize> {
    members.iter().flat_map(|member| member.taken().acknowledged).collect()
}

fn await_more(members: &[Member]) {
    const MORE: usize = 100;
    let before = acknowledged_by(members).len();
    wait_until("records are acknowledged", || {
        acknowledged_by(members).len() >= before + MORE
    });
}

/// The groups, as each node lists them.
fn listed(cluster: &Cluster) -> Vec<String> {
    let list = |node: &Broker| node.tool("share-groups", "--list", "").trim_end().to_owned();
    cluster.nodes.iter().map(list).collect()
}

/// How many partitions each member has been told to read.
fn assigned(cluster: &Cluster) -> Vec<i32> {
    let described = ours(
        cluster,
        "share-groups",
        &format!("--describe --group {GROUP} --members"),
    );
    let rows = described.lines().filter(|line| line.starts_with(&format!("{GROUP} ")));
    // GROUP, CONSUMER-ID, HOST, CLIENT-ID, #PARTITIONS, ASSIGNMENT
    let count = |line: &str| line.split_whitespace().nth(4).and_then(|count| count.parse().ok());
    rows.map(|line| count(line).unwrap_or(0)).collect()
}

/// Start and lag of every partition, by partition, as both tools say.
fn described(cluster: &Cluster) -> Vec<(i64, i64)> {
    let describe = format!("--describe --group {GROUP} --offsets");
    let rows = |said: &str| {
        let rows = said.lines().filter(|line| line.starts_with(&format!("{GROUP} ")));
        let mut rows: Vec<(i32, i64, i64)> = rows.map(row).collect();
        rows.sort_unstable();
        rows
    };
    let said = rows(&ours(cluster, "share-groups", &describe));
    assert_eq!(said, rows(&kafkas(cluster, KAFKAS_TOOL, &describe)));
    said.into_iter().map(|(_, start, lag)| (start, lag)).collect()
}

/// GROUP, TOPIC, PARTITION, START-OFFSET, LAG
fn row(line: &str) -> (i32, i64, i64) {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| columns[at].parse::<i64>().unwrap_or(-1);
    (number(2) as i32, number(3), number(4))
}

/// How often each record was taken, and confirmed as acknowledged.
#[derive(Clone, Default)]
struct Taken {
    taken: BTreeMap<At, usize>,
    acknowledged: BTreeMap<At, usize>,
}

/// Kafka's VerifiableShareConsumer, which prints what it takes and what is confirmed.
struct Member {
    process: Program,
    taken: Arc<Mutex<Taken>>,
    reader: thread::JoinHandle<bool>,
}

impl Member {
    fn start(cluster: &Cluster, mode: &str) -> Member {
        let errors = fs::File::options()
            .create(true)
            .append(true)
            .open(cluster.nodes[0].dir.join("members.log"))
            .unwrap();
        let mut child = Command::new("java")
            .args(["-Xmx128M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(target_dir().join("clients/kafka/libs/*"))
            .arg("org.apache.kafka.tools.VerifiableShareConsumer")
            .args(["--bootstrap-server", &cluster.bootstrap(), "--topic", TOPIC])
            .args(["--group-id", GROUP, "--offset-reset-strategy", "earliest"])
            .args(["--acknowledgement-mode", mode])
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap();
        let (taken, output) = (Arc::<Mutex<Taken>>::default(), child.stdout.take().unwrap());
        let noted = taken.clone();
        let reader = thread::spawn(move || {
            let mut ends_in_order = false;
            for line in BufReader::new(output).lines().map(Result::unwrap) {
                let Ok(said) = serde_json::from_str::<serde_json::Value>(&line) else {
                    continue;
                };
                noted.lock().unwrap().note(&said);
                ends_in_order |= said["name"] == "shutdown_complete";
            }
            ends_in_order
        });
        Member {
            process: Program(child),
            taken,
            reader,
        }
    }

    fn taken(&self) -> Taken {
        self.taken.lock().unwrap().clone()
    }

    /// It acknowledges what it has, and leaves.
    fn stop(self) -> Taken {
        let told = Command::new("kill").arg(self.process.0.id().to_string()).status();
        assert!(told.unwrap().success());
        assert!(self.reader.join().unwrap(), "it ends in order");
        self.taken.lock().unwrap().clone()
    }
}

impl Taken {
    fn note(&mut self, said: &serde_json::Value) {
        let counts = match said["name"].as_str().unwrap_or_default() {
            "records_consumed" => &mut self.taken,
            "offsets_acknowledged" if said["success"] == true => &mut self.acknowledged,
            _ => return,
        };
        for row in said["partitions"].as_array().into_iter().flatten() {
            let partition = row["partition"].as_i64().unwrap() as i32;
            for offset in row["offsets"].as_array().unwrap() {
                *counts.entry((partition, offset.as_i64().unwrap())).or_insert(0) += 1;
            }
        }
    }
}
