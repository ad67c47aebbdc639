//! A fetch on the side of its connection: ask the owners, wait for more where that is too little, join and trim.

use bytes::Bytes;

use super::join::{Begin, Join, Took, split};
use super::message::*;
use super::reply::ReplyTx;
use super::state::Shard;
use super::timers::Due;
use super::types::*;
use crate::metrics::Spent;
use crate::model::{PartitionId, ShardId};
use crate::rt::Instant;

/// A fetch request whose answer is not complete, or not enough yet.
pub(super) struct LongPoll {
    parts: Vec<PollPart>,
    /// By place in the request.
    fetched: Vec<Option<FetchedPartition>>,
    limits: Limits,
    deadline: Instant,
    /// The deadline has passed, or the request does not wait.
    no_wait: bool,
    /// Since when data is waited for.
    waiting: Option<Instant>,
    spent: Spent,
    reply: ReplyTx<Vec<FetchedPartition>>,
}

#[derive(Clone, Copy)]
struct Limits {
    min_bytes: usize,
    max_bytes: usize,
    reader: Reader,
}

struct PollPart {
    shard: ShardId,
    slots: Vec<u32>,
    items: Vec<FetchItem>,
    state: PartState,
    mark: u64,
    asked: Instant,
    put_off: Option<PutOff>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PartState {
    /// Its answer is under way.
    Asked,
    Answered,
    /// It answered too little and will notify once.
    Waiting,
}

impl PollPart {
    /// The partitions that may have more at any time.
    fn waits_for(&self) -> Vec<PartitionId> {
        let is_put_off = |slot: usize| {
            self.put_off
                .as_ref()
                .is_some_and(|put_off| put_off.slots.binary_search(&slot).is_ok())
        };
        let waiting = self.items.iter().enumerate().filter(|(slot, _)| !is_put_off(*slot));
        waiting.map(|(_, item)| item.partition).collect()
    }
}

impl LongPoll {
    pub(super) fn add(&mut self, took: Took, answer: FetchAnswer) {
        let Some(part) = self.parts.iter_mut().find(|part| part.shard == took.from) else {
            return;
        };
        assert_eq!(
            part.slots.len(),
            answer.partitions.len(),
            "a part is answered item by item"
        );
        part.state = PartState::Answered;
        part.mark = answer.mark;
        part.put_off = answer.put_off;
        took.add_to(&mut self.spent, part.asked);
        for (slot, fetched) in part.slots.iter().zip(answer.partitions) {
            self.fetched[*slot as usize] = Some(fetched);
        }
    }

    /// The wait, if there was one, is over.
    fn end_wait(&mut self, now: Instant) {
        if let Some(since) = self.waiting.take() {
            self.spent.wait += now.since(since).as_nanos() as u64;
        }
    }

    fn is_asking(&self) -> bool {
        self.parts.iter().any(|part| part.state == PartState::Asked)
    }

    /// Bytes still missing; 0 when the request is to be answered now (behaviour 31).
    fn missing_bytes(&self) -> usize {
        let fetched = || self.fetched.iter().flatten();
        if self.no_wait || fetched().any(|one| !one.error.is_none() || one.diverging_epoch.is_some()) {
            return 0;
        }
        let bytes = fetched().map(FetchedPartition::record_bytes).sum();
        self.limits.min_bytes.saturating_sub(bytes)
    }
}

impl Shard {
    pub(super) fn begin_fetch(&mut self, spec: FetchSpec, reply: ReplyTx<Vec<FetchedPartition>>, begin: Begin) {
        if spec.items.is_empty() {
            return reply.send(Vec::new());
        }
        let limits = Limits {
            min_bytes: spec.min_bytes,
            max_bytes: spec.max_bytes,
            reader: spec.reader,
        };
        let no_wait = spec.no_wait || spec.max_wait.is_zero() || spec.min_bytes == 0;
        let count = spec.items.len();
        let parts = split(spec.items, self.shards(), |item| item.partition);
        let request = self.joins.next();
        let deadline = begin.at.after(spec.max_wait);
        if !no_wait {
            self.timers.add(deadline, Due::Fetch(request));
        }
        for part in &parts {
            self.ask(part.shard, request, fetch_question(part.items.clone(), limits));
        }
        let parts = parts.into_iter().map(|part| PollPart {
            shard: part.shard,
            slots: part.slots,
            items: part.items,
            state: PartState::Asked,
            mark: 0,
            asked: begin.at,
            put_off: None,
        });
        let poll = LongPoll {
            parts: parts.collect(),
            fetched: vec![None; count],
            limits,
            deadline,
            no_wait,
            waiting: None,
            spent: begin.spent,
            reply,
        };
        self.joins.insert(request, Join::Fetch(poll));
    }

