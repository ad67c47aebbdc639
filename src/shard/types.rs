//! Questions to the shards and their answers, as `api` knows them.

use std::time::Duration;

use bytes::Bytes;

use crate::model::{ErrorCode, PartitionId};
use crate::record::ValidBatch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    None,
    Leader,
    All,
}
#[derive(Debug)]
pub struct AppendItem {
    pub partition: PartitionId,
    pub batch: ValidBatch,
}
#[derive(Clone, Debug)]
pub struct AppendOutcome {
    pub error: ErrorCode,
    pub message: Option<String>,
    /// of a duplicate: the original
    pub base_offset: i64,
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
    /// replica_id >= 0 or -2: up to the LEO
    LogEnd,
}
#[derive(Clone, Debug)]
pub struct FetchItem {
    pub partition: PartitionId,
    pub offset: i64,
    pub max_bytes: usize,
    /// -1: unchecked
    pub leader_epoch: i32,
    /// -1: unchecked
    pub last_fetched_epoch: i32,
}
#[derive(Clone, Debug)]
pub struct FetchSpec {
    pub items: Vec<FetchItem>,
    pub min_bytes: usize,
    pub max_bytes: usize,
    pub max_wait: Duration,
    pub isolation: Isolation,
    /// Answer at once whatever there is (a full fetch session answer, an error elsewhere in the request).
    pub no_wait: bool,
}
#[derive(Clone, Debug)]
pub struct FetchedPartition {
    pub error: ErrorCode,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    pub diverging_epoch: Option<(i32, i64)>,
    pub records: Vec<Bytes>,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetQuery {
    Earliest,
    /// HW, or LSO for read_committed
    Latest,
    MaxTimestamp,
    Timestamp(i64),
}
#[derive(Clone, Debug)]
pub struct ListOffsetsItem {
    pub partition: PartitionId,
    pub leader_epoch: i32,
    pub query: OffsetQuery,
    pub isolation: Isolation,
}
#[derive(Clone, Debug)]
pub struct ListedOffset {
    pub error: ErrorCode,
    pub offset: i64,
    pub timestamp: i64,
    pub leader_epoch: i32,
}
#[derive(Clone, Debug)]
pub struct EpochItem {
    pub partition: PartitionId,
    pub current_leader_epoch: i32,
    pub epoch: i32,
}
#[derive(Clone, Debug)]
pub struct EpochEnd {
    pub error: ErrorCode,
    pub epoch: i32,
    pub end_offset: i64,
}
#[derive(Clone, Debug)]
pub struct DeleteRecordsItem {
    pub partition: PartitionId,
    /// -1: the HW
    pub offset: i64,
}
#[derive(Clone, Debug)]
pub struct DeletedRecords {
    pub error: ErrorCode,
    pub low_watermark: i64,
}
#[derive(Clone, Debug)]
pub struct LogSizeItem {
    pub partition: PartitionId,
}
#[derive(Clone, Debug)]
pub struct LogSize {
    pub error: ErrorCode,
    pub size_bytes: i64,
    pub log_dir: Option<String>,
}

impl AppendOutcome {
    pub(super) fn refused(error: ErrorCode) -> AppendOutcome {
        AppendOutcome {
            error,
            message: None,
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
        }
    }
}

impl FetchedPartition {
    /// Unknown offsets, no records (behaviour 34).
    pub(super) fn refused(error: ErrorCode) -> FetchedPartition {
        FetchedPartition {
            error,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            records: Vec::new(),
        }
    }

    pub(super) fn record_bytes(&self) -> usize {
        self.records.iter().map(Bytes::len).sum()
    }
}

impl ListedOffset {
    pub(super) fn refused(error: ErrorCode) -> ListedOffset {
        ListedOffset {
            error,
            offset: -1,
            timestamp: -1,
            leader_epoch: -1,
        }
    }
}

impl EpochEnd {
    pub(super) fn refused(error: ErrorCode) -> EpochEnd {
        EpochEnd {
            error,
            epoch: -1,
            end_offset: -1,
        }
    }
}

impl DeletedRecords {
    pub(super) fn refused(error: ErrorCode) -> DeletedRecords {
        DeletedRecords {
            error,
            low_watermark: -1,
        }
    }
}

impl LogSize {
    pub(super) fn refused(error: ErrorCode) -> LogSize {
        LogSize {
            error,
            size_bytes: -1,
            log_dir: None,
        }
    }
}
