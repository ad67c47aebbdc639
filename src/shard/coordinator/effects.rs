//! Carries out what a coordinator wants done: entries into its log, replies behind them, its next deadline.

use std::time::Duration;

use super::{Active, CoordinatorReply, Held, Seat};
use crate::model::{Effects, Entry, ErrorCode, PartitionId, Ticket};
use crate::partition::{AppendError, Partition, Warrant};
use crate::record::{BatchBuilder, BatchHeader, Compression, ValidBatch};
use crate::rt::{Instant, Now};
use crate::shard::hosted::{Hosted, Open};
use crate::shard::message::Answer;
use crate::shard::state::Shard;
use crate::shard::timers::Due;

/// A coordinator is asked again this much later at the earliest, whatever it says.
const DEADLINE_MIN_NS: u64 = 1_000_000;
/// Between a write that failed and loading the state again.
const RELOAD_DELAY: Duration = Duration::from_millis(100);

impl Shard {
    pub(super) fn carry_out(&mut self, id: PartitionId, effects: Effects<CoordinatorReply>, now: Now) {
        let Effects { entries, replies } = effects;
        let written = match entries.is_empty() {
            true => Ok(None),
            false => self.append_entries(id, &entries, now).map(Some),
        };
        let Some(Seat::Active(active)) = self.coordinators.seats.get_mut(&id) else {
            return;
        };
        match written {
            Ok(written) => {
                let ready = active.hold(written, replies);
                self.set_deadline(id);
                self.give(ready);
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

    /// Appends the entries; returns the offset behind them.
    fn append_entries(&mut self, id: PartitionId, entries: &[Entry], now: Now) -> Result<i64, String> {
        let codec = self.config.groups.compression;
        let open = match self.hosted.get_mut(&id).map(Hosted::serving) {
            Some(Ok(open)) => open,
            _ => return Err("its log does not serve".to_owned()),
        };
        self.touched.push(id);
        append(open, entries, codec, now).map_err(|error| error.to_string())
    }

    /// The high watermark of a coordinator's partition has moved, or more of it can be read.
    pub(in crate::shard) fn advance_coordinator(&mut self, id: PartitionId, now: Now) {
        let Some(Hosted::Open(open)) = self.hosted.get(&id) else {
            return;
        };
        match self.coordinators.seats.get_mut(&id) {
            Some(Seat::Active(active)) => {
                let ready = active.release(open.partition.high_watermark());
                self.give(ready);
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

    fn give(&mut self, replies: Vec<(Ticket, CoordinatorReply)>) {
        for (ticket, reply) in replies {
            let answer = Answer::Coordinate(Ok(Box::new(reply)));
            self.answer(ticket.shard, ticket.request, answer);
        }
    }

    /// One deadline per coordinator stands in the shard's timers. One that has become later is left to pass in vain.
    pub(super) fn set_deadline(&mut self, id: PartitionId) {
        let Some(Seat::Active(active)) = self.coordinators.seats.get_mut(&id) else {
            return;
        };
        let Some(next) = active.coordinator.next_time() else {
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
        let active = match self.coordinators.seats.get_mut(&id) {
            Some(Seat::Active(active)) => active,
            Some(Seat::Loading(_)) => return,
            // Dropped because it could not write.
            None => return self.settle_coordinator(id, now),
        };
        // Held back while the coordinator is asked, so that the next one is later than now.
        active.deadline = Some(Instant(0));
        let effects = active.coordinator.on_time(now);
        self.carry_out(id, effects, now);
        let Some(Seat::Active(active)) = self.coordinators.seats.get_mut(&id) else {
            return;
        };
        let soonest = Instant(now.instant.0 + DEADLINE_MIN_NS);
        active.deadline = active.coordinator.next_time().map(|next| next.max(soonest));
        if let Some(at) = active.deadline {
            self.timers.add(at, Due::Coordinator(id));
        }
    }
}

impl Active {
    /// Returns the replies that may be given at once.
    fn hold(
        &mut self,
        written: Option<i64>,
        replies: Vec<(Ticket, CoordinatorReply)>,
    ) -> Vec<(Ticket, CoordinatorReply)> {
        match (written, self.held.back_mut()) {
            (Some(offset), _) => self.held.push_back(Held { offset, replies }),
            (None, Some(last)) => last.replies.extend(replies),
            (None, None) => return replies,
        }
        Vec::new()
    }

    fn release(&mut self, high_watermark: i64) -> Vec<(Ticket, CoordinatorReply)> {
        let mut ready = Vec::new();
        while let Some(held) = self.held.pop_front_if(|held| held.offset <= high_watermark) {
            ready.extend(held.replies);
        }
        ready
    }
}

/// One batch, unless that would be larger than the topic's batches may be. A record is never larger than that: the
/// coordinators see to it.
fn append(open: &mut Open, entries: &[Entry], codec: Compression, now: Now) -> Result<i64, AppendError> {
    let partition = &mut open.partition;
    let bytes_max = usize::try_from(partition.config().max_message_bytes).unwrap_or(usize::MAX);
    let mut batch = BatchBuilder::new(codec);
    for entry in entries {
        if !batch.is_empty() && batch.size() + len(entry) > bytes_max {
            let full = std::mem::replace(&mut batch, BatchBuilder::new(codec));
            append_batch(partition, full, now)?;
        }
        batch.push(now.wall_ms, Some(&entry.key), entry.value.as_deref(), &[]);
    }
    append_batch(partition, batch, now)
}

fn append_batch(partition: &mut Partition, batch: BatchBuilder, now: Now) -> Result<i64, AppendError> {
    let bytes = batch.build();
    let batch = ValidBatch {
        header: BatchHeader::parse(&bytes).expect("the builder builds whole batches"),
        bytes,
        log_append_time_ms: -1,
    };
    let appended = partition.append(&batch, Warrant::None, None, now.wall_ms)?;
    Ok(appended.base_offset + i64::from(batch.header.last_offset_delta) + 1)
}

/// At most what the entry takes in a batch: its two fields, their lengths, and the record's other fields.
fn len(entry: &Entry) -> usize {
    const RECORD_OVERHEAD: usize = 32;
    entry.key.len() + entry.value.as_ref().map_or(0, |value| value.len()) + RECORD_OVERHEAD
}
