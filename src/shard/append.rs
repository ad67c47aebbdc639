//! Appends, on the owner's side: stage each item, wait for the writes, answer.

use std::time::Duration;

use super::acks::WaitingPart;
use super::hosted::{Hosted, Open, Parked, open_at};
use super::message::{Answer, AppendPart, Life};
use super::refusals::Numbered;
use super::state::Shard;
use super::timers::Due;
use super::types::{Acks, AppendItem, AppendOutcome};
use crate::model::{ErrorCode, PartitionId, ShardId};
use crate::partition::{Ack, AckToken, AppendError, Appended, ProducerError, Warrant};
use crate::rt::Now;
use crate::storage::{PrepareDone, StageError, StorageError, WriteDone};

/// Kafka's timeout covers the wait for other replicas and not the leader's own write; a client that says 0 or 1 ms must
/// not see a timeout for every append. So a write gets this long at least where no other replica is waited for.
const WRITE_WAIT_MIN: Duration = Duration::from_secs(5);

/// What became of one item.
enum Staging {
    Settled(AppendOutcome),
    /// The ack comes later; until then this is the outcome (a timeout).
    Awaited(AppendOutcome),
}

impl Staging {
    fn error(&self) -> ErrorCode {
        match self {
            Staging::Settled(outcome) => outcome.error,
            Staging::Awaited(_) => ErrorCode::None,
        }
    }
}

impl Shard {
    pub(super) fn on_append(&mut self, from: ShardId, request: u64, part: AppendPart, now: Now) {
        let name = self.acks.next();
        let mut missing = 0;
        let waits_for_others =
            part.acks == Acks::All && part.items.iter().any(|item| self.is_replicated(item.partition));
        let mut outcomes = Vec::with_capacity(part.items.len());
        for (slot, item) in part.items.into_iter().enumerate() {
            let slot = slot as u32;
            let token = AckToken { request: name, slot };
            let outcome = match self.stage_in_order(token, item, part.acks, part.may_lead, now) {
                Staging::Settled(outcome) => outcome,
                Staging::Awaited(outcome) => {
                    missing += 1;
                    outcome
                }
            };
            outcomes.push(outcome);
        }
        if missing == 0 {
            return self.answer(from, request, Answer::Append(outcomes));
        }
        let patience = if waits_for_others {
            part.timeout
        } else {
            part.timeout.max(WRITE_WAIT_MIN)
        };
        let deadline = now.instant.after(patience);
        self.timers.add(deadline, Due::Ack(name));
        self.acks.insert(
            name,
            WaitingPart {
                from,
                request,
                taken: now.instant,
                outcomes,
                missing,
                deadline,
            },
        );
    }

    fn is_replicated(&self, id: PartitionId) -> bool {
        !self.is_alone()
            && matches!(self.hosted.get(&id), Some(Hosted::Open(open)) if !open.partition.leadership().is_alone())
    }

    /// Stages the item, unless one before it in its producer's order was refused.
    fn stage_in_order(&mut self, token: AckToken, item: AppendItem, acks: Acks, may_lead: bool, now: Now) -> Staging {
        let numbered = Numbered::of(item.partition, &item.batch.header);
        if let Some(batch) = &numbered
            && let Some(error) = self.refusals.ahead_of(batch, now.instant)
        {
            if !self.is_next(&item) {
                return refused_behind(error);
            }
            self.refusals.forget(batch);
        }
        let staging = if may_lead {
            self.stage_or_park(token, item, acks, now)
        } else {
            refused(ErrorCode::NotLeaderOrFollower)
        };
        if let Some(batch) = numbered {
            self.refusals.note(&batch, staging.error(), now.instant);
        }
        staging
    }

    /// Whether nothing is missing before it: what was refused here may have been taken elsewhere, or been given up.
    fn is_next(&self, item: &AppendItem) -> bool {
        match self.hosted.get(&item.partition) {
            Some(Hosted::Open(open)) => open.partition.producers().continues(&item.batch.header),
            _ => false,
        }
    }

