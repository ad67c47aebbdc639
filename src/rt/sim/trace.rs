//! What the disk was asked, in order.

use std::collections::VecDeque;

/// The most events that are kept; the digest covers all.
const EVENTS_MAX: usize = 200;

/// One operation: when, what, on which node, with which numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    pub at_nanos: u64,
    pub what: &'static str,
    pub node: u64,
    pub from: u64,
    pub len: u64,
}

#[derive(Default)]
pub struct Trace {
    digest: u64,
    last: VecDeque<Event>,
}

impl Trace {
    pub fn note(&mut self, event: Event) {
        for byte in event.what.bytes() {
            self.mix(u64::from(byte));
        }
        for number in [event.at_nanos, event.node, event.from, event.len] {
            self.mix(number);
        }
        if self.last.len() == EVENTS_MAX {
            self.last.pop_front();
        }
        self.last.push_back(event);
    }

    pub fn read(&self) -> (u64, Vec<Event>) {
        (self.digest, self.last.iter().copied().collect())
    }

    fn mix(&mut self, number: u64) {
        self.digest = (self.digest ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }
}
