//! kill -9 at random moments under load from several producers: every acknowledged record is there once, in order, byte
//! for byte, be it from a segment or from a journal; nothing is invented; idempotent producers see no duplicates. `ROUNDS`
//! (50) says how often, `SEED` replays.

mod clean;
pub mod groups;
pub mod transactions;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use crate::support::{self, Broker, PATIENCE};

const PARTITIONS: i32 = 4;
/// So many that their batches share the journal's frames.
const MANY_PARTITIONS: i32 = 12;
const PRODUCERS: usize = 3;

/// What one producer knows about a record: the partition and offset that the broker acknowledged.
type Acked = HashMap<String, (i32, i64)>;

#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<Acked>>);

impl ClientContext for Ledger {}

impl ProducerContext for Ledger {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, _: ()) {
        if let Ok(message) = delivered {
            let text = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            let before = self
                .0
                .lock()
                .unwrap()
                .insert(name_of(&text), (message.partition(), message.offset()));
            assert!(before.is_none(), "acknowledged twice: {}", name_of(&text));
        }
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let rounds: u64 = std::env::var("ROUNDS").map_or(50, |rounds| rounds.parse().unwrap());
    let seed: u64 = std::env::var("SEED").map_or_else(|_| seed_from_clock(), |seed| seed.parse().unwrap());
    eprintln!("SEED={seed} ROUNDS={rounds} make crash   # reproduces this run's moments");
    let mut broker = Broker::start(&[
        ("shard.count", "2"),
        ("num.partitions", "12"),
        ("log.segment.bytes", "2097152"),
        ("journal.bytes", "2097152"),
        ("log.flush.offset.checkpoint.interval.ms", "500"),
    ]);
    create_topics(&broker);
    let (idempotent, plain) = (Ledger::default(), Ledger::default());
    let mut random = seed;
    let mut ends = vec![0; MANY_PARTITIONS as usize];
    let mut journal_writes = 0;
    for round in 0..rounds {
        let stop = Arc::new(AtomicBool::new(false));
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|n| {
                start_producer(
                    &broker,
                    round,
                    n,
                    if n == 0 { plain.clone() } else { idempotent.clone() },
                    &stop,
                )
            })
            .collect();
        let moment = Duration::from_millis(100 + next(&mut random) % 700);
        let killed_at = Instant::now() + moment;
        while Instant::now() < killed_at {
            thread::sleep(Duration::from_millis(5));
        }
        journal_writes += broker.metric("corelane_journal_writes_total");
        broker.kill_9();
        // Idempotent producers live through the restart and retry what was in flight.
        broker.restart();
        stop.store(true, Ordering::Relaxed);
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        if round % 10 == 9 || round + 1 == rounds {
            ends = verify(&broker, &idempotent, &plain, &ends);
        }
    }
    let total = idempotent.0.lock().unwrap().len() + plain.0.lock().unwrap().len();
    assert!(
        total as u64 > rounds * 50,
        "only {total} records were acknowledged: this was no load"
    );
    assert!(journal_writes > 0, "no batch went through a journal");
    eprintln!("{rounds} kills, {total} records acknowledged, {journal_writes} writes of journals, all there");
}

fn start_producer(
    broker: &Broker,
    round: u64,
    n: usize,
    ledger: Ledger,
    stop: &Arc<AtomicBool>,
) -> thread::JoinHandle<()> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", broker.bootstrap())
        .set("acks", "all")
        .set("linger.ms", "1");
    config
        .set("reconnect.backoff.max.ms", "200")
        .set("topic.metadata.refresh.interval.ms", "1000");
    config.set("compression.type", ["none", "lz4", "zstd"][n % 3]);
    if n == 0 {
        config.set("retries", "0");
    } else {
        config.set("enable.idempotence", "true");
    }
    if n == 2 {
        // Its batches are small: they take turns with large ones of the same partitions.
        config.set("batch.num.messages", "2");
    }
    let producer: BaseProducer<Ledger> = config.create_with_context(ledger).unwrap();
    let (stop, topic) = (stop.clone(), topic_of(n));
    thread::spawn(move || {
        let mut sequence = 0u64;
        while !stop.load(Ordering::Relaxed) {
            let partition = (sequence % MANY_PARTITIONS as u64) as i32;
            let payload = payload(&format!("{round}/{n}/{partition}/{sequence:08}"));
            let record: BaseRecord<'_, (), String> = BaseRecord::to(topic).payload(&payload).partition(partition);
            match producer.send(record) {
                Ok(()) => sequence += 1,
                Err(_) => thread::sleep(Duration::from_millis(1)), // its queue is full
            }
            producer.poll(Duration::ZERO);
            if sequence.is_multiple_of(64) {
                producer.poll(Duration::from_millis(1));
            }
        }
        producer.flush(PATIENCE).unwrap();
    })
}

