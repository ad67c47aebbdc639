//! Hostile bytes against every decoder: no panic, and no memory beyond a small multiple of the input.
//!
//! One table holds every decoder with the shape of its message, so a message that is served is attacked as well. Longer
//! runs: `PROPTEST_CASES=100000 cargo test --lib wire::tests::hostile`.

use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::draw::{Entropy, draw};
use super::produce_fetch::{
    draw_fetch_request, draw_fetch_response, draw_produce_request, draw_produce_response, joined,
};
use crate::wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic};
use crate::wire::messages::*;
use crate::wire::primitives::{ELEMENTS_MAX, Reader};
use crate::wire::produce::{DecodeError, ProducePartition, ProduceRequest, ProduceResponse, ProduceTopic};
use crate::wire::{ApiKey, RequestHeader, is_flexible, parse_response, shape};

/// One decoder under attack: what it accepts, and a source of messages that it accepts.
struct Target {
    name: &'static str,
    versions: RangeInclusive<i16>,
    /// Whether the bytes are a message; panics where an invariant does not hold.
    decode: fn(Bytes, i16) -> bool,
    draw: fn(&mut Entropy<'_>, i16) -> Bytes,
}

macro_rules! generated_targets {
    ($($name:ident: $key:ident, $versions:expr, $($message:ident = $oracle:ident as $shape:ident),*;)*) => {
        vec![$($(Target {
            name: stringify!($message),
            versions: $versions,
            decode: |body, version| {
                let flexible = is_flexible(ApiKey::$key, version);
                let checked = shape::check(Reader::new(&body, flexible), &shape::$shape, version);
                if let Ok(trailing) = checked {
                    let mut rest = body.clone();
                    $message::read(&mut rest, version).expect("what passes the check can be read");
                    assert_eq!(rest.len(), trailing, "the check and the decoder end at the same byte");
                }
                let decoded = $message::decode(body, version, BODY_BYTES_MAX);
                assert_eq!(decoded.is_ok(), checked.is_ok(), "the check alone decides");
                decoded.is_ok()
            },
            draw: |entropy, version| {
                draw(entropy, &shape::$shape, is_flexible(ApiKey::$key, version), version).freeze()
            },
        }),*),*]
    };
}

fn targets() -> Vec<Target> {
    let mut targets = served!(generated_targets);
    targets.push(Target {
        name: "ProduceRequest",
        versions: 3..=12,
        decode: |body, version| {
            let len = body.len();
            ProduceRequest::decode(body, version).is_ok_and(|request| {
                let bytes: usize = request
                    .topics
                    .iter()
                    .map(|t| t.partitions.capacity() * PRODUCE_PARTITION_BYTES)
                    .sum();
                assert!(bytes + request.topics.capacity() * PRODUCE_TOPIC_BYTES <= EXPANSION_MAX * len);
                true
            })
        },
        draw: |entropy, version| joined(&draw_produce_request(entropy).encode(version)),
    });
    targets.push(Target {
        name: "ProduceResponse",
        versions: 3..=12,
        decode: |body, version| ProduceResponse::decode(body, version).is_ok(),
        draw: |entropy, version| joined(&draw_produce_response(entropy, version).encode(version).slices),
    });
    targets.push(Target {
        name: "FetchRequest",
        versions: 4..=17,
        decode: |body, version| {
            let len = body.len();
            FetchRequest::decode(body, version).is_ok_and(|request| {
                let bytes: usize = request
                    .topics
                    .iter()
                    .map(|t| t.partitions.capacity() * FETCH_PARTITION_BYTES)
                    .sum();
                let forgotten: usize = request.forgotten.iter().map(|t| t.partitions.capacity() * 4).sum();
                let topics = request.topics.capacity() * FETCH_TOPIC_BYTES;
                let forgotten_topics = request.forgotten.capacity() * FORGOTTEN_TOPIC_BYTES;
                assert!(bytes + forgotten + topics + forgotten_topics <= EXPANSION_MAX * len);
                true
            })
        },
        draw: |entropy, version| joined(&draw_fetch_request(entropy, version).encode(version)),
    });
    targets.push(Target {
        name: "FetchResponse",
        versions: 4..=17,
        decode: |body, version| FetchResponse::decode(body, version).is_ok(),
        draw: |entropy, version| joined(&draw_fetch_response(entropy, version).encode(version).slices),
    });
    targets
}

/// How many bytes of memory a byte of a request may become.
const EXPANSION_MAX: usize = 24;
const PRODUCE_TOPIC_BYTES: usize = size_of::<ProduceTopic>();
const PRODUCE_PARTITION_BYTES: usize = size_of::<ProducePartition>();
const FETCH_TOPIC_BYTES: usize = size_of::<FetchTopic>();
const FETCH_PARTITION_BYTES: usize = size_of::<FetchPartition>();
const FORGOTTEN_TOPIC_BYTES: usize = size_of::<ForgottenTopic>();

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Bytes without any sense.
    #[test]
    fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), flexible: bool) {
        let bytes = Bytes::from(bytes);
        let _ = RequestHeader::peek(&bytes);
        let _ = RequestHeader::parse(bytes.clone(), flexible);
        let _ = parse_response(bytes.clone(), flexible);
        for target in targets() {
            for version in target.versions {
                (target.decode)(bytes.clone(), version);
            }
        }
    }

    /// Messages that were valid before some bytes were changed, taken out or put in, lengths above all.
    #[test]
    fn mutated_messages_are_survived(
        entropy in prop::collection::vec(any::<u8>(), 0..300),
        mutations in prop::collection::vec(any::<(u16, u8, u8)>(), 1..6),
        version in any::<u8>(),
    ) {
        for target in targets() {
            let version = pick(&target.versions, version);
            let mut bytes = BytesMut::from((target.draw)(&mut Entropy(&entropy), version));
            mutations.iter().for_each(|mutation| mutate(&mut bytes, *mutation));
            (target.decode)(bytes.freeze(), version);
        }
    }

    /// A message is accepted whole, and refused when it ends too early, at every length.
    #[test]
    fn truncated_messages_are_refused(
        entropy in prop::collection::vec(any::<u8>(), 0..60),
        version in any::<u8>(),
    ) {
        for target in targets() {
            let version = pick(&target.versions, version);
            let message = (target.draw)(&mut Entropy(&entropy), version);
            prop_assert!((target.decode)(message.clone(), version), "{} {}", target.name, version);
            for len in 0..message.len() {
                let accepted = (target.decode)(message.slice(..len), version);
                prop_assert!(!accepted, "{} {} cut to {} of {} bytes", target.name, version, len, message.len());
            }
        }
    }
}

