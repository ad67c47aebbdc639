//! When the next batch is due in an open loop. The intended times depend on nothing that the broker does: a late broker
//! does not slow the load down, it only makes the latencies long.

use super::clock::NS_PER_S;
use super::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Arrival {
    /// Independent clients: exponential gaps.
    Poisson,
    /// One gap, always the same.
    Constant,
}

/// An endless row of intended times.
#[derive(Debug)]
pub struct Schedule {
    arrival: Arrival,
    gap_ns: f64,
    /// Exact to a fraction of a nanosecond, so that the rate does not drift.
    next_ns: f64,
    random: Random,
}

impl Schedule {
    pub fn new(arrival: Arrival, per_second: f64, begin_ns: u64, seed: u64) -> Schedule {
        let mut schedule = Schedule {
            arrival,
            gap_ns: NS_PER_S as f64 / per_second,
            next_ns: begin_ns as f64,
            random: Random::new(seed),
        };
        schedule.advance();
        schedule
    }

    pub fn arrival(&self) -> Arrival {
        self.arrival
    }

    /// The next intended time, not taken yet.
    pub fn next_ns(&self) -> u64 {
        self.next_ns as u64
    }

    /// Takes the next intended time if it has come.
    pub fn take_due(&mut self, now_ns: u64) -> Option<u64> {
        let due = self.next_ns();
        (due <= now_ns).then(|| {
            self.advance();
            due
        })
    }

    fn advance(&mut self) {
        self.next_ns += match self.arrival {
            Arrival::Constant => self.gap_ns,
            Arrival::Poisson => -self.random.unit().ln() * self.gap_ns,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(arrival: Arrival, per_second: f64, until_ns: u64) -> Vec<u64> {
        let mut schedule = Schedule::new(arrival, per_second, 0, 7);
        std::iter::from_fn(|| schedule.take_due(until_ns)).collect()
    }

    #[test]
    fn both_arrivals_keep_their_rate() {
        for arrival in [Arrival::Constant, Arrival::Poisson] {
            let count = times(arrival, 50_000.0, NS_PER_S).len();
            assert!((49_000..51_000).contains(&count), "{arrival:?}: {count}");
        }
    }

    #[test]
    fn poisson_gaps_have_the_spread_of_the_exponential() {
        let times = times(Arrival::Poisson, 10_000.0, NS_PER_S);
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        let coefficient = variance.sqrt() / mean;
        assert!((0.9..1.1).contains(&coefficient), "{coefficient}");
    }

    #[test]
    fn what_is_late_keeps_its_intended_time() {
        let mut schedule = Schedule::new(Arrival::Constant, 1_000.0, 0, 1);
        assert_eq!(schedule.take_due(999_999), None);
        let due: Vec<_> = std::iter::from_fn(|| schedule.take_due(3_500_000)).collect();
        assert_eq!(due, [1_000_000, 2_000_000, 3_000_000]);
    }
}
