//! Everything that reaches a shard, and the work that it gives out.

use std::sync::Arc;
use std::time::Duration;

use super::catchup::Class;
use super::claims::Claim;
use super::coordinator::{
    CoordinatorReply, CoordinatorRequest, LoadDone, LoadJob, MarkerDone, MarkerJob, SearchDone, SearchJob,
};
use super::fetch_memory::Held;
use super::following::{CopyOutcomes, CutLog, Fetched, FollowChange};
use super::hosted::Place;
use super::isr::{IsrDone, IsrJob};
use super::read_ahead::Piece;
use super::reply::ReplyTx;
use super::share::{ShareAsk, ShareJob, ShareJobDone, ShareReply};
use super::types::*;
use crate::model::{DirId, ErrorCode, Incarnation, PartitionId, ShardId};
use crate::partition::Producers;
use crate::rt::{Instant, OneshotTx};
use crate::storage::{
    CompactDone, CompactJob, Journal, JournalDone, JournalWrite, Log, LogOptions, MakeJournal, Opened,
    PartitionCheckpoint, PrepareDone, PrepareJob, ReadPlan, ReadResult, StorageError, Syncs, TimePlan, TruncateDone,
    TruncateJob, WriteDone, WriteJob,
};

/// What crosses threads.
pub enum Message {
    /// Look at the local queue, the image and the deadlines.
    Doorbell,
    /// One request's questions about partitions of this shard.
    Ask(Ask),
    /// What a shard answers to an [`Ask`] of this one.
    Answer(PartAnswer),
    /// A long poll wants to know when this shard's partitions have more.
    Wait(Wait),
    /// They have: ask again.
    Notify {
        request: u64,
        from: ShardId,
    },
    /// The long poll has been answered.
    Forget {
        request: u64,
        from: ShardId,
    },
    Checkpoint {
        reply: OneshotTx<Vec<CheckpointRow>>,
    },
    Shutdown {
        reply: OneshotTx<Stopped>,
    },
    Exit,
}

/// One request's part for one shard.
pub struct Ask {
    pub(super) from: ShardId,
    pub(super) request: u64,
    pub(super) question: Question,
}

/// Items in the order of the request.
pub(super) enum Question {
    Append(AppendPart),
    Fetch(FetchPart),
    ListOffsets(Vec<ListOffsetsItem>),
    EpochEnds(Vec<EpochItem>),
    DeleteRecords(DeletePart),
    LogSizes(Vec<LogSizeItem>),
    Producers(Vec<ProducersItem>),
    /// Of the coordinator whose log the partition is.
    Coordinate(PartitionId, Box<CoordinatorRequest>),
    /// Of a group's share of the partition.
    Share(PartitionId, Box<ShareAsk>),
}

pub(super) struct AppendPart {
    pub(super) items: Vec<AppendItem>,
    pub(super) acks: Acks,
    /// As the client asked.
    pub(super) timeout: Duration,
    /// Whether the controller's lease held when it came.
    pub(super) may_lead: bool,
}

pub(super) struct DeletePart {
    pub(super) items: Vec<DeleteRecordsItem>,
    pub(super) timeout: Duration,
}

pub(super) struct FetchPart {
    pub(super) items: Vec<FetchItem>,
    pub(super) max_bytes: usize,
    pub(super) reader: Reader,
}

/// The answer to one part.
pub struct PartAnswer {
    pub(super) request: u64,
    pub(super) from: ShardId,
    pub(super) answer: Answer,
    /// When the owner took the part up, and when it answered.
    pub(super) taken: Instant,
    pub(super) done: Instant,
}

/// One outcome per item, in the order of the items.
pub(super) enum Answer {
    Append(Vec<AppendOutcome>),
    Fetch(FetchAnswer),
    ListOffsets(Vec<ListedOffset>),
    EpochEnds(Vec<EpochEnd>),
    DeleteRecords(Vec<DeletedRecords>),
    LogSizes(Vec<LogSize>),
    Producers(Vec<PartitionProducers>),
    Coordinate(Result<Box<CoordinatorReply>, ErrorCode>),
    Share(Result<ShareReply, ErrorCode>),
}

pub(super) struct FetchAnswer {
    pub(super) partitions: Vec<FetchedPartition>,
    /// What there was in all these partitions when they were read, as [`Wait`] counts it: a long poll goes on from here.
    pub(super) mark: u64,
    pub(super) put_off: Option<PutOff>,
}

/// Partitions of an answer that have more, which is not read before a certain time. The mark is without them.
pub(super) struct PutOff {
    pub(super) until: Instant,
    /// Their places, in ascending order.
    pub(super) slots: Vec<usize>,
}

