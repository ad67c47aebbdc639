//! Carries out what a coordinator wants done: entries into its log, replies behind them, its next deadline.

use std::time::Duration;

use super::{Active, CoordinatorReply, Held, Outgoing, Seat};
use crate::config::BrokerConfig;
use crate::model::{Effects, Entry, ErrorCode, PartitionId, ProducerIdentity, Ticket};
use crate::partition::{Ack, AppendError, Partition, Warrant};
use crate::record::{BatchBuilder, BatchHeader, Compression, ValidBatch};
use crate::rt::{Instant, Now};
use crate::shard::hosted::{Hosted, Open};
use crate::shard::message::Answer;
use crate::shard::state::Shard;
use crate::shard::timers::Due;

/// A coordinator is asked again this much later at the earliest, whatever it says.
const DEADLINE_MIN_NS: u64 = 1_000_000;
/// Coordinators do not number their batches: nothing is retried that could have been stored.
const NO_SEQUENCE: i32 = -1;
/// Between a write that failed and loading the state again; and before a deadline is looked at again while nothing can be
/// written.
const RELOAD_DELAY: Duration = Duration::from_millis(100);
/// Between two warnings of one coordinator about writes that take too long.
const WARN_EVERY: Duration = Duration::from_secs(1);

/// Entries of a producer's transaction are a batch of that producer.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    pub(in crate::shard) producer: ProducerIdentity,
    pub(in crate::shard) warrant: Warrant,
}

impl Stamp {
    /// The header of a batch that would be written under it.
    pub(super) fn header(self) -> BatchHeader {
        let mut batch = builder(Compression::None, Some(self));
        batch.push(-1, None, None, &[]);
        BatchHeader::parse(&batch.build()).expect("the builder builds whole batches")
    }
}

impl Shard {
    pub(super) fn carry_out(&mut self, id: PartitionId, effects: Effects<CoordinatorReply>, now: Now) {
        self.carry_out_as(id, effects, None, now);
    }

    pub(super) fn carry_out_as(
        &mut self,
        id: PartitionId,
        effects: Effects<CoordinatorReply>,
        stamp: Option<Stamp>,
        now: Now,
    ) {
        let Effects {
            entries,
            replies,
            markers,
        } = effects;
        let written = match entries.is_empty() {
            true => Ok(None),
            false => self.append_entries(id, &entries, stamp, now).map(Some),
        };
        let Some(Seat::Active(active)) = self.coordinators.seats.get_mut(&id) else {
            return;
        };
        match written {
            Ok(written) => {
                let ready = active.hold(written, Outgoing { replies, markers }, now.instant);
                self.begin_searches(id);
                self.set_deadline(id);
                self.give(id, ready);
            }
            Err(error) => {
                tracing::warn!(partition = id.index, %error, "coordinator could not write, its state is loaded again");
                for (ticket, _) in replies {
                    self.refuse_ticket(ticket, ErrorCode::CoordinatorNotAvailable);
                }
                self.unseat(id, ErrorCode::CoordinatorNotAvailable);
                let again = now.instant.after(RELOAD_DELAY);
                self.timers.add(again, Due::Coordinator(id));
            }
        }
    }

    /// Whether the log takes no batches for now. Asked before the state shows what would be in one: a full disk, or too few
    /// replicas in sync, is no reason to load the state again.
    pub(super) fn is_held_up(&mut self, id: PartitionId) -> bool {
        match self.hosted.get_mut(&id).map(Hosted::serving) {
            Some(Ok(open)) => {
                open.partition.check_in_sync().is_err()
                    || open.partition.log().is_crowded(batch_bytes_max(&open.partition))
            }
            // Where the log does not serve the coordinator is on its way out.
            _ => false,
        }
    }

    /// Appends the entries; returns the offset behind them.
    fn append_entries(
        &mut self,
        id: PartitionId,
        entries: &[Entry],
        stamp: Option<Stamp>,
        now: Now,
    ) -> Result<i64, String> {
        let Some(Seat::Active(active)) = self.coordinators.seats.get(&id) else {
            return Err("its coordinator is gone".to_owned());
        };
        let codec = active.coordinator.compression(&self.config);
        let open = match self.hosted.get_mut(&id).map(Hosted::serving) {
            Some(Ok(open)) => open,
            _ => return Err("its log does not serve".to_owned()),
        };
        self.touched.push(id);
        append(open, entries, (codec, stamp), now).map_err(|error| error.to_string())
    }

