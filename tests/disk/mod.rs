//! Disks that fill up and disks that fail, for real: small file systems on loop devices. Needs root; says so otherwise.

pub(crate) mod device;

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::support::{Broker, PATIENCE, wait_until};
use device::Disk;

const RECORD_BYTES: usize = 256 << 10;
/// What is free when a test begins.
const FREE_BYTES: u64 = 24 << 20;
const RETRIABLE: [RDKafkaErrorCode; 2] = [RDKafkaErrorCode::KafkaStorageError, RDKafkaErrorCode::RequestTimedOut];

#[test]
fn a_full_ext4_refuses_and_comes_back() {
    fills_up_and_comes_back("ext4", "0");
}

#[test]
fn a_full_xfs_refuses_and_comes_back() {
    fills_up_and_comes_back("xfs", "0");
}

#[test]
fn with_a_reserve_it_refuses_before_it_is_full() {
    fills_up_and_comes_back("ext4", "16777216");
}

/// Produces until the disk takes no more: a retriable refusal, fetches go on. With space again, produce does by itself, and
/// what was acknowledged is there, also after a restart.
fn fills_up_and_comes_back(kind: &str, reserve: &str) {
    let Some(disk) = Disk::new(kind) else { return };
    disk.leave_free(FREE_BYTES);
    let data = disk.path().join("data").display().to_string();
    let mut broker = Broker::start(&[
        ("log.dirs", &data),
        ("log.dir.min.free.bytes", reserve),
        ("log.segment.bytes", "4194304"),
    ]);
    broker.tool("topics", "--create --topic t --partitions 1", "");
    let client = Client::new(&broker);
    let mut acked: Vec<i64> = Vec::new();
    let refusal = loop {
        match client.produce("t", acked.len()) {
            Ok(offset) => acked.push(offset),
            Err(refusal) => break refusal,
        }
        let acked_bytes = (acked.len() * RECORD_BYTES) as u64;
        assert!(acked_bytes < FREE_BYTES, "more than the disk can hold was acknowledged");
    };
    eprintln!("{kind}: refused after {} records: {refusal}", acked.len());
    assert!(acked.len() > 10, "only {} records fit", acked.len());
    match reserve {
        // The first to be refused waits for space that does not come.
        "0" => assert!(RETRIABLE.contains(&refusal), "{refusal}"),
        // What is free is looked at once a second, so some of the reserve is used up.
        _ => assert!(
            refusal == RDKafkaErrorCode::KafkaStorageError && disk.free() > 0,
            "{refusal}"
        ),
    }
    assert_holds(&client.read("t"), &acked);
    let offline = |line: &&str| line.contains("log directory is offline");
    broker.tool("topics", "--create --topic later --partitions 1", "");
    broker.tool("topics", "--create --topic gone --partitions 1", "");
    broker.tool("topics", "--delete --topic gone", "");
    let is_there = |topic: &str| {
        let dirs = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name());
        dirs.into_iter().any(|name| name.to_string_lossy().starts_with(topic))
    };
    wait_until("nothing is left of a topic that was deleted meanwhile", || {
        !is_there("gone")
    });
    assert_eq!(broker.log().lines().find(offline), None);

    disk.remove_filler();
    wait_until("produce goes on", || match client.produce("t", acked.len()) {
        Ok(offset) => {
            acked.push(offset);
            true
        }
        Err(_) => false,
    });
    assert_holds(&client.read("t"), &acked);
    broker.tool("topics", "--create --topic gone --partitions 1", "");
    for topic in ["later", "gone"] {
        wait_until("a topic that there was no space for is served", || {
            client.produce(topic, 0).is_ok()
        });
    }
    assert!(broker.terminate().success());
    broker.restart();
    assert_holds(&Client::new(&broker).read("t"), &acked);
    drop(broker);
}

