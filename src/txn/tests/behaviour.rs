//! Behaviours 59, 60 and 62, and KIP-360 and KIP-890, one by one.

use super::*;
use ClientVersion::{V0, V2};

/// A first producer, one transaction, committed: the decision is ordered for exactly the partitions that were added.
#[test]
fn transaction_is_committed_to_its_partitions() {
    let mut rig = Rig::new();
    let me = rig.init().unwrap();
    assert_eq!(me.epoch, 0);
    rig.add(me, &[("a", 0), ("b", 3)], V0).unwrap();
    rig.add(me, &[("a", 1)], V0).unwrap();
    assert_eq!(rig.end(me, true, V0), Ok(me));
    assert_eq!(rig.state(), State::PrepareCommit);
    let order = &rig.effects.markers[0];
    assert_eq!((order.commit, order.producer), (true, me));
    assert_eq!(order.partitions, partitions(&[("a", 0), ("a", 1), ("b", 3)]));
    rig.write_markers(&[]);
    assert_eq!(rig.state(), State::CompleteCommit);
    assert_eq!(rig.effects.entries.len(), 1);
}

/// Behaviour 60: nothing may be added, ended or taken over while markers are written; the same end asked again is ok.
#[test]
fn everyone_waits_while_markers_are_written() {
    let mut rig = Rig::new();
    let me = rig.init().unwrap();
    rig.add(me, &[("a", 0)], V0).unwrap();
    rig.end(me, false, V0).unwrap();
    let orders = rig.effects.clone();
    assert_eq!(rig.add(me, &[("a", 0)], V0), Err(TxnError::Concurrent));
    assert_eq!(rig.end(me, false, V0), Err(TxnError::Concurrent));
    assert_eq!(rig.end(me, true, V0), Err(TxnError::InvalidState));
    assert_eq!(rig.init(), Err(TxnError::Concurrent));
    rig.effects = orders;
    rig.write_markers(&[]);
    assert_eq!(rig.end(me, false, V0), Ok(me));
    assert!(rig.effects.entries.is_empty());
    assert_eq!(rig.end(me, true, V0), Err(TxnError::InvalidState));
    assert_eq!(rig.add(me, &[("a", 0)], V0), Ok(()));
}

#[test]
fn empty_transaction_cannot_be_ended() {
    let mut rig = Rig::new();
    let me = rig.init().unwrap();
    assert_eq!(rig.end(me, true, V0), Err(TxnError::InvalidState));
    assert_eq!(rig.end(me, false, V0), Err(TxnError::InvalidState));
    assert_eq!(rig.end(me, true, V2), Err(TxnError::InvalidState));
}

/// A partition that is there already is not written to the log again.
#[test]
fn adding_again_writes_nothing() {
    let mut rig = Rig::new();
    let me = rig.init().unwrap();
    rig.add(me, &[("a", 0), ("a", 1)], V0).unwrap();
    rig.add(me, &[("a", 1)], V0).unwrap();
    assert!(rig.effects.entries.is_empty());
}

/// Behaviour 59: a new producer aborts the transaction of the old one, waits for that, and has the next epoch.
#[test]
fn new_producer_takes_over() {
    let mut rig = Rig::new();
    let old = rig.init().unwrap();
    rig.add(old, &[("a", 0)], V0).unwrap();
    assert_eq!(rig.init(), Err(TxnError::Concurrent));
    let order = &rig.effects.markers[0];
    assert!(!order.commit && order.producer.epoch > old.epoch);
    assert_eq!(rig.init(), Err(TxnError::Concurrent));
    // The second attempt orders nothing: the first one's markers are on their way.
    assert!(rig.effects.markers.is_empty());
    let done = MarkersDone {
        transactional_id: "t".into(),
        producer: producer(old.producer_id, old.epoch + 1),
        failed: NamedPartitions::new(),
    };
    rig.coordinator.on_markers_done(done, 0);
    let new = rig.init().unwrap();
    assert_eq!((new.producer_id, new.epoch), (old.producer_id, old.epoch + 2));
    assert_eq!(rig.add(old, &[("a", 0)], V0), Err(TxnError::Fenced));
    assert_eq!(rig.end(old, true, V0), Err(TxnError::Fenced));
    assert_eq!(rig.end(old, true, V2), Err(TxnError::Fenced));
    assert_eq!(rig.init_as(Some(old)), Err(TxnError::Fenced));
}