impl PutOff {
    pub(super) fn new(until: Instant) -> PutOff {
        PutOff {
            until,
            slots: Vec::new(),
        }
    }
}

/// A long poll: notify `from` when there is `wanted` more than `mark`.
pub struct Wait {
    pub(super) request: u64,
    pub(super) from: ShardId,
    pub(super) partitions: Vec<PartitionId>,
    pub(super) kind: WaitKind,
    pub(super) mark: u64,
    pub(super) wanted: u64,
}

/// What a long poll waits for, and how it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitKind {
    /// Bytes that consumers may see.
    Visible,
    /// Offsets that followers may copy: above the high watermark too, and while the leader writes them.
    Submitted,
}

impl WaitKind {
    pub(super) fn of(reader: Reader) -> WaitKind {
        match reader {
            Reader::Consumer { .. } => WaitKind::Visible,
            Reader::Follower { .. } => WaitKind::Submitted,
        }
    }
}

/// One log's offsets for the checkpoint files of its directory.
#[derive(Clone, Debug)]
pub struct CheckpointRow {
    pub dir: DirId,
    pub topic: Arc<str>,
    pub partition: PartitionId,
    pub checkpoint: PartitionCheckpoint,
}

/// How a shard stopped.
#[derive(Clone, Debug, Default)]
pub struct Stopped {
    pub checkpoints: Vec<CheckpointRow>,
    /// Directories that are not to be marked clean: a log there could not be closed.
    pub unclean: Vec<DirId>,
}

/// What reaches the pump from tasks of its own shard.
pub(super) enum Local {
    /// And when it was asked, where times are recorded.
    Request(Request, Option<Instant>),
    Done(Done),
    Alarm(Instant),
    /// `may_lead`: the controller's lease holds.
    Tick {
        may_lead: bool,
    },
}

/// A request of a connection of this shard.
pub(super) enum Request {
    Append {
        items: Vec<AppendItem>,
        acks: Acks,
        timeout: Duration,
        may_lead: bool,
        reply: ReplyTx<Vec<AppendOutcome>>,
    },
    Fetch {
        spec: FetchSpec,
        reply: ReplyTx<Vec<FetchedPartition>>,
    },
    ListOffsets {
        items: Vec<ListOffsetsItem>,
        reply: ReplyTx<Vec<ListedOffset>>,
    },
    EpochEnds {
        items: Vec<EpochItem>,
        reply: ReplyTx<Vec<EpochEnd>>,
    },
    DeleteRecords {
        items: Vec<DeleteRecordsItem>,
        timeout: Duration,
        reply: ReplyTx<Vec<DeletedRecords>>,
    },
    LogSizes {
        items: Vec<LogSizeItem>,
        reply: ReplyTx<Vec<LogSize>>,
    },
    Producers {
        items: Vec<ProducersItem>,
        reply: ReplyTx<Vec<PartitionProducers>>,
    },
    Coordinate {
        partition: PartitionId,
        request: Box<CoordinatorRequest>,
        reply: ReplyTx<Result<Box<CoordinatorReply>, ErrorCode>>,
    },
    Share {
        partition: PartitionId,
        ask: Box<ShareAsk>,
        reply: ReplyTx<Result<ShareReply, ErrorCode>>,
    },
    FollowChanges {
        reply: ReplyTx<Vec<FollowChange>>,
    },
    AppendFetched {
        items: Vec<Fetched>,
        reply: ReplyTx<CopyOutcomes>,
    },
    CutLogs {
        items: Vec<CutLog>,
        reply: ReplyTx<CopyOutcomes>,
    },
}

/// The life of a partition that a job belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) partition: PartitionId,
    pub(super) incarnation: Incarnation,
}

/// Work that needs the kernel: the pump runs each as a task that owns all it needs and ends in a [`Done`].
pub(super) enum Job {
    Open(Life, Box<LogOptions>),
    Prepare(Life, PrepareJob),
    Write(Life, WriteJob),
    /// Of the journal in the log directory at this place, with the logs that have entries in it.
    Journal(usize, Vec<Life>, JournalWrite),
    MakeJournal(usize, MakeJournal),
    RemoveJournals(Vec<Journal>),
    Free(Life, crate::storage::DeleteJob),
    Compact(Life, CompactJob),
    Truncate(Life, Box<TruncateJob>),
    AlterIsr(Box<IsrJob>),
    Close(Life, Place, Box<ClosingLog>, Syncs),
    Remove(Life, Box<ClosingLog>),
    /// A log that there was no space for.
    Discard(Life, Place, Claim),
    Read(ReadJob),
    ReadAhead(AheadJob),
    Times(TimesJob),
    Load(Life, Box<LoadJob>),
    Search(PartitionId, Box<SearchJob>),
    Markers(Box<MarkerJob>),
    Share(Box<ShareJob>),
    Alarm(Instant),
}

