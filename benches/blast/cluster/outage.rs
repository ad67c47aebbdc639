//! How long a client waits for an acknowledgement when the leader of what it writes leaves in order, or dies. The client is
//! librdkafka, with acks=all and idempotence, and sends a record every few milliseconds to partitions of that leader.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use corelane::client::{ClientError, Cluster};
use corelane::model::BrokerId;
use corelane::wire::messages::{
    CreatableReplicaAssignment, CreatableTopic, CreateTopicsRequestData, DescribeQuorumPartition,
    DescribeQuorumRequestData, DescribeQuorumTopic, kafka_string,
};

use super::SESSION;
use crate::brokers::{NODES, Process, Trio};
use crate::engine::clock::now_ns;
use crate::rows::{Goal, Row};

/// All led by the broker that goes, which is not the controller unless that is said.
const PARTITIONS: i32 = 1_000;
/// Those that are written to.
const WRITTEN: i32 = 16;
const EVERY: Duration = Duration::from_millis(5);
/// Before the broker goes: connections and caches are warm.
const BEFORE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);
/// What a client may notice of a leader that leaves in order.
const LEAVE_MAX_MS: f64 = 200.0;
/// What another leader may take after the session of the one that died.
const ELECTION_MAX: Duration = Duration::from_millis(500);

/// SIGTERM.
pub fn leaves(trio: &mut Trio, _: Duration) -> anyhow::Result<Vec<Row>> {
    let leader = other_than(controller(trio)?);
    let longest = longest_wait(trio, "outage-stop", leader, Process::end)?;
    Ok(vec![Row {
        what: "longest wait while a leader leaves",
        value: longest.as_secs_f64() * 1e3,
        unit: "ms",
        goal: Some(Goal::AtMost(LEAVE_MAX_MS)),
        note: format!("SIGTERM to the leader of {PARTITIONS} partitions, librdkafka, acks=all"),
    }])
}

/// SIGKILL: to a leader that is not the controller as well, and to one that is.
pub fn dies(trio: &mut Trio, _: Duration) -> anyhow::Result<Vec<Row>> {
    let row = |what, longest: Duration| Row {
        what,
        value: longest.as_secs_f64(),
        unit: "s",
        goal: Some(Goal::AtMost((SESSION + ELECTION_MAX).as_secs_f64())),
        note: format!(
            "SIGKILL to the leader of {PARTITIONS} partitions, a session of {} s, librdkafka, acks=all",
            SESSION.as_secs()
        ),
    };
    let leader = other_than(controller(trio)?);
    let alone = longest_wait(trio, "outage-kill", leader, Process::kill)?;
    let leader = controller(trio)?;
    let with_controller = longest_wait(trio, "outage-kill-controller", leader, Process::kill)?;
    Ok(vec![
        row("longest wait after a leader is killed", alone),
        row(
            "longest wait after a leader is killed that is the controller",
            with_controller,
        ),
    ])
}

/// A broker that is not this one.
pub fn other_than(broker: BrokerId) -> BrokerId {
    BrokerId(broker.0 % NODES as i32 + 1)
}

/// Who leads the quorum: what metadata call the controller may be any broker.
pub fn controller(trio: &Trio) -> anyhow::Result<BrokerId> {
    let partition = DescribeQuorumPartition::default();
    let topic = DescribeQuorumTopic::default()
        .with_topic_name(kafka_string("__cluster_metadata"))
        .with_partitions(vec![partition]);
    let request = DescribeQuorumRequestData::default().with_topics(vec![topic]);
    let answer = Cluster::connect(&trio.bootstrap(), "corelane-bench")?.ask(&request)?;
    ClientError::check(answer.error_code, None)?;
    let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let leader = partitions.next().map(|partition| partition.leader_id);
    leader.map(BrokerId).context("nobody leads the quorum")
}

/// The longest time between a sending and its acknowledgement, of records that were sent around `end` and after it.
fn longest_wait(
    trio: &mut Trio,
    topic: &str,
    leader: BrokerId,
    end: impl FnOnce(&mut Process),
) -> anyhow::Result<Duration> {
    create_led_by(trio, topic, leader)?;
    let waits = Waits::default();
    let producer: BaseProducer<Waits> = ClientConfig::new()
        .set("bootstrap.servers", trio.bootstrap())
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .create_with_context(waits.clone())
        .context("make a librdkafka producer")?;
    send_for(&producer, topic, BEFORE)?;
    waits.longest_ns.store(0, Relaxed);
    // The end may take its time, and is waited for elsewhere.
    let (topic_name, sending) = (topic.to_owned(), producer);
    let sender = thread::spawn(move || -> anyhow::Result<()> {
        send_for(&sending, &topic_name, SESSION + BEFORE)?;
        sending.flush(PATIENCE).context("flush librdkafka")
    });
    end(trio.process(leader.0 as usize));
    sender.join().expect("the sender does not panic")?;
    ensure!(waits.failed.load(Relaxed) == 0, "records were not delivered");
    trio.restart(leader.0 as usize)?;
    Ok(Duration::from_nanos(waits.longest_ns.load(Relaxed)))
}

fn send_for(producer: &BaseProducer<Waits>, topic: &str, time: Duration) -> anyhow::Result<()> {
    let begun = Instant::now();
    for at in 0_i32.. {
        if begun.elapsed() >= time {
            break;
        }
        let record = BaseRecord::<(), [u8], Box<u64>>::with_opaque_to(topic, Box::new(now_ns()))
            .partition(at % WRITTEN)
            .payload(&[0; 100]);
        producer
            .send(record)
            .map_err(|(problem, _)| problem)
            .context("send by librdkafka")?;
        let due = begun + EVERY * (at as u32 + 1);
        producer.poll(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// The opaque of a record is when it was sent.
#[derive(Clone, Default)]
struct Waits {
    longest_ns: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl ClientContext for Waits {}

impl ProducerContext for Waits {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent_ns: Box<u64>) {
        self.longest_ns.fetch_max(now_ns().saturating_sub(*sent_ns), Relaxed);
        self.failed.fetch_add(u64::from(result.is_err()), Relaxed);
    }
}

/// A topic of which this broker leads everything.
fn create_led_by(trio: &Trio, topic: &str, leader: BrokerId) -> anyhow::Result<()> {
    let first = other_than(leader);
    let replicas = [leader, first, other_than(first)].map(|broker| broker.0).to_vec();
    let assignment = |index| {
        CreatableReplicaAssignment::default()
            .with_partition_index(index)
            .with_broker_ids(replicas.clone())
    };
    let asked = CreatableTopic::default()
        .with_name(kafka_string(topic))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments((0..PARTITIONS).map(assignment).collect());
    let request = CreateTopicsRequestData::default()
        .with_topics(vec![asked])
        .with_timeout_ms(60_000);
    let mut cluster = Cluster::connect(&trio.bootstrap(), "corelane-bench")?;
    for topic in &cluster.controller()?.call(&request)?.topics {
        ClientError::check(topic.error_code, None)?;
    }
    let deadline = Instant::now() + PATIENCE;
    let is_led = |cluster: &mut Cluster| {
        let known = cluster.topic(topic, false);
        known.is_ok_and(|known| known.leaders.iter().all(|(_, led_by)| *led_by == Some(leader)))
    };
    while !is_led(&mut cluster) {
        ensure!(Instant::now() < deadline, "broker {} does not lead {topic}", leader.0);
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