    fn stage_or_park(&mut self, token: AckToken, item: AppendItem, acks: Acks, now: Now) -> Staging {
        match self.hosted.get_mut(&item.partition) {
            None => refused(ErrorCode::UnknownTopicOrPartition),
            Some(Hosted::Opening(opening)) if opening.takes_appends() => {
                opening.parked.push_back(Parked { token, item, acks });
                Staging::Awaited(AppendOutcome::refused(ErrorCode::RequestTimedOut))
            }
            Some(hosted) => match hosted.serving() {
                Err(error) => refused(error),
                Ok(open) => {
                    self.touched.push(item.partition);
                    let staging = stage(open, token, &item, acks, now);
                    if staging.error().is_none() {
                        let lags = open.partition.has_lagging_replica();
                        self.catchup.on_append(item.batch.bytes.len(), lags, now.instant);
                        self.tell_coordinator(&item);
                    }
                    staging
                }
            },
        }
    }

    /// A marker ends what its producer's transaction has written through the coordinator whose log this is.
    fn tell_coordinator(&mut self, item: &AppendItem) {
        if let Warrant::Marker { marker, .. } = item.warrant {
            self.end_transaction(item.partition, item.batch.header.producer_id, marker.commit);
        }
    }

    /// The log is open: what waited for it is appended in the order in which it came.
    pub(super) fn unpark(&mut self, parked: impl IntoIterator<Item = Parked>, now: Now) {
        for Parked { token, item, acks } in parked {
            // Timed out meanwhile: the client was told that it failed, so it is not appended behind its back.
            if !self.acks.is_waiting(token.request) {
                self.note_refused(&item, ErrorCode::RequestTimedOut, now);
                continue;
            }
            match self.stage_in_order(token, item, acks, true, now) {
                Staging::Settled(outcome) => self.settle(token, outcome),
                Staging::Awaited(outcome) => self.acks.staged(token, outcome),
            }
        }
    }

    /// The log does not open.
    pub(super) fn refuse_parked(&mut self, parked: impl IntoIterator<Item = Parked>, error: ErrorCode, now: Now) {
        for Parked { token, item, .. } in parked {
            self.note_refused(&item, error, now);
            self.settle(token, AppendOutcome::refused(error));
        }
    }

    fn note_refused(&mut self, item: &AppendItem, error: ErrorCode, now: Now) {
        if let Some(batch) = Numbered::of(item.partition, &item.batch.header) {
            self.refusals.note(&batch, error, now.instant);
        }
    }

    fn settle(&mut self, token: AckToken, outcome: AppendOutcome) {
        let done = self.acks.settle(token, |known| *known = outcome);
        self.answer_part(done, token);
    }

    /// None of these will be written: answers each with `error`.
    pub(super) fn fail_acks(&mut self, tokens: impl IntoIterator<Item = AckToken>, error: ErrorCode) {
        for token in tokens {
            self.settle(token, AppendOutcome::refused(error));
        }
    }

    pub(super) fn on_written(&mut self, life: Life, done: WriteDone, now: Now) {
        if let Some(open) = open_at(&mut self.hosted, life) {
            let advanced = open.partition.on_written(done, &mut self.cache, &mut self.acked);
            self.on_promised(life, advanced, now);
        }
        self.finish_job(life);
    }

    /// File work can move the high watermark too: where the topic promises it, a sync does.
    pub(super) fn on_prepared(&mut self, life: Life, done: PrepareDone, now: Now) {
        if let Some(open) = open_at(&mut self.hosted, life) {
            let advanced = open.partition.on_prepared(done, &mut self.acked);
            self.on_promised(life, advanced, now);
        }
        self.finish_job(life);
    }

    /// The log's own work is done. Where others had it before, their requests wait with an older high watermark, which is
    /// what they would be told in the end.
    pub(super) fn on_promised(&mut self, life: Life, visible_bytes: Result<u64, StorageError>, now: Now) {
        let is_news = matches!(visible_bytes, Ok(bytes) if bytes > 0);
        self.on_advanced(life, visible_bytes, now);
        if is_news {
            self.refresh_followers(life.partition);
        }
    }

