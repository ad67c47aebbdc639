//! Questions to the shards and their answers, as `api` knows them.

use std::time::Duration;

use bytes::Bytes;

use crate::model::{BrokerId, ErrorCode, PartitionId};
use crate::partition::{ActiveProducer, Guard, Warrant};
use crate::record::{Marker, ValidBatch};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    None,
    Leader,
    All,
}
#[derive(Clone, Debug)]
pub struct AppendItem {
    pub partition: PartitionId,
    pub batch: ValidBatch,
    /// What entitles the batch to its transaction, if it is part of one.
    pub warrant: Warrant,
}
/// A marker that ends a producer's transaction in one partition.
#[derive(Clone, Copy, Debug)]
pub struct MarkerItem {
    pub partition: PartitionId,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub marker: Marker,
    /// From 2 on the epoch must be above that of the transaction's records.
    pub transaction_version: i8,
}
#[derive(Clone, Debug)]
pub struct AppendOutcome {
    pub error: ErrorCode,
    pub message: Option<String>,
    /// of a duplicate: the original
    pub base_offset: i64,
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    /// The batch begins a transaction here that its coordinator is to confirm first: to be appended again with this.
    pub unverified: Option<Guard>,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
    /// replica_id -2: up to the LEO
    LogEnd,
}
/// Who fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    Consumer {
        isolation: Isolation,
        /// Whether a replica that does not lead may answer. //= KIP-392
        from_any_replica: bool,
    },
    /// A broker that copies: its offsets count as held there.
    Follower { broker: BrokerId, epoch: i64 },
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
    /// Where a follower's log begins.
    pub log_start: i64,
    /// No records now, whatever there is: the follower is throttled.
    pub held: bool,
}
#[derive(Clone, Debug)]
pub struct FetchSpec {
    pub items: Vec<FetchItem>,
    pub min_bytes: usize,
    pub max_bytes: usize,
    pub max_wait: Duration,
    pub reader: Reader,
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
    /// (producer id, first offset) of the aborted transactions among the records; `None` unless read_committed.
    pub aborted: Option<Vec<(i64, i64)>>,
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
pub struct ProducersItem {
    pub partition: PartitionId,
}
/// The answer to what is to be part of a producer's transaction.
#[derive(Debug)]
pub enum Stamped<R> {
    Answered(R),
    /// Nothing was done: to be asked again with this, once the transaction's coordinator has confirmed it.
    Unverified(Guard),
}
#[derive(Clone, Debug)]
pub struct PartitionProducers {
    pub error: ErrorCode,
    pub producers: Vec<ActiveProducer>,
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

impl Reader {
    /// A consumer that asks the leader.
    pub fn consumer(isolation: Isolation) -> Reader {
        Reader::Consumer {
            isolation,
            from_any_replica: false,
        }
    }
}

impl AppendOutcome {
    pub(super) fn refused(error: ErrorCode) -> AppendOutcome {
        AppendOutcome {
            error,
            message: None,
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            unverified: None,
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
            aborted: None,
        }
    }

    /// Neither records nor anything else that the reader must know.
    pub(super) fn gives_nothing(&self) -> bool {
        self.error.is_none() && self.diverging_epoch.is_none() && self.records.is_empty()
    }

    pub fn record_bytes(&self) -> usize {
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

impl PartitionProducers {
    pub(super) fn refused(error: ErrorCode) -> PartitionProducers {
        PartitionProducers {
            error,
            producers: Vec::new(),
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
