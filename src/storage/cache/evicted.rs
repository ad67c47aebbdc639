//! What had to leave the cache, remembered without its bytes: a reader who comes for it tells by how much the cache is too
//! small. What a log lost under an earlier number (before it was cut, or compacted) is not found any more.

use std::collections::{BTreeMap, VecDeque};

use super::Key;

/// What one log lost while so much of the reach left the cache counts as one stretch: how exactly ages are known.
const GRAINS: u64 = 16;
/// Stretches that are remembered: logs by the ten thousand may each lose something all the time.
const STRETCHES_MAX: usize = 1 << 16;

/// Stretches of logs that left not longer ago than `reach` evicted bytes.
pub(super) struct Evicted {
    reach: u64,
    /// Bytes that have left so far, of all logs.
    total: u64,
    /// By the log and the first offset.
    stretches: BTreeMap<Key, Stretch>,
    /// Their keys in order of age; those of stretches that were taken as well.
    order: VecDeque<Key>,
}

struct Stretch {
    next_offset: i64,
    /// Those that no reader has come for yet.
    bytes: u64,
    /// The total when it began to leave.
    began: u64,
}

/// What a reader came for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    pub bytes: u64,
    /// Bytes that have left since, its own included: a cache larger by these would hold all of it.
    pub lacking: u64,
}

impl Evicted {
    pub fn new(reach: u64) -> Evicted {
        Evicted {
            reach,
            total: 0,
            stretches: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The run that begins at `key` and ends before `next_offset` has left.
    pub fn add(&mut self, key: Key, next_offset: i64, bytes: u64) {
        let began = self.total;
        self.total += bytes;
        let grain = self.reach / GRAINS;
        let last = self.stretches.range_mut((key.0, i64::MIN)..=key).next_back();
        match last {
            Some((_, last)) if last.next_offset == key.1 && self.total - last.began <= grain => {
                last.next_offset = next_offset;
                last.bytes += bytes;
            }
            _ => {
                let stretch = Stretch {
                    next_offset,
                    bytes,
                    began,
                };
                self.stretches.insert(key, stretch);
                self.order.push_back(key);
            }
        }
        self.forget_old();
    }

    /// What a read of up to `span` bytes from this offset on finds here. Each byte is counted once.
    pub fn take(&mut self, log: u64, offset: i64, span: u64) -> Option<Missed> {
        let mut missed: Option<Missed> = None;
        let (mut offset, mut left) = (offset, span);
        while left > 0 {
            let holds = self.stretches.range_mut((log, i64::MIN)..=(log, offset)).next_back();
            let Some((key, stretch)) = holds.filter(|(_, stretch)| offset < stretch.next_offset) else {
                break;
            };
            let bytes = stretch.bytes.min(left);
            stretch.bytes -= bytes;
            left -= bytes;
            offset = stretch.next_offset;
            let so_far = missed.unwrap_or(Missed { bytes: 0, lacking: 0 });
            missed = Some(Missed {
                bytes: so_far.bytes + bytes,
                lacking: so_far.lacking.max(self.total - stretch.began),
            });
            if stretch.bytes == 0 {
                let key = *key;
                self.stretches.remove(&key);
            }
        }
        missed
    }

    fn forget_old(&mut self) {
        while let Some(oldest) = self.order.front() {
            let is_near = |stretch: &Stretch| self.total - stretch.began <= self.reach;
            if self.order.len() <= STRETCHES_MAX && self.stretches.get(oldest).is_some_and(is_near) {
                return;
            }
            self.stretches.remove(oldest);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten logs in turn, ten bytes each.
    fn evict(evicted: &mut Evicted, rounds: std::ops::Range<i64>) {
        for offset in rounds {
            for log in 0..10 {
                evicted.add((log, offset), offset + 1, 10);
            }
        }
    }

    /// What left is known by any offset in it, with its age, as far as a read goes, and each byte once.
    #[test]
    fn what_a_read_would_have_found_is_taken_once() {
        let mut evicted = Evicted::new(16_000);
        evict(&mut evicted, 0..20);
        // A grain is 1,000 bytes: ten rounds, of which the first ends before log 3's turn comes again.
        let lacking = 2000 - 30;
        assert_eq!(evicted.take(3, 4, 70), Some(Missed { bytes: 70, lacking }));
        assert_eq!(
            evicted.take(3, 4, 70),
            Some(Missed { bytes: 70, lacking }),
            "over the end of a stretch"
        );
        assert_eq!(evicted.take(3, 0, 70), None);
        assert_eq!(evicted.take(3, 20, 70), None, "it never left");
        assert_eq!(evicted.take(11, 4, 70), None);
        let rest = evicted.take(3, 19, 1000).unwrap();
        assert_eq!(rest.bytes, 60);
        assert!(rest.lacking < 1100);
    }

    /// What is out of reach is forgotten, also where some of it was taken before, and however many logs there are.
    #[test]
    fn what_is_out_of_reach_is_forgotten() {
        let mut evicted = Evicted::new(1600);
        evict(&mut evicted, 0..8);
        assert!(evicted.take(5, 0, 1).is_some());
        evict(&mut evicted, 8..1000);
        assert_eq!(evicted.take(4, 980, 1), None);
        assert!(evicted.take(4, 998, 1).is_some());
        assert!(evicted.stretches.len() <= 160 && evicted.order.len() <= 161);

        let mut evicted = Evicted::new(u64::MAX);
        for log in 0..2 * STRETCHES_MAX as u64 {
            evicted.add((log, 0), 1, 1);
        }
        assert_eq!(evicted.stretches.len(), STRETCHES_MAX);
    }
}
