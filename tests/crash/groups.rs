//! kill -9 amid rebalances, commits and ends of transactions: no committed offset goes back, the group comes back every
//! time, and what a transaction has copied and the offset that it has committed agree. `ROUNDS` (20) says how often, `SEED`
//! replays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::transactions::{RECORDS, Told, end, read_committed};
use super::{PARTITIONS, next, seed_from_clock};
use crate::support::{self, Broker, PATIENCE};

const SOURCE: &str = "source";
const TARGET: &str = "target";
/// Members that stay; another one comes and goes in each round, so that the group rebalances.
const MEMBERS: usize = 2;
/// From the moment that the visitor sets out: a rebalance takes about so long.
const MOMENT_MS_MAX: u64 = 350;
/// From the moment that the end of the transaction sets out: kills fall before, into and behind it.
const HEAD_START_US_MAX: u64 = 12_000;

/// The largest offset of each partition that a member was told is committed.
#[derive(Clone, Default)]
struct Acked(Arc<[AtomicI64; PARTITIONS as usize]>);

impl Acked {
    fn of(&self, partition: i32) -> i64 {
        self.0[partition as usize].load(Ordering::Relaxed)
    }

    fn all(&self) -> Vec<i64> {
        (0..PARTITIONS).map(|partition| self.of(partition)).collect()
    }
}

#[test]
fn groups_come_back_through_kill_9() {
    let mut broker = Broker::start(&[
        ("shard.count", "2"),
        ("num.partitions", "4"),
        ("group.initial.rebalance.delay.ms", "0"),
    ]);
    let bootstrap = broker.bootstrap();
    let rounds = groups_come_back(&bootstrap, 20, |_| {
        broker.kill_9();
        broker.restart();
    });
    let rebalances = broker.log().matches("group rebalances").count() as u64;
    assert!(rebalances > rounds, "only {rebalances} rebalances");
}

/// `kill` of each round falls into a rebalance and the end of a transaction; a broker serves again when it returns. The
/// number of rounds.
pub(crate) fn groups_come_back(bootstrap: &str, rounds: u64, mut kill: impl FnMut(u64)) -> u64 {
    let rounds: u64 = std::env::var("ROUNDS").map_or(rounds, |rounds| rounds.parse().unwrap());
    let seed: u64 = std::env::var("SEED").map_or_else(|_| seed_from_clock(), |seed| seed.parse().unwrap());
    eprintln!("SEED={seed} ROUNDS={rounds} cargo test --test e2e groups_come_back   # the same moments");
    let source: BaseProducer = client(bootstrap).create().unwrap();
    let acked = Acked::default();
    let members: Vec<Member> = (0..MEMBERS).map(|_| Member::start(bootstrap, &acked)).collect();
    feed(bootstrap, &source, &acked);
    let mut random = seed;
    let mut known = 0;
    let mut copier = Copier::take_over(bootstrap);
    for round in 0..rounds {
        copier.begin(bootstrap);
        let visitor = Member::start(bootstrap, &acked);
        let moment = Duration::from_millis(next(&mut random) % MOMENT_MS_MAX);
        // Ends are quick, rebalances are not: the end sets out a little before the kill.
        let head_start = Duration::from_micros(next(&mut random) % HEAD_START_US_MAX);
        sleep_until(Instant::now() + moment);
        let ending = thread::spawn(move || copier.commit());
        sleep_until(Instant::now() + head_start);
        let before = acked.all();
        kill(round);
        let (at, told) = ending.join().unwrap();
        copier = Copier::take_over(bootstrap);
        match told {
            Told::Committed => assert_eq!(copier.at, at + 1, "round {round}: a transaction and its offset"),
            _ => assert!(
                (at..=at + 1).contains(&copier.at),
                "round {round}: {} after {at}",
                copier.at
            ),
        }
        known += u64::from(told == Told::Committed);
        let committed = committed_offsets(bootstrap, "members");
        let went_back = before.iter().zip(&committed).any(|(before, now)| now < before);
        assert!(
            !went_back,
            "round {round}: committed was {before:?}, and is {committed:?}"
        );
        feed(bootstrap, &source, &acked);
        visitor.stop();
    }
    members.into_iter().for_each(Member::stop);
    copier.begin(bootstrap);
    let copied = copier.at;
    assert_eq!(copier.commit(), (copied, Told::Committed));
    let found = read_committed(bootstrap, TARGET, copied);
    for (at, mut records) in (0..=copied).map(|at| (at, found.get(&at).cloned().unwrap_or_default())) {
        records.sort_unstable();
        assert_eq!(records, (0..RECORDS).collect::<Vec<_>>(), "transaction {at}");
    }
    assert_eq!(found.len() as u64, copied + 1);
    let counted = committed_offsets(bootstrap, "copiers")[0];
    assert_eq!(counted, (copied as i64 + 1) * i64::from(RECORDS));
    eprintln!("{rounds} kills, {copied} transactions, {known} of them known to be committed");
    rounds
}

