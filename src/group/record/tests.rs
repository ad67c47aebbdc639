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

#[test] // Goal: the keys of a consumer group are Kafka's: the group's, a member's, an expression's.
fn keys_of_consumer_groups_are_kafkas() {
    let cases: [(RecordKind, &str, &[u8]); 4] = [
        (RecordKind::Epoch, "", &[0, 3, 0, 1, b'g']),
        (RecordKind::Member, "m", &[0, 5, 0, 1, b'g', 0, 1, b'm']),
        (RecordKind::Current, "m", &[0, 8, 0, 1, b'g', 0, 1, b'm']),
        (RecordKind::Regex, "a.*", &[0, 16, 0, 1, b'g', 0, 3, b'a', b'.', b'*']),
    ];
    for (kind, part, bytes) in cases {
        assert_eq!(group_key(kind, "g", part), bytes);
        let key = Key::Group {
            kind,
            group: "g".into(),
            part: part.into(),
        };
        assert_eq!(Key::read(&Bytes::from_static(bytes)), Ok(key));
    }
}

#[test] // Goal: epochs are laid out as Kafka's version 0, with the tagged fields left out where they say nothing.
fn epochs_are_kafkas() {
    let hash = [1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7];
    let group = EpochValue {
        epoch: 3,
        topics_hash: 7,
    };
    assert_eq!(group.write(), [&[0, 0, 0, 0, 0, 3][..], &hash].concat());
    assert_eq!(EpochValue::read(&group.write()), Ok(group));
    let target = TargetEpochValue {
        epoch: 3,
        assigned_ms: 0,
    };
    assert_eq!(target.write(), [0, 0, 0, 0, 0, 3, 0].as_slice());
    assert_eq!(TargetEpochValue::read(&target.write()), Ok(target));
}

#[test] // Goal: a member is laid out as Kafka's version 0, one of the classic protocol with its tagged structure.
fn members_of_consumer_groups_are_kafkas() {
    let plain = ConsumerMemberValue {
        client_id: "c".into(),
        client_host: "h".into(),
        topics: ["t".to_owned()].into(),
        rebalance_timeout_ms: 5,
        assignor: Some("u".into()),
        ..ConsumerMemberValue::default()
    };
    let start: &[u8] = &[0, 0, 0, 0, 2, b'c', 2, b'h', 2, 2, b't', 1, 0, 0, 0, 5, 2, b'u'];
    assert_eq!(plain.write(), [start, &[0]].concat());
    let classic = ConsumerMemberValue {
        classic: Some(ClassicMemberValue {
            session_timeout_ms: 9,
            protocols: vec![crate::group::Protocol {
                name: "r".into(),
                metadata: Bytes::from_static(b"m"),
            }],
        }),
        ..plain.clone()
    };
    let tagged: &[u8] = &[1, 0, 12, 1, 0, 0, 0, 9, 2, 2, b'r', 2, b'm', 0, 0];
    assert_eq!(classic.write(), [start, tagged].concat());
    for value in [plain, classic] {
        assert_eq!(ConsumerMemberValue::read(&value.write()), Ok(value));
    }
}

#[test] // Goal: what a member has is laid out as Kafka's version 0, with the epochs that it was assigned in; older records
// lack those.
fn current_assignments_are_kafkas() {
    let value = CurrentValue {
        epoch: 4,
        previous_epoch: 3,
        state: MemberState::UnrevokedPartitions,
        assigned: [(TopicId([7; 16]), [(0, 2), (5, 4)].into())].into(),
        revoking: DatedAssignment::new(),
    };
    let bytes = |tags: &[u8]| {
        let start: &[u8] = &[0, 0, 0, 0, 0, 4, 0, 0, 0, 3, 1, 2];
        let partitions: &[u8] = &[3, 0, 0, 0, 0, 0, 0, 0, 5];
        [start, &[7; 16], partitions, tags, &[1, 0]].concat()
    };
    let dated = bytes(&[1, 0, 9, 3, 0, 0, 0, 2, 0, 0, 0, 4]);
    assert_eq!(value.write(), dated);
    assert_eq!(CurrentValue::read(&Bytes::from(dated)), Ok(value.clone()));
    let undated = CurrentValue::read(&Bytes::from(bytes(&[0]))).unwrap();
    assert_eq!(undated.assigned, [(TopicId([7; 16]), [(0, 4), (5, 4)].into())].into());
    let target: Assignment = [(TopicId([7; 16]), [1, 2].into())].into();
    assert_eq!(read_target(&write_target(&target)), Ok(target));
    let regex = RegexValue {
        topics: ["t".to_owned()].into(),
        version: 1,
        resolved_ms: 2,
    };
    let times = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0];
    assert_eq!(regex.write(), [&[0, 0, 2, 2, b't'][..], &times].concat());
    assert_eq!(RegexValue::read(&regex.write()), Ok(regex));
}