    /// Once every part has answered: answers, or waits for more.
    pub(super) fn advance_fetch(&mut self, request: u64) {
        let Some(poll) = self.joins.fetch(request) else {
            return;
        };
        if poll.is_asking() {
            return;
        }
        match poll.missing_bytes() {
            0 => self.finish_fetch(request),
            missing => self.wait_for_more(request, missing),
        }
    }

    /// Each owner notifies when it has its share of what is missing, so that at least one does before all of it is there.
    /// An owner that waits already gets a new, smaller share: it goes on counting from the same mark.
    fn wait_for_more(&mut self, request: u64, missing: usize) {
        let (from, now) = (self.id, self.clock);
        let Some(poll) = self.joins.fetch(request) else {
            return;
        };
        poll.waiting.get_or_insert(now);
        let kind = WaitKind::of(poll.limits.reader);
        let wanted = match kind {
            WaitKind::Visible => missing.div_ceil(poll.parts.len()) as u64,
            // Each new record wakes a follower: producers may wait for it.
            WaitKind::Submitted => 1,
        };
        let mut waits = Vec::with_capacity(poll.parts.len());
        for part in &mut poll.parts {
            part.state = PartState::Waiting;
            if let Some(put_off) = &part.put_off {
                self.timers.add(put_off.until, Due::PutOff(request));
            }
            let wait = Wait {
                request,
                from,
                kind,
                partitions: part.waits_for(),
                mark: part.mark,
                wanted,
            };
            waits.push((part.shard, wait));
        }
        for (shard, wait) in waits {
            self.send(shard, Message::Wait(wait));
        }
    }

    /// An owner has more: only it is asked again.
    pub(super) fn on_notify(&mut self, request: u64, from: ShardId) {
        self.ask_again(request, |part| part.shard == from);
    }

    /// So are those that may give by now what they have.
    pub(super) fn on_put_off(&mut self, request: u64) {
        let now = self.clock;
        let is_over = |put_off: &PutOff| put_off.until <= now;
        self.ask_again(request, |part| part.put_off.as_ref().is_some_and(is_over));
    }

    /// Where nobody wants the answer any more, a follower may hold another end by now than this request says.
    fn ask_again(&mut self, request: u64, has_more: impl Fn(&PollPart) -> bool) {
        let now = self.clock;
        while let Some(poll) = self.joins.fetch(request) {
            if !poll.reply.is_awaited() {
                return self.finish_fetch(request);
            }
            let limits = poll.limits;
            let is_due = |part: &&mut PollPart| part.state == PartState::Waiting && has_more(part);
            let Some(part) = poll.parts.iter_mut().find(is_due) else {
                return;
            };
            (part.state, part.asked) = (PartState::Asked, now);
            let (shard, question) = (part.shard, fetch_question(part.items.clone(), limits));
            poll.end_wait(now);
            self.ask(shard, request, question);
        }
    }

    pub(super) fn on_fetch_timeout(&mut self, request: u64) {
        if let Some(poll) = self.joins.fetch(request) {
            poll.no_wait = true;
            self.advance_fetch(request);
        }
    }

