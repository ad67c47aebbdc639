//! One log on one disk: segments in Kafka's format, direct writes, index, cache, recovery, retention.
//!
//! `FORMAT.md` draws the files. [`Log`] is what others use: a synchronous state machine that a shard owns, and whose
//! disk work goes out as jobs that own what they need ([`WriteJob`], [`PrepareJob`], [`ReadPlan`], ...).
//!
//! ```text
//!   stage ──▶ chunks ──▶ WriteJob ──▶ on_written ──▶ cache, cursors      log.rs   the façade: cursors, roll, jobs
//!   (copy, patch)        (one write)                                     stage.rs chunks: aligned, patched, frozen
//!       └──▶ take_entry ──▶ JournalWrite ──▶ on_journaled            journal/   small appends of many logs in one write
//!              PrepareJob: open, preallocate | seal, sync, snapshot      prepare.rs, segment.rs, index.rs, epochs.rs, syncs.rs
//!   plan_aborted: what read_committed has to know                        txn_index.rs
//!   plan_read ─▶ cached slices, or DiskRead ──▶ ReadResult               cache.rs, run.rs, read.rs, time.rs
//!   take_compaction ─▶ CompactJob ─▶ on_compacted ─▶ …                   compaction/
//!   take_retention ─▶ DeleteJob                                          retention.rs
//!   truncate_to ─▶ take_truncation ─▶ TruncateJob ─▶ on_truncated         log/truncating.rs, recovery/cut.rs
//!   open: survey, trust or check, cut, set aside                         recovery.rs, scan.rs, checkpoint.rs, dirs.rs,
//!                                                                       strays.rs
//! ```

mod cache;
mod checkpoint;
mod compaction;
mod dirs;
mod epochs;
mod identity;
mod index;
mod journal;
mod layout;
mod log;
mod plan;
mod prepare;
mod read;
mod recovery;
mod retention;
mod run;
mod scan;
mod segment;
mod stage;
mod strays;
mod syncs;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod time;
mod txn_index;

pub use cache::{Cache, ReadAhead};
pub use checkpoint::{Checkpoint, PartitionCheckpoint};
pub use compaction::{CompactDone, CompactJob, CompactionAsk, CompactionStats, LastRecord};
pub use dirs::{LogDir, LogDirError, LogDirs};
pub use identity::{Found, Identity, format, look, settle_metadata_dir};
pub use journal::{Frame, FrameBuilder, Journal, JournalDone, JournalWrite, MakeJournal};
pub use log::{Compacted, Log, LogOptions, Opened, StageError, StorageError, TruncateDone, TruncateJob, Truncated};
pub use plan::{DeleteJob, PrepareDone, PrepareJob, ReadError, ReadPlan, ReadResult, TimePlan, WriteDone, WriteJob};
pub use recovery::Replay;
pub use strays::{PartitionDir, count_partition_dirs, set_aside_strays};
pub use syncs::{Rounds, Syncs};
pub use txn_index::{AbortedPlan, AbortedTxn};
