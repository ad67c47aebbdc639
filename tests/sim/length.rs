//! What a seed and a length make of a run: how many brokers, how they are made, how long all lasts.
//!
//! A long run begins calmly, goes at a pace like that of a real cluster, and often enough is left alone at its end, so that
//! whoever is away comes back by itself. A short one is a few seconds in which everything goes four times as quickly and
//! clients ask less: for each minute of CPU time it finds as much, from many more beginnings.

use std::time::Duration;

use super::node::Shape;
use crate::metadata::engine::Keeping;
use crate::rt::sim::{Pace, Rng, Rule};

/// How often each value comes, beside the others.
type Odds<'a> = &'a [(u64, i64)];

/// The more, the longer a run takes, and the less often something meets.
const SHARDS: [(u64, i64); 4] = [(24, 1), (5, 2), (2, 3), (1, 4)];

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    Long,
    Short,
}

pub struct Run {
    pub brokers: i32,
    /// The consensus of the controllers is the real one.
    pub is_real: bool,
    pub shape: Shape,
    pub pace: Pace,
    pub partitions: i32,
    pub flush_messages: i64,
    pub min_isr: usize,
    /// Before anything breaks.
    pub calm: Duration,
    pub lasts: Duration,
    /// Nothing breaks any more, and what is broken is not mended yet.
    pub rests: Duration,
    /// The seed of what happens.
    pub world: u64,
}

impl Run {
    pub fn draw(seed: u64, length: Length, rule: Option<Rule>) -> Run {
        let mut rng = Rng::new(seed);
        let is_short = length == Length::Short;
        let mut pick = |long: Odds, short: Odds| one_of(&mut rng, if is_short { short } else { long });
        let brokers = pick(&[(2, 3), (1, 4), (1, 5)], &[(12, 3), (3, 4), (1, 5)]) as i32;
        let shards = pick(&SHARDS, &SHARDS) as usize;
        let log_dirs = pick(&[(1, 1), (1, 2)], &[(3, 1), (1, 2)]) as usize;
        let flush_messages = pick(&[(1, 1), (1, i64::MAX)], &[(1, 1), (3, i64::MAX)]);
        let min_isr = pick(&[(3, 2), (1, 1)], &[(3, 2), (1, 1)]) as usize;
        let partitions = pick(&[(1, 2)], &[(1, 1), (1, 2)]) as i32;
        let is_real = match (rule, length) {
            (Some(rule), _) => rule.is_of_consensus(),
            (None, Length::Long) => !seed.is_multiple_of(2),
            (None, Length::Short) => seed.is_multiple_of(4),
        };
        let voters = match is_real && brokers > 3 && rng.below(3) > 0 {
            true => 3,
            false => brokers as usize,
        };
        let (calm_ms, lasts_ms, rests_ms) = match length {
            Length::Long => (1_000, 15_000 + rng.below(25_000), [0, 16_000][rng.below(2) as usize]),
            Length::Short => (250, 1_500 + rng.below(2_500), 0),
        };
        Run {
            brokers,
            is_real,
            shape: Shape {
                shards,
                voters,
                log_dirs,
                keeping: keeping(&mut rng),
            },
            pace: match length {
                Length::Long => Pace::AS_WRITTEN,
                Length::Short => Pace { quicker: 4, rarer: 2 },
            },
            partitions,
            flush_messages,
            min_isr,
            calm: Duration::from_millis(calm_ms),
            lasts: Duration::from_millis(lasts_ms),
            rests: Duration::from_millis(rests_ms),
            world: rng.draw(),
        }
    }
}

fn one_of(rng: &mut Rng, odds: Odds) -> i64 {
    let mut at = rng.below(odds.iter().map(|(times, _)| times).sum());
    for (times, value) in odds {
        match at.checked_sub(*times) {
            None => return *value,
            Some(rest) => at = rest,
        }
    }
    panic!("no odds")
}

/// Half of the quorums keep next to nothing of their logs.
fn keeping(rng: &mut Rng) -> Keeping {
    match rng.below(2) {
        0 => Keeping::default(),
        _ => Keeping {
            per_snapshot: 10 + rng.below(40),
            kept: rng.below(10),
            at_hand: 1 + rng.below(10) as usize,
        },
    }
}
