//! librdkafka, in this process: every acks level and codec, positions and times, administration, refusals. What the broker
//! has on its disk is looked at, too: batches compressed as sent, offsets without a gap.

use std::fs;
use std::sync::{Arc, Mutex};

use corelane::record::{BatchHeader, Compression};
use futures_lite::future::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};

use crate::support::{Broker, PATIENCE, wait_until};

const PARTITIONS: i32 = 2;
const COUNT: usize = 200;
/// The time of the first record; each is a second later than the one before.
const BEGAN_MS: i64 = 1_700_000_000_000;

const CODECS: [(&str, Compression); 5] = [
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];

#[test]
fn every_acks_level_with_every_codec() {
    let broker = Broker::start(&[("shard.count", "2")]);
    for acks in ["0", "1", "all"] {
        for (codec, compression) in CODECS {
            let topic = format!("t-{acks}-{codec}");
            create(&broker, &topic, PARTITIONS, &[]).unwrap();
            let settings = [("acks", acks), ("compression.type", codec), ("linger.ms", "20")];
            let delivered = produce(&broker, &topic, &settings);
            for partition in 0..PARTITIONS {
                let ours: Vec<String> = (0..COUNT)
                    .filter(|n| partition_of(*n) == partition)
                    .map(value)
                    .collect();
                wait_until("acks=0 arrives", || {
                    watermarks(&broker, &topic, partition).1 == ours.len() as i64
                });
                let read = read(&broker, &topic, partition, Offset::Beginning, ours.len());
                let (offsets, values): (Vec<_>, Vec<_>) = read.into_iter().unzip();
                assert_eq!(values, ours, "{topic}");
                assert_eq!(
                    offsets,
                    Vec::from_iter(0..ours.len() as i64),
                    "{topic}: offsets are dense"
                );
                let told = delivered
                    .iter()
                    .filter(|(at, _)| *at == partition)
                    .map(|(_, offset)| *offset);
                if acks != "0" {
                    assert_eq!(
                        Vec::from_iter(told),
                        offsets,
                        "{topic}: the offsets that the producer was told"
                    );
                }
                check_stored(&broker, &topic, partition, compression);
            }
        }
    }
}

#[test]
fn consumers_start_where_they_ask_to() {
    let broker = Broker::start(&[("shard.count", "2")]);
    create(&broker, "t", PARTITIONS, &[]).unwrap();
    produce(&broker, "t", &[("acks", "all"), ("batch.num.messages", "10")]);
    let half = COUNT as i64 / 2;
    assert_eq!(watermarks(&broker, "t", 0), (0, half));
    assert_eq!(
        read(&broker, "t", 0, Offset::Offset(half - 1), 1)[0],
        (half - 1, value(COUNT - 2))
    );
    assert_eq!(
        read(&broker, "t", 1, Offset::OffsetTail(2), 2)[1],
        (half - 1, value(COUNT - 1))
    );

    let at_time = |ms| {
        let mut times = TopicPartitionList::new();
        times.add_partition_offset("t", 0, Offset::Offset(ms)).unwrap();
        let found = consumer(&broker).offsets_for_times(times, PATIENCE).unwrap();
        found.find_partition("t", 0).unwrap().offset()
    };
    // Partition 0 has the even ones.
    assert_eq!(at_time(BEGAN_MS + 41_500), Offset::Offset(21));
    assert_eq!(at_time(0), Offset::Offset(0));
    assert_eq!(at_time(BEGAN_MS + 1_000_000), Offset::End);

    let reader: BaseConsumer = config(&broker).set("enable.partition.eof", "true").create().unwrap();
    assign(&reader, "t", 0, Offset::End);
    let at_end = reader.poll(PATIENCE).expect("the end is reached in time");
    assert!(matches!(at_end, Err(KafkaError::PartitionEOF(0))), "nothing is new");
    produce(&broker, "t", &[("acks", "all")]);
    assert_eq!(next(&reader), (half, value(0)));
}

#[test]
fn topics_are_administered() {
    let broker = Broker::start(&[("shard.count", "2")]);
    let (admin, options) = (admin(&broker), AdminOptions::new());
    create(&broker, "t", 2, &[("retention.ms", "86400000")]).unwrap();
    assert_eq!(create(&broker, "t", 2, &[]), Err(RDKafkaErrorCode::TopicAlreadyExists));
    assert_eq!(create(&broker, "bad name", 2, &[]), Err(RDKafkaErrorCode::InvalidTopic));
    assert_eq!(
        create(&broker, "u", 1, &[("no.such", "1")]),
        Err(RDKafkaErrorCode::InvalidConfig)
    );

    let resource = ResourceSpecifier::Topic("t");
    let described = block_on(admin.describe_configs([&resource], &options)).unwrap();
    let config = described.into_iter().next().unwrap().unwrap();
    assert_eq!(config.get("retention.ms").unwrap().value.as_deref(), Some("86400000"));
    assert_eq!(config.get("cleanup.policy").unwrap().value.as_deref(), Some("delete"));

    let grown = block_on(admin.create_partitions([&NewPartitions::new("t", 5)], &options)).unwrap();
    assert_eq!(grown[0].as_deref(), Ok("t"));
    let partitions = || {
        let metadata = consumer(&broker).fetch_metadata(Some("t"), PATIENCE).unwrap();
        metadata.topics()[0].partitions().len()
    };
    assert_eq!(partitions(), 5);
    let deleted = block_on(admin.delete_topics(&["t", "never-was"], &options)).unwrap();
    assert_eq!(deleted[0].as_deref(), Ok("t"));
    let unknown = deleted[1].as_ref().err().map(|(_, code)| *code);
    assert_eq!(unknown, Some(RDKafkaErrorCode::UnknownTopicOrPartition));
    let all = consumer(&broker).fetch_metadata(None, PATIENCE).unwrap();
    assert!(all.topics().iter().all(|topic| topic.name() != "t"));
}

