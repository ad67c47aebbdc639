//! What is kept of a share partition, and the bytes that it is kept in.

use bytes::Bytes;

use super::super::record::Stamp;
use super::*;
use crate::model::{ErrorCode, ShardId, Ticket, TopicId};

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
    let epochs = Epochs { state: 8, leader: 9 };
    states.handle(TICKET, StateRequest::Initialize(key("g", 3), 8, 5), at(1));
    let kept = Kept { epochs, saved };
    let effects = states.handle(TICKET, StateRequest::Write(key("g", 3), kept.clone()), at(2));
    let entry = &effects.entries[0];
    let mut expected = vec![0, 0, 0, 1, b'g'];
    expected.extend([7; 16]);
    expected.extend([0, 0, 0, 3]);
    assert_eq!(entry.key, expected);
    let mut expected = vec![0, 0];
    for epoch in [1, 8, 9] {
        expected.extend(i32::to_be_bytes(epoch));
    }
    expected.extend(5_i64.to_be_bytes());
    expected.extend(1_000_i64.to_be_bytes());
    expected.extend(2_000_i64.to_be_bytes());
    expected.push(2);
    expected.extend(6_i64.to_be_bytes());
    expected.extend(7_i64.to_be_bytes());
    expected.extend([2, 0, 1, 0]);
    expected.extend([1, 0, 4, 0, 0, 0, 2]);
    let value = entry.value.clone().unwrap();
    assert_eq!(value, expected);

    let mut again = ShareStates::default();
    again.replay(&entry.key, Some(&value));
    assert_eq!(listed(&mut again, "g"), [(key("g", 3), kept)]);
    again.replay(&entry.key, None);
    assert_eq!(listed(&mut again, "g"), []);
}

fn asked(states: &mut ShareStates, request: StateRequest) -> StateAnswer {
    let mut effects = states.handle(TICKET, request, at(2));
    effects.replies.remove(0).1
}

fn listed(states: &mut ShareStates, group: &str) -> Vec<(StateKey, Kept)> {
    match asked(states, StateRequest::List(group.into())) {
        Ok(StateReply::Listed(listed)) => listed,
        other => panic!("{other:?}"),
    }
}

fn written(state: i32, leader: i32, saved: Saved) -> StateRequest {
    let epochs = Epochs { state, leader };
    StateRequest::Write(key("g", 0), Kept { epochs, saved })
}

fn from(start: i64) -> Saved {
    Saved {
        start,
        ..Saved::default()
    }
}

/// Whoever reads under a later epoch of the leader keeps those before from writing, and from reading; setting the state anew
/// does not lift that. A write under an earlier state than the one that was set is refused too.
#[test]
fn deposed_leaders_and_old_states_are_fenced() {
    let mut states = ShareStates::default();
    let read = |epoch| StateRequest::Read(key("g", 0), epoch);
    let set = |epoch, start| StateRequest::Initialize(key("g", 0), epoch, start);
    let fenced_leader = Err(ErrorCode::FencedLeaderEpoch);
    let fenced_state = Err(ErrorCode::FencedStateEpoch);
    let done = Ok(StateReply::Done);
    assert_eq!(
        asked(&mut states, written(0, 5, from(1))),
        Err(ErrorCode::InvalidRequest)
    );
    let Ok(StateReply::Read(kept)) = asked(&mut states, read(5)) else {
        panic!("not read");
    };
    assert_eq!(
        (kept.epochs, kept.saved.start),
        (Epochs { state: 0, leader: 5 }, NOWHERE)
    );
    assert_eq!(asked(&mut states, written(0, 5, from(10))), done);
    assert_eq!(states.handle(TICKET, read(5), at(2)).entries.len(), 0, "nothing is new");
    assert_eq!(
        states.handle(TICKET, read(6), at(2)).entries.len(),
        1,
        "the fence outlives the coordinator"
    );
    assert_eq!(asked(&mut states, written(0, 5, from(11))), fenced_leader);
    assert_eq!(asked(&mut states, read(5)), fenced_leader);
    assert_eq!(asked(&mut states, set(3, 20)), done);
    assert_eq!(asked(&mut states, set(2, 30)), fenced_state);
    assert_eq!(asked(&mut states, written(0, 6, from(12))), fenced_state);
    assert_eq!(asked(&mut states, written(3, 5, from(12))), fenced_leader);
    assert_eq!(asked(&mut states, written(3, 6, from(21))), done);
    let kept = &listed(&mut states, "g")[0].1;
    assert_eq!((kept.epochs, kept.saved.start), (Epochs { state: 3, leader: 6 }, 21));
    assert_eq!(asked(&mut states, StateRequest::Delete(key("g", 0))), done);
    assert_eq!(
        asked(&mut states, written(3, 6, from(22))),
        Err(ErrorCode::InvalidRequest)
    );
}