    /// The high watermark of a coordinator's partition has moved, or more of it can be read.
    pub(in crate::shard) fn advance_coordinator(&mut self, id: PartitionId, now: Now) {
        let Some(Hosted::Open(open)) = self.hosted.get(&id) else {
            return;
        };
        match self.coordinators.seats.get_mut(&id) {
            Some(Seat::Active(active)) => {
                let ready = active.release(open.partition.high_watermark());
                self.give(id, ready);
            }
            Some(Seat::Loading(loading)) => {
                let (load, waiting) = (loading.load, loading.waiting.take());
                if let Some(job) = waiting {
                    self.load_on(id, load, job, now);
                }
            }
            None => {}
        }
    }

    fn give(&mut self, id: PartitionId, ready: Outgoing) {
        self.send_markers(id, ready.markers);
        for (ticket, reply) in ready.replies {
            let answer = Answer::Coordinate(Ok(Box::new(reply)));
            self.answer(ticket.shard, ticket.request, answer);
        }
    }

    /// One deadline per coordinator stands in the shard's timers. One that has become later is left to pass in vain.
    pub(super) fn set_deadline(&mut self, id: PartitionId) {
        let Some(Seat::Active(active)) = self.coordinators.seats.get_mut(&id) else {
            return;
        };
        let Some(next) = active.next_time(&self.config) else {
            return;
        };
        match active.deadline {
            Some(set) if set <= next => return,
            Some(set) => self.timers.remove(set, Due::Coordinator(id)),
            None => {}
        }
        active.deadline = Some(next);
        self.timers.add(next, Due::Coordinator(id));
    }

    pub(in crate::shard) fn on_coordinator_due(&mut self, id: PartitionId, now: Now) {
        if self.stopping.is_some() {
            return;
        }
        self.refuse_overdue(id, now);
        let held_up = self.is_held_up(id);
        let active = match self.coordinators.seats.get_mut(&id) {
            Some(Seat::Active(active)) => active,
            Some(Seat::Loading(_)) => return,
            // Dropped because it could not write.
            None => return self.settle_coordinator(id, now),
        };
        if held_up {
            let later = now.instant.after(RELOAD_DELAY);
            active.deadline = Some(later);
            return self.timers.add(later, Due::Coordinator(id));
        }
        // Held back while the coordinator is asked, so that the next one is later than now.
        active.deadline = Some(Instant(0));
        let effects = active.coordinator.on_time(now);
        self.carry_out(id, effects, now);
        let Some(Seat::Active(active)) = self.coordinators.seats.get_mut(&id) else {
            return;
        };
        let soonest = Instant(now.instant.0 + DEADLINE_MIN_NS);
        active.deadline = active.next_time(&self.config).map(|next| next.max(soonest));
        if let Some(at) = active.deadline {
            self.timers.add(at, Due::Coordinator(id));
        }
    }

    /// What was to be written is not, or not known to be, and its requests have waited long enough.
    fn refuse_overdue(&mut self, id: PartitionId, now: Now) {
        let Some(Seat::Active(active)) = self.coordinators.seats.get_mut(&id) else {
            return;
        };
        let overdue = match active.coordinator.write_timeout(&self.config) {
            Some(timeout) => active.take_overdue(timeout, now.instant),
            None => return,
        };
        if !overdue.is_empty() && active.warn_from <= now.instant {
            active.warn_from = now.instant.after(WARN_EVERY);
            let requests = overdue.len();
            tracing::warn!(
                partition = id.index,
                requests,
                "writes take longer than offsets.commit.timeout.ms or share.coordinator.write.timeout.ms"
            );
        }
        for ticket in overdue {
            self.refuse_ticket(ticket, ErrorCode::CoordinatorNotAvailable);
        }
    }
}