#[test]
fn refusals_reach_the_client() {
    let broker = Broker::start(&[("auto.create.topics.enable", "false")]);
    create(&broker, "small", 1, &[("max.message.bytes", "2000")]).unwrap();
    let producer = producer(&broker, &[("acks", "all"), ("message.max.bytes", "5000000")]);
    send(
        &producer,
        BaseRecord::to("small").partition(0).payload(&vec![b'x'; 10_000]),
    );
    producer.flush(PATIENCE).unwrap();
    let refused = producer.context().take();
    assert_eq!(refused, [Err(RDKafkaErrorCode::MessageSizeTooLarge)]);
    assert_eq!(watermarks(&broker, "small", 0), (0, 0));

    let reader = consumer(&broker);
    match reader.fetch_watermarks("nowhere", 0, PATIENCE) {
        Err(KafkaError::MetadataFetch(code)) => {
            let unknown = [
                RDKafkaErrorCode::UnknownPartition,
                RDKafkaErrorCode::UnknownTopicOrPartition,
            ];
            assert!(unknown.contains(&code), "{code}");
        }
        other => panic!("an unknown topic has offsets: {other:?}"),
    }
    let metadata = reader.fetch_metadata(Some("nowhere"), PATIENCE).unwrap();
    let code = metadata.topics()[0].error().map(RDKafkaErrorCode::from);
    assert_eq!(code, Some(RDKafkaErrorCode::UnknownTopicOrPartition));
}

fn admin(broker: &Broker) -> AdminClient<DefaultClientContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap()).create().unwrap()
}

fn create(broker: &Broker, topic: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<(), RDKafkaErrorCode> {
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let new = configs.iter().fold(new, |new, (key, value)| new.set(key, value));
    let mut created = block_on(admin(broker).create_topics([&new], &AdminOptions::new())).unwrap();
    created.remove(0).map(drop).map_err(|(_, code)| code)
}

/// What became of each record, in the order of the reports: partition and offset.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<Report>>>);

type Report = Result<(i32, i64), RDKafkaErrorCode>;

impl Reports {
    fn take(&self) -> Vec<Report> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &DeliveryResult<'_>, _: ()) {
        let report = match delivered {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((KafkaError::MessageProduction(code), _)) => Err(*code),
            Err((other, _)) => panic!("{other}"),
        };
        self.0.lock().unwrap().push(report);
    }
}

fn producer(broker: &Broker, settings: &[(&str, &str)]) -> BaseProducer<Reports> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap());
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config.create_with_context(Reports::default()).unwrap()
}

fn send(producer: &BaseProducer<Reports>, record: BaseRecord<'_, (), Vec<u8>>) {
    producer.send(record).map_err(|(error, _)| error).unwrap();
}

/// Sends [`COUNT`] records over the partitions in turn; all are delivered.
fn produce(broker: &Broker, topic: &str, settings: &[(&str, &str)]) -> Vec<(i32, i64)> {
    let producer = producer(broker, settings);
    for n in 0..COUNT {
        let record = BaseRecord::to(topic).partition(partition_of(n));
        let (payload, timestamp) = (value(n).into_bytes(), BEGAN_MS + n as i64 * 1_000);
        send(&producer, record.payload(&payload).timestamp(timestamp));
    }
    producer.flush(PATIENCE).unwrap();
    let reports: Result<Vec<_>, _> = producer.context().take().into_iter().collect();
    let delivered = reports.unwrap();
    assert_eq!(delivered.len(), COUNT);
    delivered
}

fn partition_of(n: usize) -> i32 {
    (n % PARTITIONS as usize) as i32
}

fn value(n: usize) -> String {
    format!("record {n} {}", "compresses well ".repeat(10))
}

fn config(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", broker.bootstrap())
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true");
    config
}

fn consumer(broker: &Broker) -> BaseConsumer {
    config(broker).create().unwrap()
}

fn watermarks(broker: &Broker, topic: &str, partition: i32) -> (i64, i64) {
    consumer(broker).fetch_watermarks(topic, partition, PATIENCE).unwrap()
}

fn assign(reader: &BaseConsumer, topic: &str, partition: i32, from: Offset) {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, from).unwrap();
    reader.assign(&list).unwrap();
}

fn next(reader: &BaseConsumer) -> (i64, String) {
    let message = reader.poll(PATIENCE).expect("a record in time").unwrap();
    (
        message.offset(),
        String::from_utf8(message.payload().unwrap().to_vec()).unwrap(),
    )
}

fn read(broker: &Broker, topic: &str, partition: i32, from: Offset, count: usize) -> Vec<(i64, String)> {
    let reader = consumer(broker);
    assign(&reader, topic, partition, from);
    (0..count).map(|_| next(&reader)).collect()
}

/// The partition's segment: good batches of the codec, each beginning where the one before ends.
fn check_stored(broker: &Broker, topic: &str, partition: i32, compression: Compression) {
    let segment = broker.data_dir().join(format!("{topic}-{partition}/{:020}.log", 0));
    let stored = fs::read(segment).unwrap();
    let (mut at, mut next_offset) = (0, 0);
    while next_offset < COUNT as i64 / i64::from(PARTITIONS) {
        let header = BatchHeader::parse(&stored[at..]).unwrap();
        header.check_crc(&stored[at..at + header.total_len()]).unwrap();
        assert_eq!(header.compression().unwrap(), compression, "{topic}");
        assert_eq!(header.base_offset, next_offset, "{topic}");
        (at, next_offset) = (at + header.total_len(), header.next_offset());
    }
}
