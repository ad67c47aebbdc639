//! The shard's state, and the handling of one message. Plain synchronous code: no clock, no task, no I/O.
//!
//! What needs the kernel is put into `jobs` for the pump to run; what is meant for another shard into its outbox.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::acks::Acknowledgements;
use super::catchup::Catchup;
use super::claims::Claims;
use super::compact::Compacting;
use super::coordinator::Coordinators;
use super::deletions::Deletions;
use super::fetch_memory::FetchMemory;
use super::following::Following;
use super::hosted::Hosted;
use super::isr::Isr;
use super::join::Joins;
use super::journals::Journals;
use super::mesh::ShardHandle;
use super::message::*;
use super::read_ahead::ReadAheads;
use super::reconcile::Openings;
use super::refusals::Refusals;
use super::share::Shares;
use super::stop::Stopping;
use super::timers::{Due, Timers};
use super::upkeep::Upkeep;
use super::waits::Waits;
use crate::config::BrokerConfig;
use crate::metadata::{BEAT_ENDED, Image};
use crate::metrics::{Cells, Metric};
use crate::model::{DirId, Incarnation, PartitionId, ShardId};
use crate::partition::AckToken;
use crate::rt::{Instant, Now};
use crate::storage::{Cache, Checkpoint, LogDir};

/// Messages kept for another shard whose inbox is full. Beyond it, requests are refused; answers, which are bounded by
/// the requests, are always kept.
pub(super) const OUTBOX_MAX: usize = 16_384;
/// Between two attempts to send what an inbox had no room for.
const OUTBOX_RETRY_NS: u64 = 1_000_000;

/// What a shard is made of, besides its inbox.
pub(super) struct Parts {
    pub(super) id: ShardId,
    pub(super) config: Arc<BrokerConfig>,
    pub(super) dirs: Vec<Arc<LogDir>>,
    pub(super) checkpoints: Arc<BTreeMap<DirId, Checkpoint>>,
    pub(super) image: Arc<Image>,
    pub(super) metrics: Cells,
    pub(super) liveness: Arc<AtomicU64>,
    pub(super) peers: Vec<ShardHandle>,
    pub(super) claims: Claims,
}

pub(super) struct Shard {
    pub(super) id: ShardId,
    pub(super) config: Arc<BrokerConfig>,
    pub(super) dirs: Vec<Arc<LogDir>>,
    /// As read at start: where the recovery of a log may begin.
    pub(super) checkpoints: Arc<BTreeMap<DirId, Checkpoint>>,
    /// The image that the partitions were last reconciled with.
    pub(super) image: Arc<Image>,
    pub(super) metrics: Cells,
    pub(super) liveness: Arc<AtomicU64>,
    pub(super) claims: Claims,

    pub(super) hosted: BTreeMap<PartitionId, Hosted>,
    pub(super) incarnations: u64,
    pub(super) cache: Cache,
    /// Partitions that may have something to write or to prepare.
    pub(super) touched: Vec<PartitionId>,
    pub(super) jobs: Vec<Job>,

    pub(super) joins: Joins,
    pub(super) acks: Acknowledgements,
    pub(super) refusals: Refusals,
    pub(super) waits: Waits,
    pub(super) catchup: Catchup,
    pub(super) aheads: ReadAheads,
    pub(super) fetch_memory: FetchMemory,
    pub(super) timers: Timers,
    pub(super) openings: Openings,
    pub(super) upkeep: Upkeep,
    pub(super) compacting: Compacting,
    pub(super) coordinators: Coordinators,
    pub(super) journals: Journals,
    pub(super) shares: Shares,
    pub(super) following: Following,
    pub(super) isr: Isr,
    pub(super) deletions: Deletions,
    pub(super) stopping: Option<Stopping>,
    pub(super) exit: bool,

    /// The clock, as the message that is being handled sees it.
    pub(super) clock: Instant,
    peers: Vec<ShardHandle>,
    /// One per shard; the own one is handled right after the message that filled it.
    outbox: Vec<VecDeque<Message>>,
    /// An alarm is set to send again what an inbox had no room for.
    outbox_retry: Option<Instant>,
    /// Scratch for the acks that one completion covers.
    pub(super) acked: Vec<AckToken>,
}