/// One of two log directories fails: its partitions are refused, the other's are served, and the broker says which.
#[test]
fn a_failing_disk_goes_offline_alone() {
    let Some(disk) = Disk::new("ext4") else { return };
    let (dir, failing) = (crate::support::scratch_dir(), disk.path().join("data"));
    let both = format!("{},{}", dir.join("good").display(), failing.display());
    let broker = Broker::start(&[("log.dirs", &both), ("log.dir.min.free.bytes", "0")]);
    broker.tool("topics", "--create --topic t --partitions 4", "");
    let client = Client::new(&broker);
    let on_failing = |partition: i32| failing.join(format!("t-{partition}")).exists();
    let partitions = || (0..4).filter(|partition| on_failing(*partition));
    for partition in 0..4 {
        client.produce_to("t", partition, 0).unwrap();
    }
    let (bad, good) = (partitions().next().unwrap(), (0..4).find(|p| !on_failing(*p)).unwrap());

    disk.fail();
    let refused = || client.produce_to("t", bad, 1).err() == Some(RDKafkaErrorCode::KafkaStorageError);
    wait_until("the failing directory is offline", refused);
    let failing = failing.display().to_string();
    let offline = |line: &&str| line.contains("log directory is offline") && line.contains(&failing);
    assert_eq!(broker.log().lines().filter(offline).count(), 1, "said once");
    for n in 1..20 {
        assert_eq!(client.produce_to("t", good, n), Ok(n as i64));
    }
    // The control thread counts once a second.
    wait_until("the directory is counted", || {
        broker.metric("kafka_log_logmanager_offlinelogdirectorycount") == 1
    });
    drop(broker);
    let _ = fs::remove_dir_all(dir);
}

/// A producer that does not retry, one record at a time, and a reader.
pub(crate) struct Client {
    producer: BaseProducer<Delivered>,
    bootstrap: String,
}

#[derive(Clone, Default)]
pub(crate) struct Delivered(Arc<Mutex<Option<Result<i64, RDKafkaErrorCode>>>>);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, _: ()) {
        let result = match delivered {
            Ok(message) => Ok(message.offset()),
            Err((KafkaError::MessageProduction(code), _)) => Err(*code),
            Err((other, _)) => panic!("{other}"),
        };
        *self.0.lock().unwrap() = Some(result);
    }
}

impl Client {
    fn new(broker: &Broker) -> Client {
        Client::with_acks(broker, "all")
    }

    pub(crate) fn with_acks(broker: &Broker, acks: &str) -> Client {
        Client::with(broker, &[("acks", acks)])
    }

    pub(crate) fn with(broker: &Broker, settings: &[(&str, &str)]) -> Client {
        let bootstrap = broker.bootstrap();
        let settings = settings.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        let producer = ClientConfig::from_iter(settings)
            .set("bootstrap.servers", &bootstrap)
            .set("retries", "0")
            .set("request.timeout.ms", "6000")
            .set("linger.ms", "0")
            .create_with_context(Delivered::default())
            .unwrap();
        Client { producer, bootstrap }
    }

    pub(crate) fn produce(&self, topic: &str, n: usize) -> Result<i64, RDKafkaErrorCode> {
        self.produce_to(topic, 0, n)
    }

    /// The record's offset, or why it was refused.
    fn produce_to(&self, topic: &str, partition: i32, n: usize) -> Result<i64, RDKafkaErrorCode> {
        let payload = payload(n);
        let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(topic).partition(partition).payload(&payload);
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
        let mut result = None;
        wait_until("the record is delivered or refused", || {
            self.producer.poll(Duration::from_millis(1));
            result = self.producer.context().0.lock().unwrap().take();
            result.is_some()
        });
        result.unwrap()
    }

    /// The payloads of partition 0, by offset.
    pub(crate) fn read(&self, topic: &str) -> Vec<Vec<u8>> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", "unused")
            .set("enable.auto.commit", "false")
            .set("check.crcs", "true")
            .create()
            .unwrap();
        let (low, high) = consumer.fetch_watermarks(topic, 0, PATIENCE).unwrap();
        assert_eq!(low, 0);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
        consumer.assign(&list).unwrap();
        let mut found: Vec<Vec<u8>> = Vec::new();
        wait_until("everything is read", || {
            while let Some(message) = consumer.poll(Duration::from_millis(100)) {
                let message = message.unwrap();
                assert_eq!(message.offset(), found.len() as i64, "offsets are dense");
                found.push(message.payload().unwrap().to_vec());
            }
            found.len() as i64 >= high
        });
        found
    }
}

/// Every record that was acknowledged stands where that was said. Between them may be some whose refusal came too late.
fn assert_holds(found: &[Vec<u8>], acked: &[i64]) {
    for (n, offset) in acked.iter().enumerate() {
        let there = found.get(*offset as usize);
        assert!(
            there.is_some_and(|there| *there == payload(n)),
            "record {n} at {offset}"
        );
    }
}

/// Does not compress, and says which it is.
pub(crate) fn payload(n: usize) -> Vec<u8> {
    let mut state = n as u64 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..RECORD_BYTES).map(|_| next()).collect()
}