#[test]
fn strangers_are_refused() {
    let mut rig = Rig::new();
    let stranger = producer(1, 0);
    assert_eq!(
        rig.add(stranger, &[("a", 0)], V0),
        Err(TxnError::InvalidProducerIdMapping)
    );
    assert_eq!(rig.end(stranger, true, V0), Err(TxnError::InvalidProducerIdMapping));
    let me = rig.init().unwrap();
    assert_eq!(
        rig.add(stranger, &[("a", 0)], V0),
        Err(TxnError::InvalidProducerIdMapping)
    );
    assert_eq!(rig.end(stranger, true, V2), Err(TxnError::InvalidProducerIdMapping));
    assert_eq!(rig.init_as(Some(stranger)), Err(TxnError::Fenced));
    assert_eq!(rig.init_as(Some(producer(me.producer_id, 7))), Err(TxnError::Fenced));
}

#[test]
fn timeouts_are_bounded() {
    let mut rig = Rig::new();
    for timeout_ms in [0, -1, SETTINGS.timeout_ms_max + 1] {
        let init = TxnRequest::Init(Init {
            transactional_id: "t".into(),
            timeout_ms,
            claimed: None,
            fresh_id: Some(1),
        });
        assert_eq!(rig.ask(init), TxnReply::Producer(Err(TxnError::InvalidTimeout)));
    }
}

/// Behaviour 62: a transaction older than its timeout is aborted with a bumped epoch; its producer is fenced.
#[test]
fn old_transaction_is_aborted() {
    let mut rig = Rig::new();
    let me = rig.init().unwrap();
    rig.add(me, &[("a", 0)], V0).unwrap();
    assert_eq!(rig.coordinator.next_time(), Some(TIMEOUT_MS.into()));
    rig.pass(i64::from(TIMEOUT_MS) - 1);
    assert!(rig.effects.entries.is_empty());
    rig.pass(1);
    assert_eq!(rig.state(), State::PrepareAbort);
    let order = &rig.effects.markers[0];
    assert_eq!((order.commit, order.producer.epoch), (false, me.epoch + 1));
    assert_eq!(rig.coordinator.next_time(), None);
    rig.write_markers(&[]);
    assert_eq!(rig.end(me, true, V0), Err(TxnError::Fenced));
    assert_eq!(rig.add(me, &[("a", 0)], V0), Err(TxnError::Fenced));
    assert_eq!(rig.init().map(|new| new.epoch), Ok(me.epoch + 2));
}

/// Markers that fail are ordered again, later and later, for those partitions only.
#[test]
fn failed_markers_are_tried_again() {
    let mut rig = Rig::new();
    let me = rig.init().unwrap();
    rig.add(me, &[("a", 0), ("a", 1)], V0).unwrap();
    rig.end(me, true, V0).unwrap();
    rig.write_markers(&[("a", 1)]);
    let first = rig.coordinator.next_time().unwrap();
    rig.pass(first - rig.now_ms - 1);
    assert!(rig.effects.markers.is_empty());
    rig.pass(1);
    assert_eq!(rig.effects.markers[0].partitions, partitions(&[("a", 1)]));
    let from = rig.now_ms;
    rig.write_markers(&[("a", 1)]);
    assert!(rig.coordinator.next_time().unwrap() - from > first);
    rig.pass(10_000);
    rig.write_markers(&[]);
    assert_eq!(rig.state(), State::CompleteCommit);
}

/// An outcome that was overtaken counts for nothing: it is another transaction's.
#[test]
fn late_outcome_of_another_transaction_is_dropped() {
    let mut rig = Rig::new();
    let me = rig.init().unwrap();
    rig.add(me, &[("a", 0)], V2).unwrap();
    let next = rig.end(me, true, V2).unwrap();
    let mut late = rig.effects.clone();
    rig.write_markers(&[]);
    rig.add(next, &[("b", 0)], V2).unwrap();
    rig.end(next, true, V2).unwrap();
    std::mem::swap(&mut rig.effects, &mut late);
    rig.write_markers(&[]);
    assert_eq!(rig.state(), State::PrepareCommit);
}

