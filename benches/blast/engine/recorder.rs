//! Latencies of one thread: one histogram per second, so that a merged whole and a time line come from the same counts.
//! Percentiles are never averaged: histograms are added.

use hdrhistogram::Histogram;

use super::clock::NS_PER_S;

const LATENCY_US_MAX: u64 = 60_000_000;
const DIGITS: u8 = 3;

pub fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS).expect("the bounds are valid")
}

/// In microseconds, from 1 µs to 60 s; what is longer counts as 60 s.
#[derive(Clone)]
pub struct Recorder {
    from_ns: u64,
    seconds: Vec<Histogram<u64>>,
}

impl Recorder {
    pub fn new(from_ns: u64) -> Recorder {
        Recorder {
            from_ns,
            seconds: Vec::new(),
        }
    }

    /// `begin_ns` decides the second: what was due in a second belongs to it, however late its answer came.
    pub fn record(&mut self, begin_ns: u64, end_ns: u64) {
        let second = (begin_ns.saturating_sub(self.from_ns) / NS_PER_S) as usize;
        while self.seconds.len() <= second {
            self.seconds.push(new_histogram());
        }
        let latency_us = end_ns.saturating_sub(begin_ns).div_ceil(1_000).max(1);
        self.seconds[second].saturating_record(latency_us);
    }

    pub fn merge(&mut self, other: &Recorder) {
        while self.seconds.len() < other.seconds.len() {
            self.seconds.push(new_histogram());
        }
        for (mine, theirs) in self.seconds.iter_mut().zip(&other.seconds) {
            mine.add(theirs).expect("all histograms have the same bounds");
        }
    }

    pub fn seconds(&self) -> &[Histogram<u64>] {
        &self.seconds
    }

    pub fn total(&self) -> Histogram<u64> {
        let mut total = new_histogram();
        for second in &self.seconds {
            total.add(second).expect("all histograms have the same bounds");
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_keeps_the_tail_of_a_single_thread() {
        let (mut quiet, mut slow) = (Recorder::new(0), Recorder::new(0));
        for at in 0..990 {
            quiet.record(at, at + 100_000);
        }
        for at in 0..10 {
            slow.record(at, at + 50_000_000);
        }
        quiet.merge(&slow);
        let total = quiet.total();
        assert_eq!(total.len(), 1_000);
        assert_eq!(total.value_at_quantile(0.99), 100);
        assert!(total.value_at_quantile(0.995) > 49_000);
    }

    #[test]
    fn a_late_answer_belongs_to_the_second_in_which_it_was_due() {
        let mut recorder = Recorder::new(0);
        recorder.record(NS_PER_S / 2, 5 * NS_PER_S);
        assert_eq!(recorder.seconds().len(), 1);
    }
}
