//! A share partition under its rules: one by one, and in random histories.

mod histories;
mod kept;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::rt::{Instant, Now};

const LIMITS: Limits = Limits {
    deliveries_max: 3,
    lock: Duration::from_secs(30),
    in_flight_max: 100,
    renewals: true,
};

fn at(seconds: u64) -> Now {
    Now {
        instant: Instant(seconds * 1_000_000_000),
        wall_ms: seconds as i64 * 1_000,
    }
}

fn name(member: &str) -> Arc<str> {
    member.into()
}

/// Whole batches, read from their first offset.
fn wanted(batches: &[(i64, i64)], records_max: i64) -> Acquire {
    Acquire {
        from: batches[0].0,
        batches: batches.to_vec(),
        void: Vec::new(),
        records_max,
        is_exact: false,
        range_records: i64::MAX,
    }
}

fn range(first: i64, last: i64, count: i16) -> Acquired {
    Acquired { first, last, count }
}

fn ack(first: i64, last: i64, kind: AckKind) -> AckBatch {
    AckBatch {
        first,
        last,
        kinds: vec![kind],
    }
}

fn acknowledge(share: &mut SharePartition, member: &str, batch: AckBatch) -> Result<(), AckRefusal> {
    share.acknowledge(member, &[batch], &LIMITS, at(0))
}

/// Two members take turns; what one holds the other does not get, and acknowledged records move the start.
#[test]
fn members_share_a_partition() {
    let mut share = SharePartition::new(10);
    let (a, b) = (name("a"), name("b"));
    assert_eq!(share.next_offset(&LIMITS), Some(10));
    let batches = [(10, 14), (15, 19)];
    assert_eq!(
        share.acquire(&a, &wanted(&batches, 3), &LIMITS, at(0)),
        [range(10, 14, 1)]
    );
    assert_eq!(share.next_offset(&LIMITS), Some(15));
    assert_eq!(
        share.acquire(&b, &wanted(&batches, 50), &LIMITS, at(0)),
        [range(15, 19, 1)]
    );
    assert_eq!(share.acquire(&a, &wanted(&batches, 50), &LIMITS, at(0)), []);
    acknowledge(&mut share, "b", ack(15, 19, AckKind::Accept)).unwrap();
    assert_eq!(share.start(), 10, "the first ones are still in flight");
    acknowledge(&mut share, "a", ack(10, 14, AckKind::Accept)).unwrap();
    assert_eq!((share.start(), share.next_offset(&LIMITS)), (20, Some(20)));
}

/// A record belongs to one member, and only that one may speak of it, once.
#[test]
fn only_the_holder_acknowledges() {
    let mut share = SharePartition::new(0);
    share.acquire(&name("a"), &wanted(&[(0, 9)], 10), &LIMITS, at(0));
    let refused = Err(AckRefusal::NotHeld);
    assert_eq!(acknowledge(&mut share, "b", ack(0, 9, AckKind::Accept)), refused);
    acknowledge(&mut share, "a", ack(3, 5, AckKind::Accept)).unwrap();
    assert_eq!(acknowledge(&mut share, "a", ack(3, 5, AckKind::Accept)), refused);
    assert_eq!(acknowledge(&mut share, "a", ack(0, 9, AckKind::Accept)), refused);
    acknowledge(&mut share, "a", ack(0, 2, AckKind::Accept)).unwrap();
    assert_eq!(share.start(), 6, "none of the refused ones was taken in part");
    assert_eq!(
        acknowledge(&mut share, "a", ack(6, 10, AckKind::Accept)),
        Err(AckRefusal::Malformed),
        "beyond what was offered"
    );
    acknowledge(&mut share, "a", ack(0, 5, AckKind::Accept)).unwrap();
}

/// Released records come back with a higher count until the limit; rejected ones do not come back.
#[test]
fn released_records_come_back_until_the_limit() {
    let mut share = SharePartition::new(0);
    let a = name("a");
    for count in 1..=3 {
        let acquired = share.acquire(&a, &wanted(&[(0, 1)], 10), &LIMITS, at(0));
        assert_eq!(acquired, [range(0, 1, count)]);
        acknowledge(&mut share, "a", ack(0, 1, AckKind::Release)).unwrap();
    }
    assert_eq!((share.start(), share.next_offset(&LIMITS)), (2, Some(2)));
    share.acquire(&a, &wanted(&[(2, 3)], 10), &LIMITS, at(0));
    acknowledge(&mut share, "a", ack(2, 3, AckKind::Reject)).unwrap();
    assert_eq!(share.start(), 4);
}

/// One answer for each offset: what is accepted, released, rejected or no record at all.
#[test]
fn each_offset_has_its_own_answer() {
    let mut share = SharePartition::new(0);
    let a = name("a");
    share.acquire(&a, &wanted(&[(0, 4)], 10), &LIMITS, at(0));
    let kinds = vec![
        AckKind::Accept,
        AckKind::Release,
        AckKind::Gap,
        AckKind::Release,
        AckKind::Reject,
    ];
    share
        .acknowledge(
            "a",
            &[AckBatch {
                first: 0,
                last: 4,
                kinds,
            }],
            &LIMITS,
            at(0),
        )
        .unwrap();
    let acquired = share.acquire(&a, &wanted(&[(0, 4)], 10), &LIMITS, at(0));
    assert_eq!(acquired, [range(1, 1, 2), range(3, 3, 2)]);
}

