//! A replica that follows: the leader's batches as they are, its high watermark and log start, and what goes where the two
//! logs part.

use super::leading::Role;
use super::{Partition, Producers};
use crate::model::LeaderEpoch;
use crate::record::{BatchHeader, HEADER_LEN};
use crate::storage::{Cache, Replay, StageError, StorageError, TruncateDone, TruncateJob, Truncated};

/// The leader as its answer shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderView {
    /// That the fetch was made under.
    pub epoch: LeaderEpoch,
    pub high_watermark: i64,
    pub log_start: i64,
}

/// Where a follower fetches from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPosition {
    pub offset: i64,
    /// Of the last batch before it; -1: there is none.
    pub last_epoch: i32,
    pub log_start: i64,
}

/// What a fetch has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    pub batches: usize,
    /// By the leader's high watermark.
    pub visible_bytes: u64,
}

/// What a follower knows besides its log.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// As the leader told it last.
    high_watermark: Option<i64>,
    /// The batch that holds the first offset of an empty log, and begins before it: the log begins anew where the batch
    /// does, to take it then. The time is that of the fetch.
    straddling: Option<(Vec<u8>, i64)>,
}

impl Following {
    /// -1: unknown.
    pub(super) fn high_watermark(&self) -> i64 {
        self.high_watermark.unwrap_or(-1)
    }
}

/// Why batches of a fetch were not taken. Those before the one that is at fault are.
#[derive(Debug, thiserror::Error)]
pub enum FetchedError {
    #[error("it was fetched under another leader epoch")]
    Fenced,
    #[error("offset {offset}: {problem}")]
    Corrupt { offset: i64, problem: String },
    #[error(transparent)]
    Stage(#[from] StageError),
}

impl Partition {
    /// From where to fetch; `None` while batches wait for their write, which the leader is to be told of, or while the end
    /// of the log is cut.
    pub fn fetch_position(&self) -> Option<FetchPosition> {
        let is_settled = self.log.staged() == self.promised() && !self.log.is_truncating();
        is_settled.then(|| FetchPosition {
            offset: self.log.staged(),
            last_epoch: self.log.latest_epoch().unwrap_or(-1),
            log_start: self.log.log_start(),
        })
    }

    /// Records that consumers may see at the leader, as it said last, and that are not in this log.
    pub fn lag(&self) -> i64 {
        match &self.role {
            Role::Follower(following) => following
                .high_watermark
                .map_or(0, |leaders| (leaders - self.log.written()).max(0)),
            Role::Alone | Role::Leader(_) => 0,
        }
    }

    /// Takes whole batches of the leader's log, and what it says of itself. A batch that is cut short at the end is left.
    pub fn append_fetched(
        &mut self,
        records: &[u8],
        leader: &LeaderView,
        now_wall_ms: i64,
    ) -> Result<Fetched, FetchedError> {
        match &mut self.role {
            Role::Follower(following) if leader.epoch == self.leadership.epoch => {
                following.high_watermark = Some(leader.high_watermark);
            }
            _ => return Err(FetchedError::Fenced),
        }
        let taken = self.take_batches(records, now_wall_ms);
        // Nobody waits for an ack of a follower.
        let visible_bytes = self.advance(&mut Vec::new());
        self.log.set_log_start(leader.log_start.min(self.high_watermark));
        Ok(Fetched {
            batches: taken?,
            visible_bytes,
        })
    }

    fn take_batches(&mut self, records: &[u8], now_wall_ms: i64) -> Result<usize, FetchedError> {
        let (mut rest, mut count) = (records, 0);
        loop {
            let at = self.log.staged();
            let corrupt = |problem| FetchedError::Corrupt { offset: at, problem };
            let Some(Front { header, batch, later }) = next_batch(rest).map_err(corrupt)? else {
                return Ok(count);
            };
            rest = later;
            // A later leader's: its own fetch will bring it.
            if header.leader_epoch > self.leadership.epoch.0 {
                return Ok(count);
            }
            // A fetch begins with the batch that holds the offset.
            if header.next_offset() <= at {
                continue;
            }
            if header.base_offset < at && at == self.log.log_start() {
                self.begin_with(&header, batch, now_wall_ms);
                return Ok(count);
            }
            self.check_fetched(&header, batch).map_err(corrupt)?;
            self.take_batch(&header, batch, now_wall_ms)?;
            count += 1;
        }
    }

    /// The leader's log starts within this batch, since records before it were deleted: so the log begins with it.
    fn begin_with(&mut self, header: &BatchHeader, batch: &[u8], now_wall_ms: i64) {
        if let Role::Follower(following) = &mut self.role {
            following.straddling = Some((batch.to_vec(), now_wall_ms));
            self.log.restart_at(header.base_offset);
        }
    }