/// A log that ends its life on this shard.
pub(super) struct ClosingLog {
    pub(super) log: Log,
    pub(super) producer_snapshot: Vec<u8>,
    pub(super) claim: Claim,
}

/// What a job ended in.
pub(super) enum Done {
    Opened(Life, Result<Box<(Opened, Producers)>, StorageError>),
    Prepared(Life, PrepareDone),
    Written(Life, WriteDone),
    Journaled(usize, Vec<Life>, JournalDone),
    JournalMade(usize, Box<Result<Journal, StorageError>>),
    JournalsRemoved,
    Freed(Life, Result<(), StorageError>),
    Compacted(Life, CompactDone),
    Truncated(Life, Box<(TruncateDone, Producers)>),
    IsrAltered(Box<IsrDone>),
    Closed(Life, Place, Result<PartitionCheckpoint, StorageError>),
    Removed(Life, Result<(), StorageError>),
    Read(ReadDone),
    ReadAhead(AheadDone),
    Times(TimesDone),
    Loaded(Life, Box<LoadDone>),
    Searched(PartitionId, Box<SearchDone>),
    Markers(Box<MarkerDone>),
    Share(Box<ShareJobDone>),
}

/// One read for a fetch, and the memory for what it brings.
pub(super) struct ReadJob {
    /// The part of a fetch that waits for it, and the place in it.
    pub(super) part: u64,
    pub(super) class: Class,
    pub(super) slot: usize,
    pub(super) life: Life,
    pub(super) plan: ReadPlan,
    pub(super) held: Held,
}

pub(super) struct ReadDone {
    pub(super) part: u64,
    pub(super) class: Class,
    pub(super) slot: usize,
    pub(super) life: Life,
    pub(super) result: Result<ReadResult, StorageError>,
    pub(super) held: Held,
}

/// A read that nobody has asked for yet, and the memory for what it brings.
pub(super) struct AheadJob {
    pub(super) piece: Piece,
    pub(super) class: Class,
    pub(super) plan: ReadPlan,
    pub(super) held: Held,
}

pub(super) struct AheadDone {
    pub(super) piece: Piece,
    pub(super) class: Class,
    pub(super) result: Result<ReadResult, StorageError>,
    pub(super) held: Held,
}

/// The searches by time of one ListOffsets part.
pub(super) struct TimesJob {
    pub(super) to: ShardId,
    pub(super) request: u64,
    pub(super) answers: Vec<ListedOffset>,
    pub(super) plans: Vec<(usize, Life, TimePlan)>,
}

pub(super) struct TimesDone {
    pub(super) to: ShardId,
    pub(super) request: u64,
    pub(super) answers: Vec<ListedOffset>,
    pub(super) found: Vec<(usize, Life, Found)>,
}

/// What a search by time ended with: (offset, timestamp).
pub(super) type Found = Result<Option<(i64, i64)>, StorageError>;

impl Question {
    /// The answer that refuses every item.
    pub(super) fn refused(&self, error: ErrorCode) -> Answer {
        match self {
            Question::Append(part) => Answer::Append(vec![AppendOutcome::refused(error); part.items.len()]),
            Question::Fetch(part) => Answer::Fetch(FetchAnswer {
                partitions: vec![FetchedPartition::refused(error); part.items.len()],
                mark: 0,
                put_off: None,
            }),
            Question::ListOffsets(items) => Answer::ListOffsets(vec![ListedOffset::refused(error); items.len()]),
            Question::EpochEnds(items) => Answer::EpochEnds(vec![EpochEnd::refused(error); items.len()]),
            Question::DeleteRecords(part) => {
                Answer::DeleteRecords(vec![DeletedRecords::refused(error); part.items.len()])
            }
            Question::LogSizes(items) => Answer::LogSizes(vec![LogSize::refused(error); items.len()]),
            Question::Producers(items) => Answer::Producers(vec![PartitionProducers::refused(error); items.len()]),
            // Whatever the reason, the client is to look for the coordinator again.
            Question::Coordinate(..) => Answer::Coordinate(Err(ErrorCode::NotCoordinator)),
            Question::Share(..) => Answer::Share(Err(error)),
        }
    }
}