/// Reads every partition of both topics from its start and holds it against the ledgers. Returns the ends.
fn verify(broker: &Broker, idempotent: &Ledger, plain: &Ledger, ends_before: &[i64]) -> Vec<i64> {
    let mut ends = Vec::new();
    for partition in 0..MANY_PARTITIONS {
        let end = verify_partition(broker, "idempotent", partition, &idempotent.0.lock().unwrap(), true);
        assert!(
            end >= ends_before[partition as usize],
            "the end of partition {partition} went back"
        );
        verify_partition(broker, "plain", partition, &plain.0.lock().unwrap(), false);
        ends.push(end);
    }
    ends
}

fn verify_partition(broker: &Broker, topic: &str, partition: i32, acked: &Acked, all_acked: bool) -> i64 {
    let found = read_partition(broker, topic, partition);
    let mut seen = HashMap::new();
    let mut newest: HashMap<String, String> = HashMap::new();
    for (at, (offset, text)) in found.iter().enumerate() {
        assert_eq!(*offset, at as i64, "offsets of {topic}-{partition} are dense");
        let name = name_of(text);
        assert_eq!(
            *text,
            payload(&name),
            "{topic}-{partition}@{offset} is not what was sent"
        );
        assert!(
            seen.insert(name.clone(), *offset).is_none(),
            "{topic}-{partition}: {name} is there twice"
        );
        let (producer, sequence) = name.rsplit_once('/').unwrap();
        let before = newest.insert(producer.to_owned(), sequence.to_owned());
        assert!(
            before.is_none_or(|before| before.as_str() < sequence),
            "{topic}-{partition}: {name} is out of order"
        );
    }
    for (name, (_, offset)) in acked.iter().filter(|(_, (p, _))| *p == partition) {
        assert_eq!(
            seen.get(name),
            Some(offset),
            "{topic}-{partition}: {name} was acknowledged at {offset}"
        );
    }
    if all_acked {
        let acked_here = acked.values().filter(|(p, _)| *p == partition).count();
        assert_eq!(
            acked_here,
            found.len(),
            "{topic}-{partition} holds records that nobody was told of"
        );
    }
    found.len() as i64
}

fn read_partition(broker: &Broker, topic: &str, partition: i32) -> Vec<(i64, String)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("check.crcs", "true")
        .create()
        .unwrap();
    let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE).unwrap();
    assert_eq!(low, 0, "nothing was deleted");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let mut found = Vec::new();
    let deadline = Instant::now() + 2 * PATIENCE;
    while (found.len() as i64) < high {
        assert!(
            Instant::now() < deadline,
            "{topic}-{partition} ends at {} instead of {high}",
            found.len()
        );
        if let Some(message) = consumer.poll(Duration::from_millis(200)) {
            let message = message.unwrap();
            found.push((
                message.offset(),
                String::from_utf8(message.payload().unwrap().to_vec()).unwrap(),
            ));
        }
    }
    found
}

fn create_topics(broker: &Broker) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.bootstrap())
        .create()
        .unwrap();
    for topic in ["plain", "idempotent"] {
        support::wait_until("auto-created topics have leaders", || {
            producer
                .client()
                .fetch_metadata(Some(topic), PATIENCE)
                .is_ok_and(|all| all.topics()[0].partitions().len() == MANY_PARTITIONS as usize)
        });
    }
}

fn topic_of(n: usize) -> &'static str {
    if n == 0 { "plain" } else { "idempotent" }
}

/// The name, then as many letters as its hash says: up to 2 KiB, so that batches end all over the blocks.
fn payload(name: &str) -> String {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ byte as u64).wrapping_mul(0x100_0000_01b3)
    });
    format!("{name} {}", "abcdefgh".repeat((hash % 256) as usize))
}

fn name_of(text: &str) -> String {
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// xorshift: the moments of the kills follow from the seed.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn seed_from_clock() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1
}