    fn take_straddling(&mut self) {
        let Role::Follower(following) = &mut self.role else {
            return;
        };
        let Some((batch, now_wall_ms)) = following.straddling.take() else {
            return;
        };
        if let Err(error) = self.take_batches(&batch, now_wall_ms) {
            let (topic, partition) = (&self.identity.topic, self.identity.id.index);
            tracing::warn!(%topic, partition, %error, "first batch of the log is fetched again");
        }
    }

    fn check_fetched(&self, header: &BatchHeader, batch: &[u8]) -> Result<(), String> {
        if header.base_offset < self.log.staged() {
            return Err(format!("a batch begins at {}", header.base_offset));
        }
        if header.leader_epoch < self.log.latest_epoch().unwrap_or(-1) {
            return Err(format!("leader epoch {} goes back", header.leader_epoch));
        }
        header.check_crc(batch).map_err(|error| error.to_string())
    }

    fn take_batch(&mut self, header: &BatchHeader, batch: &[u8], now_wall_ms: i64) -> Result<(), StageError> {
        let before = self.log.staged();
        self.log.stage_fetched(batch, header, now_wall_ms)?;
        self.put_snapshot_if_due(before);
        if let Some(aborted) = self.producers.batch(header, batch) {
            self.log.note_aborted(aborted);
        }
        self.pending.push(self.log.staged(), batch.len(), None);
        Ok(())
    }

    /// The leader's log has nothing of `epoch`, or of later ones, from `end_offset` on. What this log has beyond goes, as far
    /// as is known yet: where the two epochs differ, the next fetch tells of an older one. Gives the offset.
    //= KIP-101, KIP-279, KIP-595
    pub fn diverged(&mut self, epoch: i32, end_offset: i64) -> i64 {
        let offset = match self.log.end_offset_for_epoch(epoch) {
            Some((known, end)) if known == epoch => end.min(end_offset),
            Some((_, end)) => end,
            None => end_offset,
        };
        let offset = offset.min(self.log.written());
        self.truncate_to(offset);
        offset
    }

    /// What ends behind `offset` goes.
    pub fn truncate_to(&mut self, offset: i64) {
        let (topic, partition) = (&self.identity.topic, self.identity.id.index);
        let (high_watermark, log_end) = (self.high_watermark, self.log.written());
        if offset < high_watermark {
            tracing::warn!(%topic, partition, offset, high_watermark, "log is truncated below its high watermark");
        } else {
            tracing::info!(%topic, partition, offset, log_end, "log is truncated");
        }
        self.log.truncate_to(offset);
    }

    /// Everything goes, and the log begins at `offset`: where the leader's does.
    pub fn restart_at(&mut self, offset: i64) {
        let (topic, partition) = (&self.identity.topic, self.identity.id.index);
        let (log_start, log_end) = (self.log.log_start(), self.log.written());
        tracing::warn!(%topic, partition, offset, log_start, log_end, "log begins anew where the leader's does");
        self.log.restart_at(offset);
    }

    pub fn is_truncating(&self) -> bool {
        self.log.is_truncating()
    }

    /// The job, once nothing else is under way.
    pub fn take_truncation(&mut self, cache: &mut Cache) -> Option<TruncateJob> {
        let job = self.log.take_truncation(cache)?;
        self.settle_end();
        Some(job)
    }

    /// `producers`: what the job has replayed into an empty state.
    pub fn on_truncated(&mut self, done: TruncateDone, producers: Producers) -> Result<Truncated, StorageError> {
        let truncated = self.log.on_truncated(done)?;
        if truncated == Truncated::Done {
            self.producers.rebuild(producers);
            self.settle_end();
            self.take_straddling();
        }
        Ok(truncated)
    }

    /// The log has another end. Nobody waits for what is gone: a replica that is cut is a follower, or was one just now.
    fn settle_end(&mut self) {
        let (start, end) = (self.log.log_start(), self.log.written());
        self.pending.abandon(&mut Vec::new());
        self.held_back_bytes = 0;
        self.high_watermark = self.high_watermark.clamp(start, end);
        self.producers.on_high_watermark(self.high_watermark);
        if let Role::Leader(followers) = &mut self.role {
            followers.set_epoch_start(end);
        }
        self.check_cursors();
    }
}

/// The batch at the front of some, and what follows it.
struct Front<'a> {
    header: BatchHeader,
    batch: &'a [u8],
    later: &'a [u8],
}

/// `None`: there is no whole one.
fn next_batch(rest: &[u8]) -> Result<Option<Front<'_>>, String> {
    if rest.len() < HEADER_LEN {
        return Ok(None);
    }
    let header = BatchHeader::parse(rest).map_err(|error| error.to_string())?;
    if header.base_offset < 0 || header.last_offset_delta < 0 || header.next_offset() == i64::MAX {
        let (base_offset, delta) = (header.base_offset, header.last_offset_delta);
        return Err(format!(
            "impossible batch: offset {base_offset}, last offset delta {delta}"
        ));
    }
    let whole = rest.split_at_checked(header.total_len());
    Ok(whole.map(|(batch, later)| Front { header, batch, later }))
}