impl Active {
    /// When it is to be looked at: the coordinator's own deadline, or the end of what the oldest reply may wait.
    pub(super) fn next_time(&self, config: &BrokerConfig) -> Option<Instant> {
        let oldest = self.held.iter().find(|held| !held.outgoing.replies.is_empty());
        let overdue = self.coordinator.write_timeout(config).zip(oldest);
        let overdue = overdue.map(|(timeout, held)| held.since.after(timeout));
        self.coordinator.next_time().into_iter().chain(overdue).min()
    }

    /// Those whose answers have waited for `timeout`. What else waits with them goes on waiting.
    pub(super) fn take_overdue(&mut self, timeout: Duration, now: Instant) -> Vec<Ticket> {
        let overdue = self.held.iter_mut().take_while(|held| held.since.after(timeout) <= now);
        let replies = overdue.flat_map(|held| held.outgoing.replies.drain(..));
        replies.map(|(ticket, _)| ticket).collect()
    }

    /// Returns what may go out at once.
    pub(super) fn hold(&mut self, written: Option<i64>, outgoing: Outgoing, since: Instant) -> Outgoing {
        match (written, self.held.back_mut()) {
            (Some(offset), _) => self.held.push_back(Held {
                offset,
                since,
                outgoing,
            }),
            (None, Some(last)) => last.outgoing.join(outgoing),
            (None, None) => return outgoing,
        }
        Outgoing::default()
    }

    pub(super) fn release(&mut self, high_watermark: i64) -> Outgoing {
        let mut ready = Outgoing::default();
        while let Some(held) = self.held.pop_front_if(|held| held.offset <= high_watermark) {
            ready.join(held.outgoing);
        }
        ready
    }
}

impl Outgoing {
    fn join(&mut self, later: Outgoing) {
        self.replies.extend(later.replies);
        self.markers.extend(later.markers);
    }
}

/// One batch, unless that would be larger than the topic's batches may be. A record is never larger than that: the
/// coordinators see to it.
fn append(
    open: &mut Open,
    entries: &[Entry],
    (codec, stamp): (Compression, Option<Stamp>),
    now: Now,
) -> Result<i64, AppendError> {
    let partition = &mut open.partition;
    let bytes_max = batch_bytes_max(partition);
    let warrant = stamp.map_or(Warrant::None, |stamp| stamp.warrant);
    let mut batch = builder(codec, stamp);
    for entry in entries {
        if !batch.is_empty() && batch.size() + len(entry) > bytes_max {
            let full = std::mem::replace(&mut batch, builder(codec, stamp));
            append_batch(partition, full, warrant, now)?;
        }
        batch.push(now.wall_ms, Some(&entry.key), entry.value.as_deref(), &[]);
    }
    append_batch(partition, batch, warrant, now)
}

fn batch_bytes_max(partition: &Partition) -> usize {
    usize::try_from(partition.config().max_message_bytes).unwrap_or(usize::MAX)
}

fn builder(codec: Compression, stamp: Option<Stamp>) -> BatchBuilder {
    let builder = BatchBuilder::new(codec);
    match stamp {
        None => builder,
        Some(Stamp { producer, .. }) => builder
            .producer(producer.producer_id, producer.epoch, NO_SEQUENCE)
            .transactional(),
    }
}

fn append_batch(
    partition: &mut Partition,
    batch: BatchBuilder,
    warrant: Warrant,
    now: Now,
) -> Result<i64, AppendError> {
    let bytes = batch.build();
    let batch = ValidBatch {
        header: BatchHeader::parse(&bytes).expect("the builder builds whole batches"),
        bytes,
        log_append_time_ms: -1,
    };
    let appended = partition.append(&batch, warrant, Ack::None, now.wall_ms)?;
    Ok(appended.base_offset + i64::from(batch.header.last_offset_delta) + 1)
}

/// At most what the entry takes in a batch: its two fields, their lengths, and the record's other fields.
fn len(entry: &Entry) -> usize {
    const RECORD_OVERHEAD: usize = 32;
    entry.key.len() + entry.value.as_ref().map_or(0, |value| value.len()) + RECORD_OVERHEAD
}