/// An id that is not used for long is forgotten, and starts over with a new producer id.
#[test]
fn idle_id_expires() {
    let mut rig = Rig::new();
    let me = rig.init().unwrap();
    rig.pass(SETTINGS.expiration_ms - 1);
    assert!(rig.effects.entries.is_empty());
    rig.pass(1);
    assert_eq!(rig.effects.entries[0].value, None);
    assert_eq!(rig.coordinator.transaction("t"), None);
    assert_eq!(rig.add(me, &[("a", 0)], V0), Err(TxnError::InvalidProducerIdMapping));
    assert_ne!(rig.init().unwrap().producer_id, me.producer_id);
}

/// KIP-360: a producer that lost its way gets the next epoch, and the same one again if the answer got lost.
#[test]
fn producer_recovers_its_id() {
    let mut rig = Rig::new();
    let me = rig.init().unwrap();
    let next = rig.init_as(Some(me)).unwrap();
    assert_eq!(next, producer(me.producer_id, me.epoch + 1));
    assert_eq!(rig.init_as(Some(me)), Ok(next));
    let other = rig.init().unwrap();
    assert_eq!(rig.init_as(Some(next)), Err(TxnError::Fenced));
    assert_eq!(rig.init_as(Some(other)).map(|me| me.epoch), Ok(other.epoch + 1));
}

/// Whoever is fenced already must not abort the transaction of the producer that has the id now.
#[test]
fn fenced_producer_does_not_abort_the_owners_transaction() {
    let mut rig = Rig::new();
    let old = rig.init().unwrap();
    let new = rig.init().unwrap();
    rig.add(new, &[("a", 0)], V0).unwrap();
    assert_eq!(rig.init_as(Some(old)), Err(TxnError::Fenced));
    assert_eq!(rig.state(), State::Ongoing);
    assert_eq!(rig.init_as(Some(new)), Err(TxnError::Concurrent));
    rig.write_markers(&[]);
    assert_eq!(rig.init_as(Some(new)), Ok(producer(new.producer_id, new.epoch + 1)));
}

/// Behaviour 30: used-up epochs end in a new producer id; who lost the answer with it may ask again.
#[test]
fn exhausted_epochs_give_a_new_id() {
    let mut rig = Rig::new();
    let me = rig.init().unwrap();
    rig.set_epoch(i16::MAX - 1);
    let last = producer(me.producer_id, i16::MAX - 1);
    let renewed = rig.init_as(Some(last)).unwrap();
    assert_eq!((renewed.epoch, renewed.producer_id != me.producer_id), (0, true));
    assert_eq!(rig.init_as(Some(last)), Ok(renewed));
    assert_eq!(rig.add(last, &[("a", 0)], V0), Err(TxnError::InvalidProducerIdMapping));
}

/// Without a fresh id at hand nothing is decided.
#[test]
fn fresh_id_is_asked_for_when_needed() {
    let mut rig = Rig::new();
    let init = TxnRequest::Init(Init {
        transactional_id: "t".into(),
        timeout_ms: 1,
        claimed: None,
        fresh_id: None,
    });
    assert_eq!(
        rig.ask(init.clone()),
        TxnReply::Producer(Err(TxnError::NeedsProducerId))
    );
    let me = rig.init().unwrap();
    assert!(matches!(rig.ask(init), TxnReply::Producer(Ok(_))));
    rig.set_epoch(i16::MAX - 1);
    let last = producer(me.producer_id, i16::MAX - 1);
    rig.add(last, &[("a", 0)], V2).unwrap();
    let end = End {
        transactional_id: "t".into(),
        producer: last,
        commit: true,
        version: V2,
        fresh_id: None,
    };
    assert_eq!(
        rig.ask(TxnRequest::End(end)),
        TxnReply::Producer(Err(TxnError::NeedsProducerId))
    );
    assert_eq!(rig.state(), State::Ongoing);
}

/// Epochs that a takeover uses up: the fencing epoch is the last there is, and the new producer has a new id.
#[test]
fn takeover_at_the_last_epoch() {
    let mut rig = Rig::new();
    let me = rig.init().unwrap();
    rig.set_epoch(i16::MAX - 1);
    rig.add(producer(me.producer_id, i16::MAX - 1), &[("a", 0)], V0)
        .unwrap();
    assert_eq!(rig.init(), Err(TxnError::Concurrent));
    assert_eq!(rig.effects.markers[0].producer.epoch, i16::MAX);
    rig.write_markers(&[]);
    let new = rig.init().unwrap();
    assert_eq!((new.epoch, new.producer_id != me.producer_id), (0, true));
}