    fn finish_fetch(&mut self, request: u64) {
        let Some(mut poll) = self.joins.remove_fetch(request) else {
            return;
        };
        poll.end_wait(self.clock);
        self.timers.remove(poll.deadline, Due::Fetch(request));
        for put_off in poll.parts.iter().filter_map(|part| part.put_off.as_ref()) {
            self.timers.remove(put_off.until, Due::PutOff(request));
        }
        let from = self.id;
        for part in poll.parts.iter().filter(|part| part.state == PartState::Waiting) {
            self.send(part.shard, Message::Forget { request, from });
        }
        let mut fetched: Vec<FetchedPartition> = poll.fetched.into_iter().flatten().collect();
        trim(&mut fetched, poll.limits.max_bytes);
        poll.reply.send_after(fetched, poll.spent);
    }
}

fn fetch_question(items: Vec<FetchItem>, limits: Limits) -> Question {
    Question::Fetch(FetchPart {
        items,
        max_bytes: limits.max_bytes,
        reader: limits.reader,
    })
}

/// Each owner kept to the limit alone; together they may be above it. Cuts in request order, between batches; the first
/// partition with data keeps a whole batch whatever the limit (behaviour 32).
fn trim(fetched: &mut [FetchedPartition], max_bytes: usize) {
    let mut left = max_bytes;
    let mut first = true;
    for one in fetched {
        let bytes = one.record_bytes();
        if bytes > left {
            cut(&mut one.records, left, first);
        }
        let kept = one.record_bytes();
        first &= kept == 0;
        left = left.saturating_sub(kept);
    }
}

/// Keeps the whole batches within `max_bytes`, or one if `at_least_one`.
pub(super) fn cut(records: &mut Vec<Bytes>, max_bytes: usize, at_least_one: bool) {
    let mut left = max_bytes;
    let mut at_least_one = at_least_one;
    for at in 0..records.len() {
        let kept = whole_batches(&records[at], left, at_least_one);
        at_least_one = false;
        left = left.saturating_sub(kept);
        if kept < records[at].len() {
            records[at].truncate(kept);
            records.truncate(if kept == 0 { at } else { at + 1 });
            return;
        }
    }
}

/// Bytes of the batches at the front of `slice` that lie within `max_bytes` (the first in any case if `at_least_one`).
fn whole_batches(slice: &[u8], max_bytes: usize, at_least_one: bool) -> usize {
    let mut end = 0;
    while let Some(len) = batch_len(&slice[end..]) {
        let next = end + len;
        if next > slice.len() || (next > max_bytes && !(at_least_one && end == 0)) {
            break;
        }
        end = next;
    }
    end
}

/// Bytes of the batch at the front: its length field, at byte 8, counts what follows it.
fn batch_len(bytes: &[u8]) -> Option<usize> {
    let length = i32::from_be_bytes(*bytes.get(8..)?.first_chunk::<4>()?);
    usize::try_from(length).ok().map(|length| length + 12)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ErrorCode;

    /// Bytes with a length field that says `len` in all.
    fn batch(len: usize) -> Vec<u8> {
        let mut batch = vec![0; len];
        batch[8..12].copy_from_slice(&(len as i32 - 12).to_be_bytes());
        batch
    }

    fn fetched(slices: &[&[usize]]) -> FetchedPartition {
        let slice = |lens: &&[usize]| Bytes::from(lens.iter().flat_map(|len| batch(*len)).collect::<Vec<u8>>());
        FetchedPartition {
            records: slices.iter().map(slice).collect(),
            ..FetchedPartition::refused(ErrorCode::None)
        }
    }

    fn trimmed(mut partitions: Vec<FetchedPartition>, max_bytes: usize) -> Vec<usize> {
        trim(&mut partitions, max_bytes);
        partitions.iter().map(FetchedPartition::record_bytes).collect()
    }

    /// Cuts fall between batches, in request order, also inside a slice that holds several.
    #[test]
    fn answers_are_cut_between_batches() {
        let partitions = || vec![fetched(&[&[100, 50], &[70]]), fetched(&[&[60]]), fetched(&[&[20]])];
        assert_eq!(trimmed(partitions(), 1_000), [220, 60, 20]);
        assert_eq!(trimmed(partitions(), 280), [220, 60, 0]);
        assert_eq!(trimmed(partitions(), 279), [220, 0, 20]);
        assert_eq!(trimmed(partitions(), 160), [150, 0, 0]);
        assert_eq!(trimmed(partitions(), 149), [100, 0, 20]);
    }

    /// The first partition with data keeps one whole batch, however small the limit.
    #[test]
    fn first_data_keeps_a_whole_batch() {
        assert_eq!(
            trimmed(vec![fetched(&[]), fetched(&[&[100, 100]]), fetched(&[&[30]])], 10),
            [0, 100, 0]
        );
        assert_eq!(trimmed(vec![fetched(&[&[100], &[100]])], 0), [100]);
    }
}
