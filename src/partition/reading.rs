//! What may be read of a replica, by whom and how far, and where another log leaves this one.

use super::Partition;
use crate::model::NO_EPOCH;
#[cfg(test)]
use crate::rt;
use crate::storage::{Cache, ReadError, ReadPlan, TimePlan};

/// A client's idea of the leader epoch does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    #[error("leader epoch of the request is older than the partition's")]
    Fenced,
    #[error("leader epoch of the request is newer than the partition's")]
    Unknown,
}

/// Up to where a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    HighWatermark,
    LastStable,
    LogEnd,
}

/// One partition of a fetch request.
#[derive(Clone, Copy, Debug)]
pub struct ReadAsk {
    pub offset: i64,
    pub max_bytes: usize,
    pub at_least_one: bool,
    /// The epoch of the last batch that the reader has; -1: unchecked.
    pub last_fetched_epoch: i32,
    pub bound: Bound,
}

/// What a reader gets.
pub enum Reading {
    Plan(ReadPlan),
    /// The reader's log leaves ours at this epoch and end offset: no data before it has truncated.
    Diverging(i32, i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadRefusal {
    #[error("offset is outside the log")]
    OutOfRange,
    #[error("log is offline")]
    Offline,
}

impl Partition {
    /// Whether a client that believes in `epoch` talks to the leader that it means; -1: it does not say.
    pub fn check_epoch(&self, epoch: i32) -> Result<(), EpochError> {
        #[cfg(test)]
        if rt::sim::is_off(rt::sim::Rule::RequestEpoch) {
            return Ok(());
        }
        let current = self.leadership.epoch.0;
        match epoch {
            NO_EPOCH => Ok(()),
            _ if epoch < current => Err(EpochError::Fenced),
            _ if epoch > current => Err(EpochError::Unknown),
            _ => Ok(()),
        }
    }

    pub fn bound(&self, bound: Bound) -> i64 {
        match bound {
            Bound::HighWatermark => self.high_watermark,
            Bound::LastStable => self.last_stable_offset(),
            Bound::LogEnd => self.log.submitted(),
        }
    }

    /// Plans a read. The caller has checked the leader epoch.
    pub fn plan_read(&mut self, ask: &ReadAsk, cache: &mut Cache) -> Result<Reading, ReadRefusal> {
        if let Some((epoch, end_offset)) = self.divergence(ask) {
            return Ok(Reading::Diverging(epoch, end_offset));
        }
        let limit = self.bound(ask.bound);
        if ask.offset < self.log.log_start() || ask.offset > self.log.submitted() {
            return Err(ReadRefusal::OutOfRange);
        }
        let plan = self
            .log
            .plan_read(ask.offset, ask.max_bytes, limit, ask.at_least_one, cache)
            .map_err(|error| match error {
                ReadError::OutOfRange => ReadRefusal::OutOfRange,
                ReadError::Offline => ReadRefusal::Offline,
            })?;
        Ok(Reading::Plan(match ask.bound {
            Bound::LastStable => plan.with_aborted(self.log.plan_aborted(ask.offset)),
            Bound::HighWatermark | Bound::LogEnd => plan,
        }))
    }

    /// Where a reader whose last batch has `last_fetched_epoch` must cut its log, if it holds what this log does not.
    //= KIP-320, KIP-595
    fn divergence(&self, ask: &ReadAsk) -> Option<(i32, i64)> {
        #[cfg(test)]
        if rt::sim::is_off(rt::sim::Rule::EpochTruncation) {
            return None;
        }
        if ask.last_fetched_epoch == NO_EPOCH {
            return None;
        }
        let (epoch, end_offset) = self.end_of_epoch(ask.last_fetched_epoch)?;
        (epoch < ask.last_fetched_epoch || end_offset < ask.offset).then_some((epoch, end_offset))
    }

    /// The largest epoch up to `epoch` and the offset behind its last record (behaviour 44). The current epoch counts
    /// from the log's end on even before it has a batch, as in Kafka, where a new leader notes where it begins.
    pub fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        let current = self.leadership.epoch.0;
        let end = self.log.submitted();
        match self.log.latest_epoch() {
            _ if epoch > current => None,
            _ if epoch == current => Some((epoch, end)),
            Some(latest) if epoch > latest => Some((latest, end)),
            _ => self.log.end_offset_for_epoch(epoch),
        }
    }

    /// The epoch of the batch at `offset`; the newest for the log's end.
    pub fn epoch_at(&self, offset: i64) -> Option<i32> {
        let mut epoch = self.log.latest_epoch()?;
        // Each step goes to an older epoch, so the number of steps is that of leader changes within the log.
        while let Some((older, end_offset)) = self.log.end_offset_for_epoch(epoch - 1) {
            if end_offset <= offset || older >= epoch {
                break;
            }
            epoch = older;
        }
        Some(epoch)
    }

    pub fn plan_offset_for_time(&mut self, timestamp_ms: i64, bound: Bound) -> TimePlan {
        let limit = self.bound(bound);
        self.log.plan_offset_for_time(timestamp_ms, limit)
    }

    pub fn plan_max_timestamp(&mut self, bound: Bound) -> TimePlan {
        let limit = self.bound(bound);
        self.log.plan_max_timestamp(limit)
    }
}
