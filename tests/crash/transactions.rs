//! kill -9 while a transaction ends: whatever its producer was told holds after the restart, each transaction is there
//! as a whole or not at all, and none stays open. `ROUNDS` (20) says how often, `SEED` replays.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{PARTITIONS, next, seed_from_clock};
use crate::support::{Broker, PATIENCE};

const TOPIC: &str = "transactions";
pub(super) const RECORDS: i32 = 24;
/// The time that an end takes, and some: kills fall before, into and behind it.
const MOMENT_US_MAX: u64 = 12_000;

/// What a producer knows of its transaction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Told {
    Committed,
    Aborted,
    /// It may have ended either way.
    Nothing,
}

#[test]
fn transactions_end_as_a_whole_through_kill_9() {
    let mut broker = Broker::start(&[("shard.count", "2"), ("num.partitions", "4")]);
    let bootstrap = broker.bootstrap();
    transactions_end_as_a_whole(&bootstrap, 20, |_| {
        broker.kill_9();
        broker.restart();
    });
}

/// `kill` of each round falls somewhere into the end of a transaction; a broker serves again when it returns.
pub(crate) fn transactions_end_as_a_whole(bootstrap: &str, rounds: u64, mut kill: impl FnMut(u64)) {
    let rounds: u64 = std::env::var("ROUNDS").map_or(rounds, |rounds| rounds.parse().unwrap());
    let seed: u64 = std::env::var("SEED").map_or_else(|_| seed_from_clock(), |seed| seed.parse().unwrap());
    eprintln!("SEED={seed} ROUNDS={rounds} cargo test --test e2e transactions_end_as_a_whole   # the same moments");
    let mut random = seed;
    let mut told = BTreeMap::new();
    for round in 0..rounds {
        let producer = begin(bootstrap, round);
        let commit = !round.is_multiple_of(4);
        let moment = Duration::from_micros(next(&mut random) % MOMENT_US_MAX);
        let end = thread::spawn(move || end(&producer, commit));
        let killed_at = Instant::now() + moment;
        while Instant::now() < killed_at {
            thread::yield_now();
        }
        kill(round);
        told.insert(round, end.join().unwrap());
    }
    // The same id takes over once more: nothing of it is open then. What it commits is the last that readers see.
    let last = begin(bootstrap, rounds);
    assert_eq!(end(&last, true), Told::Committed);
    told.insert(rounds, Told::Committed);
    verify(&told, &read_committed(bootstrap, TOPIC, rounds));
    let known = told.values().filter(|told| **told != Told::Nothing).count();
    eprintln!("{rounds} kills, {known} ends known, all as told");
}

/// A transaction of the one transactional id with records in every partition.
fn begin(bootstrap: &str, round: u64) -> BaseProducer {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", "crash")
        .set("transaction.timeout.ms", "60000")
        .set("reconnect.backoff.max.ms", "200")
        .set("linger.ms", "1")
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    for n in 0..RECORDS {
        let text = format!("{round} {n}");
        let record: BaseRecord<'_, (), String> = BaseRecord::to(TOPIC).payload(&text).partition(n % PARTITIONS);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    producer
}

pub(super) fn end(producer: &BaseProducer, commit: bool) -> Told {
    let ended = match commit {
        true => producer.commit_transaction(PATIENCE),
        false => producer.abort_transaction(PATIENCE),
    };
    match ended {
        Ok(()) if commit => Told::Committed,
        Ok(()) => Told::Aborted,
        Err(KafkaError::Transaction(error)) => {
            assert_ne!(error.code(), RDKafkaErrorCode::InvalidTransactionalState, "{error}");
            Told::Nothing
        }
        Err(error) => panic!("{error}"),
    }
}

/// The committed records of each round, up to those of `last`, which must become visible in every partition.
pub(super) fn read_committed(bootstrap: &str, topic: &str, last: u64) -> BTreeMap<u64, Vec<i32>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut found: BTreeMap<u64, Vec<i32>> = BTreeMap::new();
    let deadline = Instant::now() + 2 * PATIENCE;
    while found.get(&last).map_or(0, Vec::len) < RECORDS as usize {
        assert!(Instant::now() < deadline, "a transaction stays open: {found:?}");
        if let Some(message) = consumer.poll(Duration::from_millis(200)) {
            let text = String::from_utf8(message.unwrap().payload().unwrap().to_vec()).unwrap();
            let (round, n) = text.split_once(' ').unwrap();
            found
                .entry(round.parse().unwrap())
                .or_default()
                .push(n.parse().unwrap());
        }
    }
    found
}

fn verify(told: &BTreeMap<u64, Told>, found: &BTreeMap<u64, Vec<i32>>) {
    for (round, told) in told {
        let mut records = found.get(round).cloned().unwrap_or_default();
        records.sort_unstable();
        let whole: Vec<i32> = (0..RECORDS).collect();
        match told {
            Told::Committed => assert_eq!(records, whole, "round {round} was committed"),
            Told::Aborted => assert!(records.is_empty(), "round {round} was aborted: {records:?}"),
            Told::Nothing => assert!(
                records.is_empty() || records == whole,
                "round {round} is in parts: {records:?}"
            ),
        }
    }
}