/// A record in every partition, until the group has committed it.
fn feed(bootstrap: &str, source: &BaseProducer, acked: &Acked) {
    let mut ends = Vec::new();
    for partition in 0..PARTITIONS {
        let record: BaseRecord<'_, (), str> = BaseRecord::to(SOURCE).payload("x").partition(partition);
        source.send(record).map_err(|(error, _)| error).unwrap();
    }
    source.flush(PATIENCE).unwrap();
    let looker: BaseConsumer = client(bootstrap).create().unwrap();
    for partition in 0..PARTITIONS {
        ends.push(looker.fetch_watermarks(SOURCE, partition, PATIENCE).unwrap().1);
    }
    eprintln!("the ends are {ends:?}, and committed is {:?}", acked.all());
    support::wait_until("the group has read and committed everything", || {
        acked.all().iter().zip(&ends).all(|(acked, end)| acked >= end)
    });
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100");
    config
}

/// What a group has committed of each partition, once no transaction can change it.
fn committed_offsets(bootstrap: &str, group: &str) -> Vec<i64> {
    let consumer: BaseConsumer = client(bootstrap)
        .set("group.id", group)
        .set("isolation.level", "read_committed")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_range(SOURCE, 0, PARTITIONS - 1);
    let committed = consumer.committed_offsets(list, PATIENCE).unwrap();
    let offset = |partition: i32| committed.find_partition(SOURCE, partition).map(|one| one.offset());
    (0..PARTITIONS)
        .map(|partition| match offset(partition) {
            Some(Offset::Offset(offset)) => offset,
            _ => 0,
        })
        .collect()
}

fn sleep_until(moment: Instant) {
    while Instant::now() < moment {
        thread::yield_now();
    }
}

/// Reads, and commits each record before the next.
struct Member {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Member {
    fn start(bootstrap: &str, acked: &Acked) -> Member {
        let consumer: BaseConsumer = client(bootstrap)
            .set("group.id", "members")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "100")
            .set("fetch.wait.max.ms", "50")
            .create()
            .unwrap();
        consumer.subscribe(&[SOURCE]).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, acked) = (stop.clone(), acked.clone());
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let message = match consumer.poll(Duration::from_millis(20)) {
                    Some(Ok(message)) => message,
                    Some(Err(problem)) => {
                        eprintln!("a member: {problem}");
                        continue;
                    }
                    None => continue,
                };
                let (partition, next) = (message.partition(), message.offset() + 1);
                if let Err(problem) = consumer.commit_message(&message, CommitMode::Sync) {
                    eprintln!("{next} of partition {partition} is not committed: {problem}");
                    // Where the partition is another member's by now, he reads it again; otherwise nobody does by himself.
                    let again = Offset::Offset(message.offset());
                    let _ = consumer.seek(SOURCE, partition, again, PATIENCE);
                    continue;
                }
                let before = acked.0[partition as usize].fetch_max(next, Ordering::Relaxed);
                assert!(
                    before <= next,
                    "{next} is committed of partition {partition} after {before}"
                );
            }
        });
        Member { stop, thread }
    }

    /// Leaves the group.
    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// A transaction that writes records and says with the group's offset how many there are.
struct Copier {
    producer: BaseProducer,
    /// Transactions that the group's offset counts.
    at: u64,
}

impl Copier {
    /// From the one before, whose transaction has ended then.
    fn take_over(bootstrap: &str) -> Copier {
        let producer: BaseProducer = client(bootstrap)
            .set("transactional.id", "copier")
            .set("linger.ms", "1")
            .create()
            .unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        let at = committed_offsets(bootstrap, "copiers")[0] as u64 / RECORDS as u64;
        Copier { producer, at }
    }

    fn begin(&self, bootstrap: &str) {
        let Copier { producer, at } = self;
        producer.begin_transaction().unwrap();
        for n in 0..RECORDS {
            let text = format!("{at} {n}");
            let record: BaseRecord<'_, (), String> = BaseRecord::to(TARGET).payload(&text).partition(n % PARTITIONS);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
        let mut offsets = TopicPartitionList::new();
        let offset = Offset::Offset((*at as i64 + 1) * i64::from(RECORDS));
        offsets.add_partition_offset(SOURCE, 0, offset).unwrap();
        let group: BaseConsumer = client(bootstrap).set("group.id", "copiers").create().unwrap();
        let group = group.group_metadata().unwrap();
        producer
            .send_offsets_to_transaction(&offsets, &group, PATIENCE)
            .unwrap();
    }

    /// What number it had, and what it was told.
    fn commit(&self) -> (u64, Told) {
        (self.at, end(&self.producer, true))
    }
}