    pub(super) fn on_advanced(&mut self, life: Life, visible_bytes: Result<u64, StorageError>, now: Now) {
        match visible_bytes {
            Ok(bytes) => {
                self.acknowledge();
                self.notify_waiters(life.partition, bytes);
                self.notify_followers(life.partition);
                self.advance_coordinator(life.partition, now);
                self.follow_on(life.partition);
            }
            Err(error) => self.fail_log(life, &error),
        }
    }

    /// Answers those whose last write this was.
    pub(super) fn acknowledge(&mut self) {
        let mut acked = std::mem::take(&mut self.acked);
        for token in acked.drain(..) {
            let done = self.acks.acknowledge(token);
            self.answer_part(done, token);
        }
        self.acked = acked;
    }

    pub(super) fn on_ack_timeout(&mut self, name: u64) {
        if let Some(part) = self.acks.remove(name) {
            self.answer_since(part.taken, part.from, part.request, Answer::Append(part.outcomes));
        }
    }

    fn answer_part(&mut self, done: Option<WaitingPart>, token: AckToken) {
        if let Some(part) = done {
            self.timers.remove(part.deadline, Due::Ack(token.request));
            self.answer_since(part.taken, part.from, part.request, Answer::Append(part.outcomes));
        }
    }
}

fn stage(open: &mut Open, token: AckToken, item: &AppendItem, acks: Acks, now: Now) -> Staging {
    let partition = &mut open.partition;
    if acks == Acks::All
        && let Err(error) = partition.check_in_sync()
    {
        return Staging::Settled(append_refused(&error));
    }
    let ack = match acks {
        Acks::None => Ack::None,
        Acks::Leader => Ack::Written(token),
        Acks::All => Ack::Replicated(token),
    };
    match partition.append(&item.batch, item.warrant, ack, now.wall_ms) {
        Err(error) => Staging::Settled(append_refused(&error)),
        Ok(appended) if acks == Acks::None || appended.acked => {
            Staging::Settled(appended_outcome(open, &appended, ErrorCode::None))
        }
        Ok(appended) => Staging::Awaited(appended_outcome(open, &appended, ErrorCode::RequestTimedOut)),
    }
}

fn appended_outcome(open: &Open, appended: &Appended, error: ErrorCode) -> AppendOutcome {
    AppendOutcome {
        error,
        message: None,
        base_offset: appended.base_offset,
        log_append_time_ms: appended.log_append_time_ms,
        log_start_offset: open.partition.log().log_start(),
        unverified: None,
    }
}

fn refused(error: ErrorCode) -> Staging {
    Staging::Settled(AppendOutcome::refused(error))
}

fn refused_behind(error: ErrorCode) -> Staging {
    Staging::Settled(AppendOutcome {
        message: Some("a batch before it was refused".to_owned()),
        ..AppendOutcome::refused(error)
    })
}

fn append_refused(error: &AppendError) -> AppendOutcome {
    let code = match error {
        AppendError::Producer(error) => producer_refusal(error),
        AppendError::NotEnoughReplicas { .. } => ErrorCode::NotEnoughReplicas,
        AppendError::Stage(StageError::Offline | StageError::DiskFull) => ErrorCode::KafkaStorageError,
        // It does not lead any more, or does since a moment and is still cutting its log: the client asks who does.
        AppendError::NotLeader | AppendError::Stage(StageError::Truncating) => ErrorCode::NotLeaderOrFollower,
        // Retriable, and the client need not look for another leader.
        AppendError::Stage(StageError::Backlog(_)) => ErrorCode::RequestTimedOut,
    };
    AppendOutcome {
        message: Some(error.to_string()),
        unverified: match error {
            AppendError::Producer(ProducerError::Unverified { guard, .. }) => Some(*guard),
            _ => None,
        },
        ..AppendOutcome::refused(code)
    }
}

pub(super) fn producer_refusal(error: &ProducerError) -> ErrorCode {
    match error {
        ProducerError::OutOfOrder { .. } => ErrorCode::OutOfOrderSequenceNumber,
        ProducerError::StaleEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        ProducerError::FencedCoordinator { .. } => ErrorCode::TransactionCoordinatorFenced,
        ProducerError::OutsideTransaction { .. } | ProducerError::Unverified { .. } => ErrorCode::InvalidTxnState,
    }
}