/// A lock that is over gives its records to others; one that was renewed is over later.
#[test]
fn locks_end_unless_renewed() {
    let mut share = SharePartition::new(0);
    let (a, b) = (name("a"), name("b"));
    share.acquire(&a, &wanted(&[(0, 9)], 10), &LIMITS, at(0));
    share
        .acknowledge("a", &[ack(0, 4, AckKind::Renew)], &LIMITS, at(20))
        .unwrap();
    assert_eq!(share.next_time(), Some(at(30).instant));
    assert!(!share.on_time(&LIMITS, at(29).instant));
    assert!(share.on_time(&LIMITS, at(30).instant));
    let acquired = share.acquire(&b, &wanted(&[(0, 9)], 10), &LIMITS, at(30));
    assert_eq!(acquired, [range(5, 9, 2)]);
    assert_eq!(share.next_time(), Some(at(50).instant));
    let without = Limits {
        renewals: false,
        ..LIMITS
    };
    let renewed = share.acknowledge("a", &[ack(0, 4, AckKind::Renew)], &without, at(40));
    assert_eq!(renewed, Err(AckRefusal::NoRenewals));
}

/// No more than the limit is in flight, exactly; released records can still be had.
#[test]
fn in_flight_records_are_bounded() {
    let mut share = SharePartition::new(0);
    let limits = Limits {
        in_flight_max: 8,
        ..LIMITS
    };
    let a = name("a");
    assert_eq!(
        share.acquire(&a, &wanted(&[(0, 99)], 500), &limits, at(0)),
        [range(0, 7, 1)]
    );
    assert_eq!(share.next_offset(&limits), None);
    share
        .acknowledge("a", &[ack(4, 5, AckKind::Release)], &limits, at(0))
        .unwrap();
    assert_eq!(share.next_offset(&limits), Some(4));
    share
        .acknowledge("a", &[ack(0, 3, AckKind::Accept)], &limits, at(0))
        .unwrap();
    let acquired = share.acquire(&a, &wanted(&[(0, 99)], 500), &limits, at(0));
    assert_eq!(acquired, [range(4, 5, 2), range(8, 11, 1)]);
}

/// Whole batches unless the number is exact; ranges as long as the member likes them.
#[test]
fn acquired_ranges_are_as_asked() {
    let batches = [(0, 4), (5, 9), (10, 14)];
    let a = name("a");
    let acquire = |change: fn(&mut Acquire)| {
        let mut ask = wanted(&batches, 6);
        change(&mut ask);
        SharePartition::new(0).acquire(&a, &ask, &LIMITS, at(0))
    };
    assert_eq!(acquire(|_| {}), [range(0, 9, 1)]);
    assert_eq!(acquire(|ask| ask.is_exact = true), [range(0, 5, 1)]);
    assert_eq!(acquire(|ask| ask.range_records = 5), [range(0, 4, 1), range(5, 9, 1)]);
}

/// Offsets without records, or none for members, are passed over and hold nothing up.
#[test]
fn voids_are_passed_over() {
    let mut share = SharePartition::new(0);
    let a = name("a");
    let ask = Acquire {
        from: 0,
        void: vec![(8, 9)],
        ..wanted(&[(3, 5), (8, 9), (10, 10)], 100)
    };
    let acquired = share.acquire(&a, &ask, &LIMITS, at(0));
    assert_eq!(acquired, [range(3, 5, 1), range(10, 10, 1)]);
    assert_eq!(share.start(), 3);
    acknowledge(&mut share, "a", ack(3, 5, AckKind::Accept)).unwrap();
    assert_eq!(share.start(), 10);
}

/// What the log has dropped is dropped here; late words about it change nothing.
#[test]
fn the_log_start_moves_the_window() {
    let mut share = SharePartition::new(0);
    share.acquire(&name("a"), &wanted(&[(0, 9)], 10), &LIMITS, at(0));
    assert!(share.on_log_start(5));
    assert!(!share.on_log_start(5));
    acknowledge(&mut share, "a", ack(0, 4, AckKind::Accept)).unwrap();
    acknowledge(&mut share, "a", ack(0, 9, AckKind::Accept)).unwrap();
    assert_eq!(share.start(), 10);
}

/// A member that is gone leaves what it held to others, and nothing else.
#[test]
fn a_member_that_is_gone_releases() {
    let mut share = SharePartition::new(0);
    let (a, b) = (name("a"), name("b"));
    share.acquire(&a, &wanted(&[(0, 4)], 5), &LIMITS, at(0));
    share.acquire(&b, &wanted(&[(5, 9)], 5), &LIMITS, at(0));
    assert!(share.release("a", &LIMITS));
    assert!(!share.release("a", &LIMITS));
    assert_eq!(
        share.acquire(&b, &wanted(&[(0, 9)], 50), &LIMITS, at(0)),
        [range(0, 4, 2)]
    );
}
