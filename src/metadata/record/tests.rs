//! Records as bytes and back, and the bytes of earlier versions.

use super::*;
use crate::model::BrokerId;

/// One record of every kind.
pub fn samples() -> Vec<Record> {
    vec![
        Record::ClusterId(ClusterId {
            id: "4L6g3nShT-eMCtK--X86sw".into(),
        }),
        Record::RegisterBroker(RegisterBroker {
            id: 1,
            epoch: 7,
            incarnation: [9; 16],
            rack: Some("r1".into()),
            endpoints: vec![("PLAINTEXT".into(), "node01".into(), 9092)],
            ..RegisterBroker::default()
        }),
        Record::RegisterBroker(RegisterBroker {
            id: 2,
            epoch: 8,
            incarnation: [10; 16],
            rack: None,
            endpoints: vec![("PLAINTEXT".into(), "node02".into(), 9092)],
            fenced: true,
            in_controlled_shutdown: Some(9),
            log_dirs: vec![[6; 16]],
        }),
        Record::BrokerChange(BrokerChange {
            id: 2,
            epoch: 8,
            fenced: false,
            in_controlled_shutdown: None,
            log_dirs: vec![[6; 16], [7; 16]],
        }),
        Record::BrokerSpace(BrokerSpace {
            id: 2,
            epoch: 8,
            full_dirs: vec![[7; 16]],
        }),
        Record::UnregisterBroker(UnregisterBroker { id: 2, epoch: 8 }),
        Record::Topic(Topic {
            id: [3; 16],
            name: "orders".into(),
        }),
        Record::Partition(Partition {
            topic: [3; 16],
            index: 0,
            leader: 1,
            leader_epoch: 0,
            partition_epoch: 0,
            replicas: vec![1],
            isr: vec![1],
            directories: vec![[5; 16]],
            ..Partition::default()
        }),
        Record::Partition(Partition {
            topic: [3; 16],
            index: 1,
            leader: -1,
            leader_epoch: 4,
            partition_epoch: 9,
            replicas: vec![1, 2, 3],
            isr: Vec::new(),
            directories: vec![[5; 16], [6; 16], [0; 16]],
            adding: vec![3],
            removing: vec![2],
            elr: vec![1, 2],
            last_known_elr: vec![1],
            leader_recovering: true,
        }),
        Record::Config(Config {
            resource: Resource::Topic([3; 16]),
            key: "retention.ms".into(),
            value: Some("1000".into()),
        }),
        Record::Config(Config {
            resource: Resource::AllBrokers,
            key: "log.retention.ms".into(),
            value: None,
        }),
        Record::Config(Config {
            resource: Resource::Group("g".into()),
            key: "consumer.session.timeout.ms".into(),
            value: Some("50000".into()),
        }),
        Record::ProducerIds(ProducerIds { next: 1000 }),
        Record::RemoveTopic(RemoveTopic { id: [3; 16] }),
    ]
}

/// What is written is what is read.
#[test]
fn every_kind_survives_the_way_to_bytes_and_back() {
    let mut bytes = Vec::new();
    encode_all(&samples(), &mut bytes);
    assert_eq!(decode_all(&bytes).unwrap(), samples());
}

/// Bytes that are cut anywhere are an error, never a panic and never fewer records.
#[test]
fn a_cut_list_is_an_error() {
    let mut bytes = Vec::new();
    encode_all(&samples(), &mut bytes);
    for len in 0..bytes.len() {
        assert!(decode_all(&bytes[..len]).is_err(), "cut at {len}");
    }
}

/// A record of a later release is named as such.
#[test]
fn an_unknown_kind_says_that_a_later_release_wrote_it() {
    let bytes = [1, 0, 0, 0, 99, 1, 0, 0, 0, 0];
    let error = decode_all(&bytes).unwrap_err();
    assert!(error.to_string().contains("type 99 version 1"), "{error}");
}

/// The bytes of version 1 never change: this is a log that the first release wrote.
#[test]
fn version_1_bytes_are_frozen() {
    let mut bytes = Vec::new();
    encode_all(
        &[Record::Topic(Topic {
            id: [3; 16],
            name: "orders".into(),
        })],
        &mut bytes,
    );
    let expected = [&[1, 0, 0, 0, 3, 1, 24, 0, 0, 0][..], &[3; 16], b"orders\xff\xff"].concat();
    assert_eq!(bytes, expected);
}

/// What the first release wrote at its first start, and when it was asked for a topic.
const REGISTRATION_V1: &[u8] = include_bytes!("golden/registration-v1.bin");
const TOPIC_V1: &[u8] = include_bytes!("golden/topic-v1.bin");

/// What the first release wrote is read, and written again byte for byte as long as it can say everything.
#[test]
fn the_first_releases_records_are_read_and_written() {
    let registration = decode_all(REGISTRATION_V1).unwrap();
    let endpoint = ("PLAINTEXT".to_owned(), "127.0.0.1".to_owned(), 19461);
    let [Record::ClusterId(cluster), Record::RegisterBroker(broker)] = registration.as_slice() else {
        panic!("{registration:?}")
    };
    assert_eq!(cluster.id, "jikJbVDTuWj8NrdXNA0vuw");
    let expected = RegisterBroker {
        id: 0,
        epoch: 1,
        incarnation: broker.incarnation,
        rack: Some("r1".to_owned()),
        endpoints: vec![endpoint],
        ..RegisterBroker::default()
    };
    assert_eq!(broker, &expected);
    let topic = decode_all(TOPIC_V1).unwrap();
    let partition = |record: &Record| match record {
        Record::Partition(partition) => Some((partition.index, partition.state())),
        _ => None,
    };
    let states: Vec<_> = topic
        .iter()
        .filter_map(partition)
        .map(|(index, state)| (index, state.isr))
        .collect();
    assert_eq!(states, [(0, vec![BrokerId(0)]), (1, vec![BrokerId(0)])]);
    for (records, bytes) in [(registration, REGISTRATION_V1), (topic, TOPIC_V1)] {
        let mut written = Vec::new();
        encode_all(&records, &mut written);
        assert_eq!(written, bytes);
    }
}

/// A record is written in the oldest version that can say it.
#[test]
fn versions_grow_only_where_they_must() {
    let versions = |record: &Record| {
        let mut bytes = Vec::new();
        encode_all(std::slice::from_ref(record), &mut bytes);
        (bytes[4], bytes[5])
    };
    let found: Vec<_> = samples()
        .iter()
        .map(versions)
        .filter(|(kind, _)| [2, 4].contains(kind))
        .collect();
    assert_eq!(found, [(2, 1), (2, 2), (4, 1), (4, 2)]);
}