/// KIP-890: every end bumps the epoch, and a retry is told by the epoch that it still has.
#[test]
fn end_bumps_the_epoch() {
    let mut rig = Rig::new();
    let me = rig.init().unwrap();
    rig.add(me, &[("a", 0)], V2).unwrap();
    let next = rig.end(me, true, V2).unwrap();
    assert_eq!(next, producer(me.producer_id, me.epoch + 1));
    // The markers have the new epoch: a write of the ended transaction that is still on its way comes too late.
    assert_eq!(rig.effects.markers[0].producer, next);
    let orders = rig.effects.clone();
    assert_eq!(rig.end(me, true, V2), Err(TxnError::Concurrent));
    assert_eq!(rig.end(me, false, V2), Err(TxnError::InvalidState));
    assert_eq!(rig.end(next, true, V2), Err(TxnError::Fenced));
    rig.effects = orders;
    rig.write_markers(&[]);
    assert_eq!(rig.end(me, true, V2), Ok(next));
    assert_eq!(rig.end(me, false, V2), Err(TxnError::InvalidState));
    assert_eq!(rig.end(next, true, V2), Err(TxnError::InvalidState));
    assert_eq!(rig.state(), State::CompleteCommit);
}

/// KIP-890: an abort without a partition is complete at once, with the next epoch.
#[test]
fn abort_of_nothing_bumps_the_epoch() {
    let mut rig = Rig::new();
    let me = rig.init().unwrap();
    let next = rig.end(me, false, V2).unwrap();
    assert_eq!((next.epoch, rig.state()), (me.epoch + 1, State::CompleteAbort));
    assert!(rig.effects.markers.is_empty());
    assert_eq!(rig.end(me, false, V2), Ok(next));
    assert_eq!(rig.end(next, false, V2).map(|me| me.epoch), Ok(next.epoch + 1));
}

/// KIP-890: the end that uses up the epochs hands out the next id; the retry of that end finds it.
#[test]
fn end_at_the_last_epoch_gives_a_new_id() {
    let mut rig = Rig::new();
    let me = rig.init().unwrap();
    rig.set_epoch(i16::MAX - 1);
    let last = producer(me.producer_id, i16::MAX - 1);
    rig.add(last, &[("a", 0)], V2).unwrap();
    let next = rig.end(last, true, V2).unwrap();
    assert_eq!((next.epoch, next.producer_id != me.producer_id), (0, true));
    let order = &rig.effects.markers[0];
    assert_eq!(order.producer, producer(me.producer_id, i16::MAX));
    rig.write_markers(&[]);
    assert_eq!(rig.coordinator.transaction("t").unwrap().identity(), next);
    assert_eq!(rig.end(last, true, V2), Ok(next));
    assert_eq!(rig.add(next, &[("a", 0)], V2), Ok(()));
    assert_eq!(rig.end(last, true, V2), Err(TxnError::Fenced));
}

/// KIP-890: what a producer writes must be in its transaction, and the question changes nothing.
#[test]
fn partitions_are_verified() {
    let mut rig = Rig::new();
    let me = rig.init().unwrap();
    rig.add(me, &[("a", 0)], V0).unwrap();
    let ask = |producer| {
        TxnRequest::Verify(AddPartitions {
            transactional_id: "t".into(),
            producer,
            partitions: partitions(&[("a", 0), ("a", 1), ("b", 0)]),
            version: V0,
        })
    };
    let missing = partitions(&[("a", 1), ("b", 0)]);
    assert_eq!(rig.ask(ask(me)), TxnReply::Verified(Ok(missing)));
    let old = producer(me.producer_id, me.epoch - 1);
    assert_eq!(rig.ask(ask(old)), TxnReply::Verified(Err(TxnError::Fenced)));
    rig.end(me, true, V0).unwrap();
    assert_eq!(rig.ask(ask(me)), TxnReply::Verified(Err(TxnError::Concurrent)));
    assert!(rig.effects.entries.is_empty());
}