/// Setting the state a second time under the same epoch, as after an answer that was lost, leaves what was done since. At
/// another start, under another epoch, or under the first one, it is done.
#[test]
fn a_repeated_setting_changes_nothing() {
    let mut states = ShareStates::default();
    let mut set = |epoch, start| {
        let request = StateRequest::Initialize(key("g", 0), epoch, start);
        let effects = states.handle(TICKET, request, at(2));
        assert_eq!(effects.replies[0].1, Ok(StateReply::Done));
        effects.entries.len()
    };
    assert_eq!([set(0, 5), set(0, 5)], [1, 1]);
    assert_eq!([set(1, 5), set(1, 5), set(1, 6), set(2, 6)], [1, 0, 1, 1]);
    assert_eq!([set(i32::MAX, 6), set(i32::MAX, 6)], [1, 1]);
}

/// A count of deliveries that has no room for more stays as it is.
#[test]
fn deliveries_are_counted_up_to_the_largest_number() {
    let batch = SavedBatch {
        first: 0,
        last: 9,
        delivery: SavedDelivery::Available,
        count: i16::MAX,
    };
    let saved = Saved {
        batches: vec![batch],
        ..from(0)
    };
    let mut share = SharePartition::restore(&saved);
    let acquired = share.acquire(&name("a"), &wanted(&[(0, 9)], 10), &LIMITS, at(0));
    assert_eq!(acquired, [range(0, 9, i16::MAX)]);
}

/// Batches that make no sense, and more of them than a record may hold, change nothing.
#[test]
fn what_cannot_be_kept_is_refused() {
    let mut states = ShareStates::default();
    asked(&mut states, StateRequest::Initialize(key("g", 0), 0, 10)).unwrap();
    let batch = |first, last| SavedBatch {
        first,
        last,
        delivery: SavedDelivery::Acknowledged,
        count: 1,
    };
    let with = |batches| Saved { batches, ..from(10) };
    for batches in [
        vec![batch(9, 12)],
        vec![batch(12, 11)],
        vec![batch(12, 14), batch(14, 15)],
    ] {
        assert_eq!(
            asked(&mut states, written(0, 0, with(batches))),
            Err(ErrorCode::InvalidRequest)
        );
    }
    let many = (0..40_000).map(|at| batch(10 + 2 * at, 10 + 2 * at));
    assert_eq!(
        asked(&mut states, written(0, 0, with(many.collect()))),
        Err(ErrorCode::MessageTooLarge)
    );
    assert_eq!(listed(&mut states, "g")[0].1.saved, from(10));
    let kept = Saved {
        start: NOWHERE,
        ..with(vec![batch(11, 12)])
    };
    assert_eq!(asked(&mut states, written(0, 0, kept)), Ok(StateReply::Done));
    assert_eq!(
        listed(&mut states, "g")[0].1.saved,
        with(vec![batch(11, 12)]),
        "the start stays"
    );
}

/// A group's own are listed; those of deleted topics are gone, from the log too.
#[test]
fn states_are_listed_and_dropped() {
    let mut states = ShareStates::default();
    for key in [key("g", 0), key("g", 1), key("h", 0)] {
        states.handle(TICKET, StateRequest::Initialize(key, 0, 0), at(1));
    }
    let listed = listed(&mut states, "g");
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
    let epochs = Epochs::default();
    let value = Kept { epochs, saved: odd }.write(Stamp::default());
    states.replay(&key("g", 0).write(), Some(&value));
    let saved = &listed(&mut states, "g")[0].1.saved;
    assert_eq!(saved.batches, [batch(20, 25), batch(26, 26)]);
    assert_eq!(SharePartition::restore(saved).next_offset(&LIMITS), Some(10));
}
