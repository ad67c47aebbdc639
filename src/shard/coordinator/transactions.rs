//! The transaction coordinator on a shard: its deadlines, which are times of the day, by the shard's own clock.

use bytes::Bytes;

use crate::config::TransactionConfig;
use crate::model::{Effects, Ticket};
use crate::rt::{Instant, Now};
use crate::txn::{MarkersDone, Settings, TxnCoordinator, TxnReply, TxnRequest};

const NS_PER_MS: u64 = 1_000_000;

pub(in crate::shard) struct Transactions {
    coordinator: TxnCoordinator,
    /// Both clocks when the coordinator was last asked: a clock that is set meanwhile makes a deadline early or late
    /// once.
    seen: Now,
}

impl Transactions {
    pub(super) fn new(config: &TransactionConfig) -> Transactions {
        let settings = Settings {
            timeout_ms_max: config.timeout_ms_max,
            expiration_ms: config.id_expiration_ms,
        };
        Transactions {
            coordinator: TxnCoordinator::new(settings),
            seen: Now {
                instant: Instant(0),
                wall_ms: 0,
            },
        }
    }

    pub(super) fn replay(&mut self, key: &Bytes, value: Option<&Bytes>) {
        self.coordinator.replay(key, value);
    }

    pub(super) fn on_loaded(&mut self, now: Now) -> Effects<TxnReply> {
        self.seen = now;
        self.coordinator.on_loaded()
    }

    pub(super) fn handle(&mut self, ticket: Ticket, request: TxnRequest, now: Now) -> Effects<TxnReply> {
        self.seen = now;
        self.coordinator.handle(ticket, request, now.wall_ms)
    }

    pub(super) fn on_markers_done(&mut self, done: MarkersDone, now: Now) -> Effects<TxnReply> {
        self.seen = now;
        self.coordinator.on_markers_done(done, now.wall_ms)
    }

    pub(super) fn next_time(&self) -> Option<Instant> {
        let due_ms = self.coordinator.next_time()?;
        let in_ms = u64::try_from(due_ms.saturating_sub(self.seen.wall_ms)).unwrap_or(0);
        Some(Instant(
            self.seen.instant.0.saturating_add(in_ms.saturating_mul(NS_PER_MS)),
        ))
    }

    pub(super) fn on_time(&mut self, now: Now) -> Effects<TxnReply> {
        self.seen = now;
        self.coordinator.on_time(now.wall_ms)
    }
}