impl Shard {
    /// A shard without partitions: call [`Shard::reconcile_all`] next.
    pub(super) fn new(parts: Parts) -> Shard {
        Shard {
            id: parts.id,
            cache: Cache::new(parts.config.shard_cache_bytes),
            catchup: Catchup::new(&parts.config),
            aheads: ReadAheads::default(),
            fetch_memory: FetchMemory::new(
                parts.config.shard_fetch_memory_bytes,
                parts.peers[usize::from(parts.id.0)].clone(),
            ),
            journals: Journals::new(&parts.dirs, &parts.config),
            config: parts.config,
            dirs: parts.dirs,
            checkpoints: parts.checkpoints,
            image: parts.image,
            metrics: parts.metrics,
            liveness: parts.liveness,
            claims: parts.claims,
            hosted: BTreeMap::new(),
            incarnations: 0,
            touched: Vec::new(),
            jobs: Vec::new(),
            joins: Joins::default(),
            acks: Acknowledgements::default(),
            refusals: Refusals::default(),
            waits: Waits::default(),
            timers: Timers::default(),
            openings: Openings::default(),
            upkeep: Upkeep::default(),
            compacting: Compacting::default(),
            coordinators: Coordinators::default(),
            shares: Shares::default(),
            following: Following::default(),
            isr: Isr::default(),
            deletions: Deletions::default(),
            stopping: None,
            exit: false,
            clock: Instant(0),
            outbox: parts.peers.iter().map(|_| VecDeque::new()).collect(),
            peers: parts.peers,
            outbox_retry: None,
            acked: Vec::new(),
        }
    }

    /// There is no other broker, so that nothing is replicated.
    pub(super) fn is_alone(&self) -> bool {
        self.image.brokers.len() < 2
    }

    pub(super) fn shards(&self) -> usize {
        self.peers.len()
    }

    /// The newest image, if it is newer than the one that the partitions follow.
    pub(super) fn adopt_image(&mut self, now: Now) {
        let newer = self.peers[usize::from(self.id.0)].image.newer_than(&self.image);
        if let Some(image) = newer {
            self.reconcile(image, now);
            self.handle_own(now);
        }
    }

    pub(super) fn handle(&mut self, message: Message, now: Now) {
        self.clock = now.instant;
        self.dispatch(message, now);
        self.handle_own(now);
    }

    pub(super) fn handle_local(&mut self, message: Local, now: Now) {
        self.clock = now.instant;
        match message {
            Local::Request(request, asked) => self.begin(request, asked, now),
            Local::Done(done) => self.on_done(done, now),
            Local::Alarm(at) => self.on_alarm(at, now),
            Local::Tick { may_lead } => self.on_tick(may_lead, now),
        }
        self.handle_own(now);
    }

    fn on_alarm(&mut self, at: Instant, now: Now) {
        self.timers.on_alarm(at);
        if self.outbox_retry == Some(at) {
            self.outbox_retry = None;
        }
        if self.openings.take_retry(at) {
            self.start_openings(now);
        }
    }

    /// Deadlines that have passed.
    pub(super) fn handle_due(&mut self, now: Now) {
        self.clock = now.instant;
        while let Some(due) = self.timers.pop(now.instant) {
            match due {
                Due::Ack(request) => self.on_ack_timeout(request),
                Due::Fetch(request) => self.on_fetch_timeout(request),
                Due::PutOff(request) => self.on_put_off(request),
                Due::Coordinator(partition) => self.on_coordinator_due(partition, now),
                Due::Share(partition) => self.on_share_due(partition, now),
                Due::Deletion(request) => self.on_deletion_timeout(request),
                Due::Opening(partition) => self.on_opening_due(partition, now),
                // Begun at the end of the turn.
                Due::Read => {}
            }
            self.handle_own(now);
        }
    }

    fn dispatch(&mut self, message: Message, now: Now) {
        match message {
            Message::Doorbell => {}
            Message::Ask(ask) => self.on_ask(ask, now),
            Message::Answer(answer) => self.on_answer(answer),
            Message::Wait(wait) => self.on_wait(wait),
            Message::Notify { request, from } => self.on_notify(request, from),
            Message::Forget { request, from } => self.forget_wait(from, request),
            Message::Checkpoint { reply } => reply.send(self.checkpoint_rows()),
            Message::Shutdown { reply } => self.on_shutdown(reply, now),
            Message::Exit => self.exit = true,
        }
    }

    /// What the shard sent to itself meanwhile. Each message makes strictly less work than the one before: an ask is
    /// answered, an answer ends a request or sets a wait, a wait ends in one notification at most.
    fn handle_own(&mut self, now: Now) {
        while let Some(message) = self.outbox[usize::from(self.id.0)].pop_front() {
            self.dispatch(message, now);
        }
    }

