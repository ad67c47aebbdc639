//! Leaders are killed under load from librdkafka and from Kafka's own producer, one after the other: what was acknowledged
//! with acks=all is there once and in order. `ROUNDS` says how often.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use super::Cluster;
use crate::support::{PATIENCE, Program, target_dir, wait_until};

pub(super) const TOPIC: &str = "orders";
const JAVA_TOPIC: &str = "java";
pub(super) const PARTITIONS: i32 = 3;
/// Records to be acknowledged after a kill before the next.
const PER_ROUND: usize = 300;

/// What was acknowledged.
#[derive(Clone, Default)]
pub(super) struct Ledger {
    /// By partition and offset.
    known: Arc<Mutex<BTreeMap<(i32, i64), String>>>,
    /// Records whose answer was lost, or left it open, are acknowledged with the batch behind them, without an offset.
    implied: Arc<Mutex<Vec<(i32, String)>>>,
    /// What was acknowledged where another was acknowledged later.
    overwritten: Arc<Mutex<Vec<String>>>,
    count: Arc<AtomicUsize>,
    /// What was not, and why.
    failed: Arc<Mutex<Vec<String>>>,
}

impl ClientContext for Ledger {}

impl ProducerContext for Ledger {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, _: ()) {
        let text = |message: &BorrowedMessage<'_>| String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
        match delivered {
            Ok(message) => self.note((message.partition(), message.offset()), text(message)),
            Err((error, message)) => self.failed.lock().unwrap().push(format!("{}: {error}", text(message))),
        }
    }
}

