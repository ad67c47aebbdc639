//! THE table of what is measured alone: a name, how many bytes one turn handles, and a maker of turns.

use std::hint::black_box;

use bytes::Bytes;
use corelane::model::TopicId;
use corelane::record::{BatchBuilder, BatchHeader, Compression, RecordViews, Rules, TimestampType, ValidBatch};
use corelane::rt;
use corelane::wire::fetch::{FetchPartitionResponse, FetchResponse, FetchTopicResponse};
use corelane::wire::messages::{
    Encode, MetadataResponseBroker, MetadataResponseData, MetadataResponsePartition, MetadataResponseTopic,
    kafka_string,
};
use corelane::wire::produce::{
    ProducePartition, ProducePartitionResponse, ProduceRequest, ProduceResponse, ProduceTopic, ProduceTopicResponse,
};

use crate::index::{BatchPlace, Indexes};

pub type Turn = Box<dyn FnMut()>;

pub struct Case {
    pub name: &'static str,
    pub make: fn() -> Turn,
}

const fn case(name: &'static str, make: fn() -> Turn) -> Case {
    Case { name, make }
}

pub const CASES: &[Case] = &[
    case("crc_16k", || crc(batch(16, 1_024, Compression::None))),
    case("validate_16x1k", || validate(batch(16, 1_024, Compression::None))),
    case("validate_160x100", || validate(batch(160, 100, Compression::None))),
    case("validate_1x100", || validate(batch(1, 100, Compression::None))),
    case("validate_lz4_160x100", || validate(batch(160, 100, Compression::Lz4))),
    case("validate_zstd_160x100", || validate(batch(160, 100, Compression::Zstd))),
    case("varints_160_records", varints),
    case("produce_decode_8_partitions", produce_decode),
    case("produce_answer_8_partitions", produce_answer),
    case("fetch_encode_8_partitions", fetch_encode),
    case("lane_hop_16", lane_hop),
    case("index_look_up_8000", index_look_up),
    case("metadata_10000_partitions", metadata_answer),
];

const PRODUCE_VERSION: i16 = 12;
const FETCH_VERSION: i16 = 16;
const METADATA_VERSION: i16 = 12;
const PARTITIONS: i32 = 8;

fn batch(records: usize, bytes: usize, compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for number in 0..records {
        let value: Vec<u8> = (0..bytes).map(|at| (at * 31 + number * 7) as u8).collect();
        builder.push(1_700_000_000_000, None, Some(&value), &[]);
    }
    builder.build()
}

fn crc(batch: Bytes) -> Turn {
    Box::new(move || {
        let header = BatchHeader::parse(black_box(&batch)).expect("a whole batch");
        header.check_crc(&batch).expect("a sound batch");
    })
}

fn validate(batch: Bytes) -> Turn {
    let rules = Rules {
        max_message_bytes: 1 << 20,
        segment_bytes: 1 << 30,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        compacted: false,
        compression: None,
        produce_version: PRODUCE_VERSION,
    };
    Box::new(move || {
        let valid = ValidBatch::check(black_box(batch.clone()), &rules, 1_700_000_000_000);
        black_box(valid.expect("a sound batch"));
    })
}

fn varints() -> Turn {
    let batch = batch(160, 100, Compression::None);
    let records = batch.slice(corelane::record::HEADER_LEN..);
    Box::new(move || {
        let count = RecordViews::new(black_box(&records), 160).filter(Result::is_ok).count();
        assert_eq!(black_box(count), 160);
    })
}

fn produce_decode() -> Turn {
    let partitions = (0..PARTITIONS).map(|index| ProducePartition {
        index,
        records: Some(batch(16, 1_024, Compression::None)),
    });
    let request = ProduceRequest {
        transactional_id: None,
        acks: 1,
        timeout_ms: 30_000,
        topics: vec![ProduceTopic {
            name: Bytes::from_static(b"orders"),
            partitions: partitions.collect(),
        }],
    };
    let body = Bytes::from(request.encode(PRODUCE_VERSION).concat());
    Box::new(move || {
        black_box(ProduceRequest::decode(black_box(body.clone()), PRODUCE_VERSION).expect("a sound request"));
    })
}

fn produce_answer() -> Turn {
    let response = ProduceResponse {
        topics: vec![ProduceTopicResponse {
            name: Bytes::from_static(b"orders"),
            partitions: (0..PARTITIONS)
                .map(|index| ProducePartitionResponse {
                    index,
                    ..Default::default()
                })
                .collect(),
        }],
        ..Default::default()
    };
    Box::new(move || {
        black_box(black_box(&response).encode(PRODUCE_VERSION));
    })
}

fn fetch_encode() -> Turn {
    let records = batch(16, 1_024, Compression::None);
    Box::new(move || {
        let partitions = (0..PARTITIONS).map(|index| FetchPartitionResponse {
            index,
            records: vec![records.clone(), records.clone()],
            ..Default::default()
        });
        let response = FetchResponse {
            topics: vec![FetchTopicResponse {
                name: Bytes::new(),
                id: TopicId([1; 16]),
                partitions: partitions.collect(),
            }],
            ..Default::default()
        };
        black_box(response.encode(FETCH_VERSION));
    })
}

/// Sixteen messages over a lane in one burst: what is between two cores beside the waking.
fn lane_hop() -> Turn {
    const MESSAGES: usize = 16;
    let (tx, mut rx) = rt::lane::<[u64; 4]>(MESSAGES);
    let mut burst = Vec::with_capacity(MESSAGES);
    Box::new(move || {
        for number in 0..MESSAGES as u64 {
            assert!(tx.try_send(black_box([number; 4])).is_ok());
        }
        assert_eq!(rx.try_recv_burst(&mut burst, MESSAGES), MESSAGES);
        burst.clear();
    })
}

fn index_look_up() -> Turn {
    let mut indexes = Indexes::new(0);
    for number in 0..8_000u64 {
        let place = BatchPlace {
            position: number * 16_384,
            len: 16_384,
            last_offset: number as i64 * 16 + 15,
            max_timestamp: number as i64,
        };
        indexes.note(place, 4_096);
    }
    let mut offset = 0;
    Box::new(move || {
        offset = (offset + 77_773) % 128_000;
        black_box(indexes.position(black_box(offset)));
        black_box(indexes.position_for_time(black_box(offset / 16)));
    })
}

/// The encoding of a large answer; what it is built from lies in the image.
fn metadata_answer() -> Turn {
    const MANY: i32 = 10_000;
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(1)
            .with_replica_nodes(vec![1])
            .with_isr_nodes(vec![1])
    };
    let topic = MetadataResponseTopic::default()
        .with_name(Some(kafka_string("orders")))
        .with_partitions((0..MANY).map(partition).collect());
    let broker = MetadataResponseBroker::default()
        .with_node_id(1)
        .with_host(kafka_string("127.0.0.1"))
        .with_port(9_092);
    let response = MetadataResponseData::default()
        .with_brokers(vec![broker])
        .with_topics(vec![topic]);
    Box::new(move || {
        black_box(
            black_box(&response)
                .encode(METADATA_VERSION)
                .expect("it can be encoded"),
        );
    })
}
