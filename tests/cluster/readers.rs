//! Consumers in groups while leaders move: by elections, by reassignments, and because brokers stop and are killed. They
//! read every record, each partition in its order, and never lose their place.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Message};

use super::Cluster;
use super::failover::{Load, PARTITIONS, TOPIC};
use super::tools_partitions::{file, ours, plan};
use crate::support::{Program, target_dir, wait_until};

/// What comes first in the assignment leads.
const ASSIGNMENTS: [[&[i32]; 3]; 3] = [
    [&[2, 3, 1], &[3, 1, 2], &[1, 2, 3]],
    [&[3, 1, 2], &[1, 2, 3], &[2, 3, 1]],
    [&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]],
];

#[test]
fn groups_read_everything_in_order_while_leaders_move() {
    let mut cluster = Cluster::start();
    let load = Load::start(&cluster);
    let (librdkafka, java) = (Librdkafka::start(&cluster), JavaConsumer::start(&cluster));
    for (round, assignment) in ASSIGNMENTS.iter().enumerate() {
        load.ledger.await_more();
        move_leaders(&cluster, assignment);
        load.ledger.await_more();
        if round == 1 {
            assert!(cluster.nodes[round].terminate().success());
        } else {
            cluster.nodes[round].kill_9();
        }
        load.ledger.await_more();
        cluster.nodes[round].restart();
        let other = (round + 1) % 3;
        wait_until("it is in sync again", || cluster.in_sync(other, None, 3));
    }
    let ends = load.stop_and_check(&cluster).ends();
    assert_eq!(ends.len() as i32, PARTITIONS);
    for place in [&librdkafka.place, &java.place] {
        wait_until("everything is read", || place.lock().unwrap().has(&ends));
    }
    librdkafka.stop();
    java.stop();
}

/// All at once: who is to lead comes first, and is elected.
fn move_leaders(cluster: &Cluster, assignment: &[&[i32]]) {
    let there = file(cluster, "there", &plan(assignment));
    let reassign = format!("--execute --wait --reassignment-json-file {there}");
    ours(cluster, "reassign-partitions", &reassign);
    let elect = "--election-type PREFERRED --all-topic-partitions";
    ours(cluster, "leader-election", elect);
    let leaders: Vec<i32> = assignment.iter().map(|replicas| replicas[0]).collect();
    wait_until("the leaders have moved", || {
        let partitions = cluster.partitions(0, Some(TOPIC));
        partitions.iter().map(|(leader, _)| *leader).eq(leaders.iter().copied())
    });
}

/// Where a group's only member is, partition by partition.
#[derive(Default)]
struct Place {
    next: BTreeMap<i32, i64>,
    committed: BTreeMap<i32, i64>,
}

impl Place {
    /// Records without a gap. What comes again, since the partition was assigned anew, was not committed.
    fn read(&mut self, partition: i32, first: i64, last: i64) {
        let place = |of: &BTreeMap<i32, i64>| of.get(&partition).copied().unwrap_or(0);
        let (next, committed) = (place(&self.next), place(&self.committed));
        assert!(
            (committed..=next).contains(&first),
            "partition {partition}: {first} after {next}, and {committed} is committed"
        );
        self.next.insert(partition, last + 1);
    }

    fn has(&self, ends: &BTreeMap<i32, i64>) -> bool {
        ends.iter()
            .all(|(partition, end)| self.next.get(partition) >= Some(end))
    }
}

struct Librdkafka {
    place: Arc<Mutex<Place>>,
    stop: Arc<AtomicBool>,
    reader: thread::JoinHandle<()>,
}

impl Librdkafka {
    fn start(cluster: &Cluster) -> Librdkafka {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap())
            .set("group.id", "librdkafka")
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("reconnect.backoff.max.ms", "200")
            .create()
            .unwrap();
        consumer.subscribe(&[TOPIC]).unwrap();
        let (place, stop) = (Arc::<Mutex<Place>>::default(), Arc::<AtomicBool>::default());
        let (noted, stopped) = (place.clone(), stop.clone());
        let reader = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match consumer.poll(Duration::from_millis(100)) {
                    Some(Ok(message)) => {
                        let (partition, offset) = (message.partition(), message.offset());
                        let mut place = noted.lock().unwrap();
                        place.read(partition, offset, offset);
                        // One that fails is made up for by a later one.
                        if offset % 100 == 0 && consumer.commit_message(&message, CommitMode::Sync).is_ok() {
                            place.committed.insert(partition, offset + 1);
                        }
                    }
                    Some(Err(error)) => assert!(is_passing(&error), "{error}"),
                    None => {}
                }
            }
        });
        Librdkafka { place, stop, reader }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.reader.join().unwrap();
    }
}

/// Connections break with their brokers; the client goes on by itself.
fn is_passing(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown)
    )
}

/// Kafka's VerifiableConsumer, which prints what it reads and commits.
struct JavaConsumer {
    process: Program,
    place: Arc<Mutex<Place>>,
    reader: thread::JoinHandle<bool>,
}

impl JavaConsumer {
    fn start(cluster: &Cluster) -> JavaConsumer {
        let mut child = Command::new("java")
            .args(["-Xmx128M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(target_dir().join("clients/kafka/libs/*"))
            .arg("org.apache.kafka.tools.VerifiableConsumer")
            .args(["--bootstrap-server", &cluster.bootstrap(), "--topic", TOPIC])
            .args(["--group-id", "java", "--reset-policy", "earliest"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (place, output) = (Arc::<Mutex<Place>>::default(), child.stdout.take().unwrap());
        let noted = place.clone();
        let reader = thread::spawn(move || {
            let mut ends_in_order = false;
            for line in BufReader::new(output).lines().map(Result::unwrap) {
                let said: serde_json::Value = serde_json::from_str(&line).unwrap();
                note(&mut noted.lock().unwrap(), &said);
                ends_in_order |= said["name"] == "shutdown_complete";
            }
            ends_in_order
        });
        JavaConsumer {
            process: Program(child),
            place,
            reader,
        }
    }

    fn stop(self) {
        let told = Command::new("kill").arg(self.process.0.id().to_string()).status();
        assert!(told.unwrap().success());
        assert!(self.reader.join().unwrap(), "it ends in order");
    }
}

fn note(place: &mut Place, said: &serde_json::Value) {
    let number = |row: &serde_json::Value, field: &str| row[field].as_i64().unwrap();
    let rows = |field: &str| said[field].as_array().cloned().unwrap_or_default();
    match said["name"].as_str().unwrap() {
        "records_consumed" => {
            for row in rows("partitions") {
                let (first, last) = (number(&row, "minOffset"), number(&row, "maxOffset"));
                assert_eq!(number(&row, "count"), last - first + 1, "a gap: {row}");
                place.read(number(&row, "partition") as i32, first, last);
            }
        }
        "offsets_committed" if said["success"] == true => {
            for row in rows("offsets") {
                let partition = number(&row, "partition") as i32;
                place.committed.insert(partition, number(&row, "offset"));
            }
        }
        _ => {}
    }
}
