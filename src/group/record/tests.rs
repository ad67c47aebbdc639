//! The record formats against bytes put together by hand from Kafka's published schemas.

use super::*;
use crate::model::TopicId;

/// group "g", topic "t", partition 7
const OFFSET_KEY_BYTES: [u8; 12] = [0, 1, 0, 1, b'g', 0, 1, b't', 0, 0, 0, 7];

#[test] // Goal: the keys are Kafka's; the old number of the offsets' key means the same; what is unknown is named.
fn keys_are_kafkas() {
    let key = Key::Offset {
        group: "g".into(),
        topic: "t".into(),
        partition: 7,
    };
    assert_eq!(offset_key("g", "t", 7), OFFSET_KEY_BYTES.as_slice());
    assert_eq!(Key::read(&Bytes::from_static(&OFFSET_KEY_BYTES)), Ok(key.clone()));
    let mut old = OFFSET_KEY_BYTES;
    old[1] = 0;
    assert_eq!(Key::read(&Bytes::copy_from_slice(&old)), Ok(key));
    let classic = group_key(RecordKind::Classic, "g", "");
    assert_eq!(classic, [0, 2, 0, 1, b'g'].as_slice());
    let key = Key::Group {
        kind: RecordKind::Classic,
        group: "g".into(),
        part: String::new(),
    };
    assert_eq!(Key::read(&classic), Ok(key));
    assert_eq!(Key::read(&Bytes::from_static(&[0, 99, 1])), Ok(Key::Other(99)));
    for len in 0..OFFSET_KEY_BYTES.len() {
        assert!(Key::read(&Bytes::copy_from_slice(&OFFSET_KEY_BYTES[..len])).is_err());
    }
}

fn offset_value() -> OffsetValue {
    OffsetValue {
        offset: 5,
        leader_epoch: 2,
        metadata: "m".into(),
        commit_ms: 9,
        expire_ms: None,
        topic_id: TopicId::ZERO,
    }
}

#[test] // Goal: every version of an offset's value is read as Kafka wrote it.
fn offset_values_of_every_version_are_read() {
    let offset = [0, 0, 0, 0, 0, 0, 0, 5];
    let time = [0, 0, 0, 0, 0, 0, 0, 9];
    let no_epoch = OffsetValue {
        leader_epoch: -1,
        ..offset_value()
    };
    let expiring = OffsetValue {
        expire_ms: Some(9),
        ..no_epoch.clone()
    };
    let with_id = OffsetValue {
        topic_id: TopicId([7; 16]),
        ..offset_value()
    };
    let old = [&offset[..], &[0, 1, b'm'], &time].concat();
    let epoch = [&offset[..], &[0, 0, 0, 2], &[0, 1, b'm'], &time].concat();
    let compact = [&offset[..], &[0, 0, 0, 2], &[2, b'm'], &time, &[1, 0, 16], &[7; 16]].concat();
    let cases = [
        (0, old.clone(), no_epoch.clone()),
        (1, [&old[..], &time].concat(), expiring),
        (1, [&old[..], &[0xff; 8]].concat(), no_epoch.clone()),
        (2, old, no_epoch),
        (3, epoch, offset_value()),
        (4, compact, with_id),
    ];
    for (version, body, expected) in cases {
        let bytes = Bytes::from([&[0, version][..], &body].concat());
        assert_eq!(OffsetValue::read(&bytes), Ok(expected), "version {version}");
    }
    assert!(OffsetValue::read(&Bytes::from_static(&[0, 5])).is_err());
}

#[test] // Goal: what we write reads back to the same.
fn offset_values_round_trip() {
    let expiring = OffsetValue {
        expire_ms: Some(77),
        leader_epoch: -1,
        ..offset_value()
    };
    let with_id = OffsetValue {
        topic_id: TopicId([3; 16]),
        ..offset_value()
    };
    for value in [offset_value(), expiring, with_id] {
        assert_eq!(OffsetValue::read(&value.write()), Ok(value));
    }
}

#[test] // Goal: a group's value is laid out as Kafka's version 3, and version 0 is read too.
fn group_values_are_kafkas() {
    let member = MemberValue {
        member_id: "a".into(),
        instance_id: Some("i".into()),
        client_id: "c".into(),
        client_host: "h".into(),
        rebalance_timeout_ms: 3,
        session_timeout_ms: 4,
        subscription: Bytes::from_static(b"s"),
        assignment: Bytes::from_static(b"x"),
    };
    let value = GroupValue {
        protocol_type: "p".into(),
        generation: 1,
        protocol: Some("q".into()),
        leader: None,
        state_ms: 2,
        members: vec![member.clone()],
    };
    let bytes = [
        &[0, 3, 0, 1, b'p', 0, 0, 0, 1, 0, 1, b'q', 0xff, 0xff][..],
        &[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1],
        &[0, 1, b'a', 0, 1, b'i', 0, 1, b'c', 0, 1, b'h', 0, 0, 0, 3, 0, 0, 0, 4],
        &[0, 0, 0, 1, b's', 0, 0, 0, 1, b'x'],
    ]
    .concat();
    assert_eq!(value.write(), bytes);
    assert_eq!(GroupValue::read(&Bytes::from(bytes)), Ok(value.clone()));

    let oldest = [
        &[0, 0, 0, 1, b'p', 0, 0, 0, 1, 0, 1, b'q', 0xff, 0xff, 0, 0, 0, 1][..],
        &[
            0, 1, b'a', 0, 1, b'c', 0, 1, b'h', 0, 0, 0, 4, 0, 0, 0, 1, b's', 0, 0, 0, 1, b'x',
        ],
    ]
    .concat();
    let old_member = MemberValue {
        instance_id: None,
        rebalance_timeout_ms: -1,
        ..member
    };
    let old = GroupValue {
        state_ms: -1,
        members: vec![old_member],
        ..value
    };
    assert_eq!(GroupValue::read(&Bytes::from(oldest)), Ok(old));
}
