//! What is kept of a share partition, and the bytes that it is kept in.

use bytes::Bytes;

use super::*;
use crate::model::{ShardId, Ticket, TopicId};

const TICKET: Ticket = Ticket {
    shard: ShardId(0),
    request: 1,
};

fn key(group: &str, index: i32) -> StateKey {
    StateKey {
        group: group.into(),
        topic: TopicId([7; 16]),
        index,
    }
}

/// What is acquired when it is saved is available in its next life, as if this delivery had not been; what is settled
/// stays settled.
#[test]
fn a_reloaded_share_offers_what_was_acquired() {
    let mut share = SharePartition::new(0);
    let a = name("a");
    share.acquire(&a, &wanted(&[(0, 19)], 20), &LIMITS, at(0));
    acknowledge(&mut share, "a", ack(5, 9, AckKind::Accept)).unwrap();
    acknowledge(&mut share, "a", ack(10, 12, AckKind::Release)).unwrap();
    let saved = share.save();
    assert_eq!(saved.settled, 5);
    let mut again = SharePartition::restore(&saved);
    assert_eq!(again.start(), 0);
    let acquired = again.acquire(&a, &wanted(&[(0, 19)], 20), &LIMITS, at(0));
    assert_eq!(acquired, [range(0, 4, 1), range(10, 12, 2), range(13, 19, 1)]);
}

/// The bytes are Kafka's, for the one that has all parts; others are read back as they were written.
#[test]
fn snapshots_are_in_kafkas_format() {
    let mut states = ShareStates::default();
    let saved = Saved {
        start: 5,
        settled: 2,
        batches: vec![SavedBatch {
            first: 6,
            last: 7,
            delivery: SavedDelivery::Acknowledged,
            count: 1,
        }],
    };
    let request = StateRequest::Write(key("g", 3), saved.clone());
    let effects = states.handle(TICKET, request, at(1));
    let entry = &effects.entries[0];
    let mut expected = vec![0, 0, 0, 1, b'g'];
    expected.extend([7; 16]);
    expected.extend([0, 0, 0, 3]);
    assert_eq!(entry.key, expected);
    let mut expected = vec![0, 0];
    expected.extend([0; 12]);
    expected.extend(5_i64.to_be_bytes());
    expected.extend(1_000_i64.to_be_bytes());
    expected.extend(1_000_i64.to_be_bytes());
    expected.push(2);
    expected.extend(6_i64.to_be_bytes());
    expected.extend(7_i64.to_be_bytes());
    expected.extend([2, 0, 1, 0]);
    expected.extend([1, 0, 4, 0, 0, 0, 2]);
    let value = entry.value.clone().unwrap();
    assert_eq!(value, expected);

    let mut again = ShareStates::default();
    again.replay(&entry.key, Some(&value));
    assert_eq!(read(&mut again, key("g", 3)), Some(saved));
    again.replay(&entry.key, None);
    assert_eq!(read(&mut again, key("g", 3)), None);
}

fn read(states: &mut ShareStates, key: StateKey) -> Option<Saved> {
    let effects = states.handle(TICKET, StateRequest::Read(key), at(2));
    match effects.replies.into_iter().next() {
        Some((_, StateReply::Read(saved))) => saved,
        other => panic!("{other:?}"),
    }
}

/// A group's own are listed; those of deleted topics are gone, from the log too.
#[test]
fn states_are_listed_and_dropped() {
    let mut states = ShareStates::default();
    for key in [key("g", 0), key("g", 1), key("h", 0)] {
        states.handle(TICKET, StateRequest::Write(key, Saved::default()), at(1));
    }
    let listed = states.handle(TICKET, StateRequest::List("g".into()), at(1));
    let Some((_, StateReply::Listed(listed))) = listed.replies.into_iter().next() else {
        panic!("not listed");
    };
    assert_eq!(listed.into_iter().map(|(key, _)| key.index).collect::<Vec<_>>(), [0, 1]);
    let deleted = states.handle(TICKET, StateRequest::Delete(key("g", 1)), at(1));
    assert_eq!(deleted.entries.len(), 1);
    let none = states.on_topics_deleted(|topic| topic == TopicId([8; 16]));
    assert_eq!(none.entries.len(), 0);
    let effects = states.on_topics_deleted(|topic| topic == TopicId([7; 16]));
    assert_eq!(effects.entries.len(), 2);
    assert!(effects.entries.iter().all(|entry| entry.value.is_none()));
}

/// Bytes of another kind or another hand are left out, and never turn a window over.
#[test]
fn foreign_records_are_left_out() {
    let mut states = ShareStates::default();
    for key in [&b""[..], &[0, 1], &[0, 9, 1, 2]] {
        states.replay(&Bytes::from_static(b"\0\0\0\x01g"), Some(&Bytes::copy_from_slice(key)));
        states.replay(&Bytes::copy_from_slice(key), None);
    }
    let batch = |first, last| SavedBatch {
        first,
        last,
        delivery: SavedDelivery::Archived,
        count: 1,
    };
    let odd = Saved {
        start: 10,
        settled: 0,
        batches: vec![batch(20, 25), batch(5, 30), batch(28, 27), batch(26, 26)],
    };
    let request = StateRequest::Write(key("g", 0), odd);
    let effects = ShareStates::default().handle(TICKET, request, at(1));
    let entry = &effects.entries[0];
    states.replay(&entry.key, entry.value.as_ref());
    let saved = read(&mut states, key("g", 0)).unwrap();
    assert_eq!(saved.batches, [batch(20, 25), batch(26, 26)]);
    assert_eq!(SharePartition::restore(&saved).next_offset(&LIMITS), Some(10));
}
