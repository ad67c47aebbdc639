//! Requests of this shard's connections: split by owner, and joined again in the order of their items.

use std::collections::BTreeMap;

use super::coordinator::CoordinatorReply;
use super::long_poll::LongPoll;
use super::message::*;
use super::placement::owner;
use super::reply::ReplyTx;
use super::share::ShareReply;
use super::state::Shard;
use super::types::*;
use crate::metrics::Spent;
use crate::model::{ErrorCode, PartitionId, ShardId};
use crate::rt::{Instant, Now};

/// Requests whose answers are not complete; bounded by what the connections have in flight.
#[derive(Default)]
pub(super) struct Joins {
    next: u64,
    open: BTreeMap<u64, Join>,
}

/// A request that waits for its parts.
pub(super) enum Join {
    Append(Gather<AppendOutcome>),
    Fetch(LongPoll),
    ListOffsets(Gather<ListedOffset>),
    EpochEnds(Gather<EpochEnd>),
    DeleteRecords(Gather<DeletedRecords>),
    LogSizes(Gather<LogSize>),
    Producers(Gather<PartitionProducers>),
    Coordinate(ReplyTx<Result<Box<CoordinatorReply>, ErrorCode>>, Begin),
    Share(ReplyTx<Result<ShareReply, ErrorCode>>, Begin),
}

/// One shard's items, with their places in the request.
pub(super) struct Part<I> {
    pub(super) shard: ShardId,
    pub(super) slots: Vec<u32>,
    pub(super) items: Vec<I>,
}

impl Joins {
    pub(super) fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn insert(&mut self, request: u64, join: Join) {
        self.open.insert(request, join);
    }

    pub(super) fn fetch(&mut self, request: u64) -> Option<&mut LongPoll> {
        match self.open.get_mut(&request)? {
            Join::Fetch(poll) => Some(poll),
            _ => None,
        }
    }

    pub(super) fn remove_fetch(&mut self, request: u64) -> Option<LongPoll> {
        match self.open.remove(&request)? {
            Join::Fetch(poll) => Some(poll),
            other => {
                self.open.insert(request, other);
                None
            }
        }
    }
}

/// Splits a request's items by owner; the parts in the order of their first item.
pub(super) fn split<I>(items: Vec<I>, shards: usize, partition: impl Fn(&I) -> PartitionId) -> Vec<Part<I>> {
    let mut parts: Vec<Part<I>> = Vec::with_capacity(shards.min(items.len()));
    for (slot, item) in items.into_iter().enumerate() {
        let shard = owner(partition(&item), shards);
        let at = parts.iter().position(|part| part.shard == shard).unwrap_or_else(|| {
            parts.push(Part {
                shard,
                slots: Vec::new(),
                items: Vec::new(),
            });
            parts.len() - 1
        });
        parts[at].slots.push(slot as u32);
        parts[at].items.push(item);
    }
    parts
}

/// The outcomes of a request's parts, until the last one is there.
pub(super) struct Gather<T> {
    parts: Vec<(ShardId, Vec<u32>)>,
    outcomes: Vec<Option<T>>,
    missing: usize,
    begun: Instant,
    spent: Spent,
    reply: ReplyTx<Vec<T>>,
}

impl<T> Gather<T> {
    fn new<I>(parts: &mut [Part<I>], begin: Begin, reply: ReplyTx<Vec<T>>) -> Gather<T> {
        let count = parts.iter().map(|part| part.items.len()).sum();
        let mut outcomes = Vec::new();
        outcomes.resize_with(count, || None);
        Gather {
            missing: parts.len(),
            parts: parts
                .iter_mut()
                .map(|part| (part.shard, std::mem::take(&mut part.slots)))
                .collect(),
            outcomes,
            begun: begin.at,
            spent: begin.spent,
            reply,
        }
    }