impl Ledger {
    fn note(&self, at: (i32, i64), text: String) {
        if at.1 < 0 {
            self.implied.lock().unwrap().push((at.0, text));
        } else {
            let before = self.known.lock().unwrap().insert(at, text);
            // A panic here would end all tests: librdkafka has called this.
            if let Some(before) = before {
                self.overwritten.lock().unwrap().push(format!("{before} at {at:?}"));
            }
        }
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Of each partition, behind the last that was acknowledged.
    pub(super) fn ends(&self) -> BTreeMap<i32, i64> {
        let acknowledged = self.known.lock().unwrap();
        acknowledged
            .keys()
            .map(|(partition, offset)| (*partition, offset + 1))
            .collect()
    }

    /// Until some more are acknowledged.
    pub(super) fn await_more(&self) {
        let before = self.count();
        wait_until("records are acknowledged", || self.count() >= before + PER_ROUND);
    }

    /// The same of each of these partitions.
    pub(super) fn await_more_of(&self, partitions: &[i32]) {
        let before = self.ends();
        wait_until("records of each are acknowledged", || {
            let ends = self.ends();
            partitions.iter().all(|one| ends.get(one) > before.get(one))
        });
    }

    /// The client has nothing to report to who uses it: whatever it was refused it has sent again by itself.
    pub(super) fn check_none_failed(&self) {
        let failed = self.failed.lock().unwrap();
        assert!(failed.is_empty(), "{} failed, first {}", failed.len(), failed[0]);
        assert!(self.count() > 0, "some were delivered");
    }

    /// Every acknowledged record is where it was acknowledged, none is there twice, and each partition is in the order in which
    /// it was sent.
    pub(super) fn check(&self, cluster: &Cluster, topic: &str) {
        let overwritten = self.overwritten.lock().unwrap();
        assert!(overwritten.is_empty(), "there is another record now: {overwritten:?}");
        let acknowledged = self.known.lock().unwrap();
        let found = consume(&cluster.bootstrap(), topic, &acknowledged);
        for (at, payload) in acknowledged.iter() {
            assert_eq!(found.get(at), Some(payload), "at {at:?}");
        }
        let everywhere: BTreeSet<(i32, &str)> = found.iter().map(|(at, payload)| (at.0, payload.as_str())).collect();
        for (partition, payload) in self.implied.lock().unwrap().iter() {
            assert!(everywhere.contains(&(*partition, payload)), "{payload} in {partition}");
        }
        let number = |payload: &str| payload.trim_start_matches("record-").parse::<u64>().unwrap();
        for partition in 0..PARTITIONS {
            let of_partition = found.iter().filter(|((of, _), _)| *of == partition);
            let numbers: Vec<u64> = of_partition.map(|(_, payload)| number(payload)).collect();
            assert!(
                numbers.is_sorted_by(|one, next| one < next),
                "partition {partition} is out of order"
            );
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_leaders_are_killed() {
    let mut cluster = Cluster::start();
    let load = Load::start(&cluster);
    cluster.create(0, JAVA_TOPIC);
    let java = JavaProducer::start(&cluster.bootstrap());
    let rounds: usize = std::env::var("ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    for victim in (0..rounds).map(|round| round % 3) {
        load.ledger.await_more();
        java.ledger.await_more();
        cluster.nodes[victim].kill_9();
        // Whatever it led is led by others before it is back.
        load.ledger.await_more();
        java.ledger.await_more();
        cluster.nodes[victim].restart();
        let other = (victim + 1) % 3;
        for topic in [TOPIC, JAVA_TOPIC] {
            wait_until("it is in sync again", || cluster.in_sync(other, Some(topic), 3));
        }
    }
    let ledger = load.stop_and_check(&cluster);
    let acknowledged = java.stop();
    acknowledged.check(&cluster, JAVA_TOPIC);
    eprintln!(
        "{rounds} kills, {} records acknowledged",
        ledger.count() + acknowledged.count()
    );
}

/// Kafka's VerifiableProducer, which prints what was acknowledged.
struct JavaProducer {
    process: Program,
    reader: thread::JoinHandle<()>,
    ledger: Ledger,
}

impl JavaProducer {
    fn start(bootstrap: &str) -> JavaProducer {
        let mut child = Command::new("java")
            .args(["-Xmx128M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
            .arg(target_dir().join("clients/kafka/libs/*"))
            .arg("org.apache.kafka.tools.VerifiableProducer")
            .args(["--bootstrap-server", bootstrap, "--topic", JAVA_TOPIC])
            .args(["--acks", "-1", "--throughput", "300"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (ledger, output) = (Ledger::default(), child.stdout.take().unwrap());
        let noted = ledger.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(output).lines().map(Result::unwrap) {
                let said: serde_json::Value = serde_json::from_str(&line).unwrap();
                if said["name"] == "producer_send_success" {
                    let number = |field: &str| said[field].as_i64().unwrap();
                    let value = said["value"].as_str().unwrap().to_owned();
                    assert!(number("offset") >= 0, "{line}");
                    noted.note((number("partition") as i32, number("offset")), value);
                }
            }
        });
        JavaProducer {
            process: Program(child),
            reader,
            ledger,
        }
    }

    /// What was acknowledged, once it has ended.
    fn stop(self) -> Ledger {
        let told = Command::new("kill").arg(self.process.0.id().to_string()).status();
        assert!(told.unwrap().success());
        self.reader.join().unwrap();
        self.ledger
    }
}

/// A producer of librdkafka onto a topic of its own, and what it was told.
pub(super) struct Load {
    pub(super) ledger: Ledger,
    producer: thread::JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Makes the topic, and begins once all its replicas are in sync.
    pub(super) fn start(cluster: &Cluster) -> Load {
        cluster.create(0, TOPIC);
        Load::onto_topic(cluster, 3)
    }

    /// Onto the topic as it is, once so many replicas of each partition are in sync.
    pub(super) fn onto_topic(cluster: &Cluster, replicas: usize) -> Load {
        wait_until("all replicas are in sync", || cluster.in_sync(0, Some(TOPIC), replicas));
        let (ledger, stop) = (Ledger::default(), Arc::new(AtomicBool::new(false)));
        let producer = start_producer(&cluster.bootstrap(), ledger.clone(), &stop);
        Load { ledger, producer, stop }
    }

    /// Ends it, and holds what the topic has against what was acknowledged.
    pub(super) fn stop_and_check(self, cluster: &Cluster) -> Ledger {
        let ledger = self.stop();
        ledger.check(cluster, TOPIC);
        ledger
    }

    /// Once everything is acknowledged.
    pub(super) fn stop(self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        self.producer.join().unwrap();
        self.ledger
    }
}

fn start_producer(bootstrap: &str, ledger: Ledger, stop: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let producer: BaseProducer<Ledger> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("message.timeout.ms", "120000")
        .set("reconnect.backoff.max.ms", "200")
        .set("topic.metadata.refresh.interval.ms", "500")
        .create_with_context(ledger)
        .unwrap();
    let stop = stop.clone();
    thread::spawn(move || {
        for at in 0_u64.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let payload = format!("record-{at}");
            let record: BaseRecord<'_, (), String> = BaseRecord::to(TOPIC)
                .payload(&payload)
                .partition((at % PARTITIONS as u64) as i32);
            // A full queue is waited for; what is not sent is not acknowledged.
            let _ = producer.send(record);
            producer.poll(Duration::from_millis(1));
        }
        producer.flush(2 * PATIENCE).unwrap();
    })
}

fn consume(bootstrap: &str, topic: &str, acknowledged: &BTreeMap<(i32, i64), String>) -> BTreeMap<(i32, i64), String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut found = BTreeMap::new();
    let mut missing: BTreeSet<(i32, i64)> = acknowledged.keys().copied().collect();
    let deadline = Instant::now() + 2 * PATIENCE;
    while !missing.is_empty() {
        assert!(
            Instant::now() < deadline,
            "{} found; missing {:?}",
            found.len(),
            missing.first()
        );
        if let Some(message) = consumer.poll(Duration::from_millis(200)) {
            let message = match message {
                // A broker that is gone for good is among those to begin with.
                Err(error) if error.rdkafka_error_code().is_some_and(is_of_connections) => continue,
                message => message.unwrap(),
            };
            let at = (message.partition(), message.offset());
            missing.remove(&at);
            found.insert(at, String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
        }
    }
    found
}

fn is_of_connections(error: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure};
    matches!(error, BrokerTransportFailure | AllBrokersDown)
}