    pub(super) fn take_question(&mut self, from: ShardId, request: u64, question: Question, now: Now) {
        match question {
            Question::Append(part) => self.on_append(from, request, part, now),
            Question::Fetch(part) => self.on_fetch(from, request, part, now),
            Question::ListOffsets(items) => self.on_list_offsets(from, request, items),
            Question::EpochEnds(items) => self.on_epoch_ends(from, request, items),
            Question::DeleteRecords(part) => self.on_delete_records(from, request, part, now),
            Question::LogSizes(items) => self.on_log_sizes(from, request, items),
            Question::Producers(items) => self.on_producers(from, request, items),
            Question::Coordinate(partition, asked) => self.on_coordinate(from, request, (partition, *asked), now),
            Question::Share(partition, ask) => self.on_share(from, request, (partition, *ask), now),
        }
    }

    fn on_done(&mut self, done: Done, now: Now) {
        match done {
            Done::Opened(life, result) => self.on_opened(life, result, now),
            Done::Prepared(life, done) => self.on_prepared(life, done, now),
            Done::Written(life, done) => self.on_written(life, done, now),
            Done::Journaled(at, lives, done) => self.on_journaled(at, lives, done, now),
            Done::JournalMade(at, result) => self.on_journal_made(at, *result, now),
            Done::JournalsRemoved => self.finish_stop(),
            Done::Freed(life, result) => self.on_freed(life, result),
            Done::Compacted(life, done) => self.on_compacted(life, done, now),
            Done::Truncated(life, done) => self.on_truncated(life, done.0, done.1),
            Done::IsrAltered(done) => self.on_isr_altered(*done, now),
            Done::Closed(life, place, result) => self.on_closed(life, place, result),
            Done::Removed(life, result) => self.on_removed(life, result, now),
            Done::Read(done) => self.on_read(done, now),
            Done::ReadAhead(done) => self.on_read_ahead(done, now),
            Done::Times(done) => self.on_times(done),
            Done::Searched(id, done) => self.on_searched(id, *done, now),
            Done::Loaded(life, done) => self.on_loaded(life, *done, now),
            Done::Markers(done) => self.on_markers_done(*done, now),
            Done::Share(done) => self.on_share_job(*done, now),
        }
    }

    pub(super) fn answer(&mut self, to: ShardId, request: u64, answer: Answer) {
        self.answer_since(self.clock, to, request, answer);
    }

    /// The answer to a part that was taken up earlier.
    pub(super) fn answer_since(&mut self, taken: Instant, to: ShardId, request: u64, answer: Answer) {
        let answer = PartAnswer {
            request,
            from: self.id,
            answer,
            taken,
            done: self.clock,
        };
        self.send(to, Message::Answer(answer));
    }

    pub(super) fn send(&mut self, to: ShardId, message: Message) {
        self.outbox[usize::from(to.0)].push_back(message);
    }

    pub(super) fn has_room_for(&self, to: ShardId) -> bool {
        to == self.id || self.outbox[usize::from(to.0)].len() < OUTBOX_MAX
    }

    pub(super) fn next_incarnation(&mut self) -> Incarnation {
        self.incarnations += 1;
        Incarnation(self.incarnations)
    }

    /// The end of a turn: one write per partition touched, one send per other shard, the next alarm.
    pub(super) fn flush(&mut self, now: Now) {
        self.submit_touched(now);
        self.propose_isrs(now);
        self.start_reads(now);
        // What answers lead to may want to read as well.
        while !self.outbox[usize::from(self.id.0)].is_empty() {
            self.handle_own(now);
            self.start_reads(now);
        }
        if !self.send_outboxes() && self.outbox_retry.is_none() {
            let at = Instant(now.instant.0 + OUTBOX_RETRY_NS);
            self.outbox_retry = Some(at);
            self.jobs.push(Job::Alarm(at));
        }
        if let Some(at) = self.timers.take_alarm() {
            self.jobs.push(Job::Alarm(at));
        }
        self.metrics.add(Metric::ShardTurns, 1);
    }

    /// False: an inbox had no room for all of it.
    fn send_outboxes(&mut self) -> bool {
        let mut all = true;
        for (peer, queue) in self.peers.iter().zip(&mut self.outbox) {
            if queue.is_empty() {
                continue;
            }
            let before = queue.len();
            peer.tx.try_send_all(queue);
            self.metrics.add(Metric::LaneMessages, (before - queue.len()) as i64);
            all &= queue.is_empty() || peer.tx.is_closed();
        }
        all
    }

    /// What the pump is to run.
    pub(super) fn take_jobs(&mut self) -> std::vec::Drain<'_, Job> {
        self.jobs.drain(..)
    }

    pub(super) fn bump_liveness(&self) {
        self.liveness.fetch_add(1, Ordering::Relaxed);
    }

    /// The watchdog need not look any more.
    pub(super) fn end_liveness(&self) {
        self.liveness.store(BEAT_ENDED, Ordering::Relaxed);
    }
}