    /// Takes in one part. True when it was the last one.
    fn add(&mut self, took: Took, outcomes: Vec<T>) -> bool {
        let Some((_, slots)) = self.parts.iter().find(|(shard, _)| *shard == took.from) else {
            return false;
        };
        took.add_to(&mut self.spent, self.begun);
        assert_eq!(slots.len(), outcomes.len(), "a part is answered item by item");
        for (slot, outcome) in slots.iter().zip(outcomes) {
            self.outcomes[*slot as usize] = Some(outcome);
        }
        self.missing -= 1;
        self.missing == 0
    }

    fn finish(self) {
        let outcomes = self.outcomes.into_iter().flatten().collect();
        self.reply.send_after(outcomes, self.spent);
    }
}

/// When the pump took a request up, and the time until then.
#[derive(Clone, Copy)]
pub(super) struct Begin {
    pub(super) at: Instant,
    pub(super) spent: Spent,
}

impl Begin {
    /// All of it counts as the owner's.
    fn spent_until(self, now: Instant) -> Spent {
        Spent {
            local: now.since(self.at).as_nanos() as u64,
            ..self.spent
        }
    }
}

/// The times of a part's answer, on the clock that all shards share.
#[derive(Clone, Copy)]
pub(super) struct Took {
    pub(super) from: ShardId,
    is_own: bool,
    taken: Instant,
    done: Instant,
    joined: Instant,
}

impl Took {
    /// What a part that was asked at `asked` adds to its request.
    pub(super) fn add_to(self, spent: &mut Spent, asked: Instant) {
        let mut remote = self.taken.since(asked) + self.joined.since(self.done);
        if self.is_own {
            remote = std::time::Duration::ZERO;
        }
        spent.take_slower(remote, self.done.since(self.taken));
    }
}

impl Shard {
    /// Splits a request and sends its parts off.
    pub(super) fn begin(&mut self, request: Request, asked: Option<Instant>, now: Now) {
        let queue = asked.map_or(0, |asked| now.instant.since(asked).as_nanos() as u64);
        let spent = Spent {
            queue,
            ..Spent::default()
        };
        let begin = Begin { at: now.instant, spent };
        match request {
            Request::Append {
                items,
                acks,
                timeout,
                may_lead,
                reply,
            } => {
                let question = |items| {
                    Question::Append(AppendPart {
                        items,
                        acks,
                        timeout,
                        may_lead,
                    })
                };
                self.scatter(begin, items, |item| item.partition, reply, Join::Append, question);
            }
            Request::Fetch { spec, reply } => self.begin_fetch(spec, reply, begin),
            Request::ListOffsets { items, reply } => {
                self.scatter(
                    begin,
                    items,
                    |item| item.partition,
                    reply,
                    Join::ListOffsets,
                    Question::ListOffsets,
                );
            }
            Request::EpochEnds { items, reply } => {
                self.scatter(
                    begin,
                    items,
                    |item| item.partition,
                    reply,
                    Join::EpochEnds,
                    Question::EpochEnds,
                );
            }
            Request::DeleteRecords { items, timeout, reply } => {
                let question = |items| Question::DeleteRecords(DeletePart { items, timeout });
                self.scatter(
                    begin,
                    items,
                    |item| item.partition,
                    reply,
                    Join::DeleteRecords,
                    question,
                );
            }
            Request::LogSizes { items, reply } => {
                self.scatter(
                    begin,
                    items,
                    |item| item.partition,
                    reply,
                    Join::LogSizes,
                    Question::LogSizes,
                );
            }
            Request::Producers { items, reply } => {
                self.scatter(
                    begin,
                    items,
                    |item| item.partition,
                    reply,
                    Join::Producers,
                    Question::Producers,
                );
            }
            Request::Coordinate {
                partition,
                request: asked,
                reply,
            } => {
                let request = self.joins.next();
                self.joins.insert(request, Join::Coordinate(reply, begin));
                let to = owner(partition, self.shards());
                self.ask(to, request, Question::Coordinate(partition, asked));
            }
            Request::FollowChanges { reply } => self.on_follow_changes(reply),
            Request::AppendFetched { items, reply } => self.on_append_fetched(items, reply, now),
            Request::CutLogs { items, reply } => self.on_cut_logs(items, reply),
            Request::Share { partition, ask, reply } => {
                let request = self.joins.next();
                self.joins.insert(request, Join::Share(reply, begin));
                self.ask(
                    owner(partition, self.shards()),
                    request,
                    Question::Share(partition, ask),
                );
            }
        }
    }