/// A length that no bytes back is refused before memory is reserved for it: these would be gigabytes.
#[test]
fn huge_lengths_are_refused_at_once() {
    let tail = vec![0; 1 << 20];
    for huge in [
        &[0x7f, 0xff, 0xff, 0xff][..],
        &[0xff, 0xff, 0xff, 0xff, 0x0f],
        &[0xff, 0xff, 0xff, 0x7f],
    ] {
        for target in targets() {
            for version in target.versions {
                for at in 0..24 {
                    (target.decode)([&tail[..at], huge].concat().into(), version);
                }
                (target.decode)([huge, &tail[huge.len()..]].concat().into(), version);
            }
        }
    }
}

/// A full frame of empty topics asks for more elements than one message may hold, and gets no memory for them.
#[test]
fn too_many_elements_are_refused() {
    let count = ELEMENTS_MAX as u32 + 1;
    let mut body = [&[0xff, 0xff, 0, 1, 0, 0, 0, 1][..], &count.to_be_bytes()].concat();
    body.resize(body.len() + 6 * count as usize, 0);
    assert_eq!(
        ProduceRequest::decode(body.into(), 3),
        Err(DecodeError::TooMany(ELEMENTS_MAX))
    );
}

/// The metadata of 100,000 partitions, with three replicas each, are read as an answer, which is bounded as well.
#[test]
fn an_answer_may_be_large() {
    let partition = MetadataResponsePartition::default()
        .with_replica_nodes(vec![1, 2, 3])
        .with_isr_nodes(vec![1, 2, 3]);
    let topic = |partitions| MetadataResponseTopic::default().with_partitions(vec![partition.clone(); partitions]);
    let answer = MetadataResponseData::default().with_topics(vec![topic(1_000); 100]);
    let bytes = answer.encode(9).unwrap();
    let read = MetadataResponseData::decode_answer(bytes.clone(), 9).unwrap();
    assert_eq!(read.topics.len(), 100);
    let as_request = MetadataResponseData::decode(bytes, 9, usize::MAX);
    assert!(matches!(
        as_request,
        Err(MessageError::Shape(DecodeError::TooMany(ELEMENTS_MAX)))
    ));
}

/// //= Kafka: null is refused for an array that cannot be null; Metadata 0 is such a one, from version 1 on null means
/// "all".
#[test]
fn null_arrays_are_refused_where_kafka_refuses_them() {
    let null = Bytes::from_static(&[0xff; 4]);
    let refused = MetadataRequestData::decode(null.clone(), 0, BODY_BYTES_MAX);
    assert!(
        matches!(refused, Err(MessageError::Shape(DecodeError::Null))),
        "{refused:?}"
    );
    let all = MetadataRequestData::decode(null, 1, BODY_BYTES_MAX).expect("null means all topics");
    assert_eq!(all.topics, None);
    let compact_null = Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0]);
    let refused = CreateTopicsRequestData::decode(compact_null, 5, BODY_BYTES_MAX);
    assert!(
        matches!(refused, Err(MessageError::Shape(DecodeError::Null))),
        "{refused:?}"
    );
}

/// A body over its API's limit is refused unread.
#[test]
fn bodies_over_the_limit_are_refused() {
    let limit = body_limit(ApiKey::METADATA);
    let refused = MetadataRequestData::decode(vec![0; limit + 1].into(), 1, limit);
    assert!(
        matches!(refused, Err(MessageError::TooLarge { len, .. }) if len == limit + 1),
        "{refused:?}"
    );
    assert!(MetadataRequestData::decode(vec![0; limit].into(), 1, limit).is_ok());
    assert!(body_limit(ApiKey::API_VERSIONS) < body_limit(ApiKey::METADATA));
}

fn pick(versions: &RangeInclusive<i16>, choice: u8) -> i16 {
    versions.start() + i16::from(choice) % (versions.end() - versions.start() + 1)
}

fn mutate(bytes: &mut BytesMut, (at, kind, value): (u16, u8, u8)) {
    let at = usize::from(at) % (bytes.len() + 1);
    let tail = bytes.split_off(at);
    let (insert, removed): (&[u8], usize) = match kind % 8 {
        0 => (&[value], 0),
        1 => (&[], 1),
        2 => (&[value], 1),
        3 => (&[0x7f, 0xff, 0xff, 0xff], 4),
        4 => (&[0xff, 0xff, 0xff, 0xff], 4),
        5 => (&[0xff, 0xff, 0xff, 0xff, 0x0f], 1),
        6 => (&[0x80, 0x00], 1),
        _ => (&[], usize::MAX),
    };
    bytes.extend_from_slice(insert);
    bytes.extend_from_slice(tail.get(removed..).unwrap_or_default());
}
