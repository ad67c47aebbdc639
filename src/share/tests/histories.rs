//! Random histories of members that read, answer, renew, vanish and run out of time, against a model that knows each
//! offset by itself.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const END: i64 = 60;

#[derive(Clone, Debug)]
enum Step {
    Acquire(usize, i64, bool),
    Answer(usize, i64, i64, AckKind),
    Vanish(usize),
    Wait(u64),
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        4 => Just(AckKind::Accept),
        2 => Just(AckKind::Release),
        1 => Just(AckKind::Reject),
        1 => Just(AckKind::Renew),
        1 => Just(AckKind::Gap),
    ];
    prop_oneof![
        5 => (0..3_usize, 1..20_i64, any::<bool>()).prop_map(|(member, max, exact)| Step::Acquire(member, max, exact)),
        6 => (0..3_usize, 0..END, 0..8_i64, kind).prop_map(|(m, first, len, kind)| Step::Answer(m, first, first + len, kind)),
        1 => (0..3_usize).prop_map(Step::Vanish),
        1 => (1..40_u64).prop_map(Step::Wait),
        1 => Just(Step::Reload),
    ]
}

#[derive(Default)]
struct Model {
    /// Offsets that must never be offered again.
    settled: BTreeMap<i64, ()>,
    /// Who holds an offset.
    held: BTreeMap<i64, usize>,
    /// The highest number of deliveries that a member was told of.
    offered: BTreeMap<i64, i16>,
}

impl Model {
    fn acquire(&mut self, member: usize, acquired: &[Acquired], limits: &Limits) {
        for range in acquired {
            for offset in range.first..=range.last {
                assert!(
                    !self.settled.contains_key(&offset),
                    "{offset} was settled and is offered again"
                );
                assert!(self.held.insert(offset, member).is_none(), "{offset} is held by two");
                assert!(
                    (1..=limits.deliveries_max).contains(&range.count),
                    "{offset}: {}",
                    range.count
                );
                self.offered.insert(offset, range.count);
            }
        }
    }

    /// Whether the member holds all of the range that is not settled below the start.
    fn holds(&self, member: usize, first: i64, last: i64, share: &SharePartition) -> bool {
        let mut offsets = first.max(share.start())..=last;
        offsets.all(|offset| self.held.get(&offset) == Some(&member))
    }

    fn answer(&mut self, first: i64, last: i64, kind: AckKind, limits: &Limits) {
        for offset in first..=last {
            if kind == AckKind::Renew || self.held.remove(&offset).is_none() {
                continue;
            }
            match kind {
                AckKind::Release => self.give_back(offset, limits),
                _ => drop(self.settled.insert(offset, ())),
            }
        }
    }

    fn give_back(&mut self, offset: i64, limits: &Limits) {
        if self.offered[&offset] >= limits.deliveries_max {
            self.settled.insert(offset, ());
        }
    }

    fn release(&mut self, is_over: impl Fn(i64, usize) -> bool, limits: &Limits) {
        let over: Vec<i64> = self
            .held
            .iter()
            .filter(|(at, by)| is_over(**at, **by))
            .map(|(at, _)| *at)
            .collect();
        for offset in over {
            self.held.remove(&offset);
            self.give_back(offset, limits);
        }
    }
}

/// Batches of four records, as the log would be read from `offset`.
fn read_from(offset: i64) -> Vec<(i64, i64)> {
    let first = offset - offset % 4;
    (first..END).step_by(4).map(|first| (first, first + 3)).collect()
}

fn run(steps: Vec<Step>) {
    let limits = Limits {
        in_flight_max: 24,
        ..LIMITS
    };
    let members: Vec<Arc<str>> = ["a", "b", "c"].map(name).into();
    let mut share = SharePartition::new(0);
    let mut model = Model::default();
    let mut seconds = 0;
    for step in steps {
        match step {
            Step::Acquire(member, records_max, is_exact) => {
                let Some(from) = share.next_offset(&limits).filter(|from| *from < END) else {
                    continue;
                };
                let ask = Acquire {
                    from,
                    is_exact,
                    ..wanted(&read_from(from), records_max)
                };
                let acquired = share.acquire(&members[member], &ask, &limits, at(seconds));
                assert!(!acquired.is_empty(), "what is said to be next can be had");
                model.acquire(member, &acquired, &limits);
            }
            Step::Answer(member, first, last, kind) => {
                let holds = model.holds(member, first, last, &share);
                let batch = ack(first, last, kind);
                let answered = share.acknowledge(&members[member], &[batch], &limits, at(seconds));
                assert_eq!(answered.is_ok(), holds, "{answered:?}");
                if holds {
                    model.answer(first, last, kind, &limits);
                }
            }
            Step::Vanish(member) => {
                share.release(&members[member], &limits);
                model.release(|_, by| by == member, &limits);
            }
            Step::Wait(by) => {
                seconds += by;
                // The model does not know of locks: it is told what is no longer held.
                share.on_time(&limits, at(seconds).instant);
                let still = |offset: i64, by: usize| {
                    let renewal = [ack(offset, offset, AckKind::Renew)];
                    let renewed = share.clone().acknowledge(&members[by], &renewal, &limits, at(seconds));
                    offset >= share.start() && renewed.is_ok()
                };
                model.release(|offset, by| !still(offset, by), &limits);
            }
            Step::Reload => {
                share = SharePartition::restore(&share.save());
                // Deliveries that were under way did not count.
                for (offset, _) in std::mem::take(&mut model.held) {
                    *model.offered.get_mut(&offset).expect("it was offered") -= 1;
                }
            }
        }
        let in_flight = model.held.len() as i64;
        assert!(in_flight <= limits.in_flight_max, "{in_flight} in flight");
    }
    drain(share, model, &limits, &members[0], seconds);
}

/// Every offset that is not settled comes in the end: none is lost.
fn drain(mut share: SharePartition, mut model: Model, limits: &Limits, member: &Arc<str>, seconds: u64) {
    let late = at(seconds + 1_000);
    share.on_time(limits, late.instant);
    model.release(|_, _| true, limits);
    while let Some(from) = share.next_offset(limits).filter(|from| *from < END) {
        let ask = Acquire {
            from,
            ..wanted(&read_from(from), 100)
        };
        let acquired = share.acquire(member, &ask, limits, late);
        model.acquire(0, &acquired, limits);
        for range in acquired {
            let batch = ack(range.first, range.last, AckKind::Accept);
            share.acknowledge(member, &[batch], limits, late).expect("it is held");
            model.answer(range.first, range.last, AckKind::Accept, limits);
        }
    }
    assert_eq!(share.start(), END);
    assert_eq!(model.settled.len() as i64, END, "every offset was settled, each once");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn no_record_is_settled_twice_or_lost(steps in prop::collection::vec(step(), 1..120)) {
        run(steps);
    }
}