    fn scatter<I, T>(
        &mut self,
        begin: Begin,
        items: Vec<I>,
        partition: impl Fn(&I) -> PartitionId,
        reply: ReplyTx<Vec<T>>,
        join: impl Fn(Gather<T>) -> Join,
        question: impl Fn(Vec<I>) -> Question,
    ) {
        if items.is_empty() {
            return reply.send(Vec::new());
        }
        let mut parts = split(items, self.shards(), partition);
        let request = self.joins.next();
        self.joins.insert(request, join(Gather::new(&mut parts, begin, reply)));
        for part in parts {
            self.ask(part.shard, request, question(part.items));
        }
    }

    /// One message to the owner; where its outbox is full, the part is refused here.
    pub(super) fn ask(&mut self, to: ShardId, request: u64, question: Question) {
        let from = self.id;
        let message = if self.has_room_for(to) {
            Message::Ask(Ask {
                from,
                request,
                question,
            })
        } else {
            let answer = question.refused(ErrorCode::NotLeaderOrFollower);
            return self.send(
                from,
                Message::Answer(PartAnswer {
                    request,
                    from: to,
                    answer,
                    taken: self.clock,
                    done: self.clock,
                }),
            );
        };
        self.send(to, message);
    }

    pub(super) fn on_answer(&mut self, answer: PartAnswer) {
        let PartAnswer {
            request,
            from,
            answer,
            taken,
            done,
        } = answer;
        let answer = match answer {
            Answer::Coordinate(reply) => {
                if let Some(Join::Coordinate(waiting, begin)) = self.joins.open.remove(&request) {
                    waiting.send_after(reply, begin.spent_until(self.clock));
                }
                return;
            }
            Answer::Share(reply) => {
                if let Some(Join::Share(waiting, begin)) = self.joins.open.remove(&request) {
                    waiting.send_after(reply, begin.spent_until(self.clock));
                }
                return;
            }
            answer => answer,
        };
        let took = Took {
            from,
            is_own: from == self.id,
            taken,
            done,
            joined: self.clock,
        };
        let Some(join) = self.joins.open.get_mut(&request) else {
            return;
        };
        let complete = match (join, answer) {
            (Join::Fetch(poll), Answer::Fetch(answer)) => {
                poll.add(took, answer);
                return self.advance_fetch(request);
            }
            (Join::Append(gather), Answer::Append(outcomes)) => gather.add(took, outcomes),
            (Join::ListOffsets(gather), Answer::ListOffsets(outcomes)) => gather.add(took, outcomes),
            (Join::EpochEnds(gather), Answer::EpochEnds(outcomes)) => gather.add(took, outcomes),
            (Join::DeleteRecords(gather), Answer::DeleteRecords(outcomes)) => gather.add(took, outcomes),
            (Join::LogSizes(gather), Answer::LogSizes(outcomes)) => gather.add(took, outcomes),
            (Join::Producers(gather), Answer::Producers(outcomes)) => gather.add(took, outcomes),
            _ => unreachable!("a shard answers the kind of question that it was asked"),
        };
        if complete && let Some(join) = self.joins.open.remove(&request) {
            finish(join);
        }
    }
}

fn finish(join: Join) {
    match join {
        Join::Append(gather) => gather.finish(),
        Join::ListOffsets(gather) => gather.finish(),
        Join::EpochEnds(gather) => gather.finish(),
        Join::DeleteRecords(gather) => gather.finish(),
        Join::LogSizes(gather) => gather.finish(),
        Join::Producers(gather) => gather.finish(),
        Join::Fetch(_) | Join::Coordinate(..) | Join::Share(..) => {}
    }
}
