//! The stages of a request: where its time goes.
//!
//! Kafka's TotalTimeMs holds the wait of a long poll, so that a consumer with nothing to read looks slow. Here the wait is a
//! stage of its own, and what is called a request's time is without it.

use std::time::Duration;

macro_rules! stages {
    ($($variant:ident, $name:literal, $help:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Stage { $(#[doc = $help] $variant,)* }
        /// (stage, its label, what it is), in the order of [`Stage`].
        pub static STAGES: &[(Stage, &str, &str)] = &[$((Stage::$variant, $name, $help),)*];
    };
}

stages! {
    Queue, "queue", "From the question to the shard until its pump takes it up.";
    Remote, "remote", "To another shard that owns the partition, and back.";
    Local, "local", "At the owner: the log, its write or read included.";
    Wait, "wait", "A long poll's wait for data: the client's wish, and no part of the request's time.";
    Api, "api", "Decoding, checks, encoding, and the wait for the connection's turn.";
    Send, "send", "Writing the answers to the socket, until the kernel has taken them.";
    DiskWrite, "disk_write", "One direct write of a log.";
    DiskRead, "disk_read", "The direct reads of one part of a fetch.";
}

/// Where one request's time went, in nanoseconds. Of parts on several shards, the slowest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub queue: u64,
    pub remote: u64,
    pub local: u64,
    pub wait: u64,
}

impl Spent {
    pub fn add(&mut self, more: Spent) {
        self.queue += more.queue;
        self.remote += more.remote;
        self.local += more.local;
        self.wait += more.wait;
    }

    /// What another part of the same question took: the slower of the two counts.
    pub fn take_slower(&mut self, remote: Duration, local: Duration) {
        let (remote, local) = (remote.as_nanos() as u64, local.as_nanos() as u64);
        if remote + local > self.remote + self.local {
            (self.remote, self.local) = (remote, local);
        }
    }

    /// The rest of a request that took `total` in all.
    pub fn api(&self, total: u64) -> u64 {
        total.saturating_sub(self.queue + self.remote + self.local + self.wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_stand_in_the_order_of_their_variants() {
        assert!(STAGES.iter().enumerate().all(|(at, row)| row.0 as usize == at));
    }

    /// A request that asks twice adds up; parts of one question run beside each other.
    #[test]
    fn questions_add_up_and_parts_do_not() {
        let mut one = Spent {
            queue: 5,
            ..Spent::default()
        };
        one.take_slower(Duration::from_nanos(10), Duration::from_nanos(20));
        one.take_slower(Duration::from_nanos(0), Duration::from_nanos(25));
        assert_eq!((one.remote, one.local), (10, 20));
        one.add(one);
        assert_eq!(one.api(100), 30);
        assert_eq!(one.api(10), 0);
    }
}
