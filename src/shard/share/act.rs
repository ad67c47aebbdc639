//! Questions to a share partition that is loaded, and what follows from them.

use super::ask::{keeping_refusal, refusal};
use super::{Active, Name, Seat, ShareAction, ShareAsk, ShareJob, ShareReply};
use crate::model::{ErrorCode, PartitionId, Ticket};
use crate::rt::Now;
use crate::shard::hosted::Hosted;
use crate::shard::message::Job;
use crate::shard::state::Shard;
use crate::shard::timers::Due;
use crate::share::Kept;

/// Connections that watch one share partition; beyond it they are answered at once.
const WATCHING_MAX: usize = 4_096;

/// What becomes of a question.
enum Outcome {
    Answered(ShareReply),
    Refused(ErrorCode),
    /// Answered by the next save.
    WithSave,
    Watching,
}

impl Shard {
    pub(super) fn act(&mut self, name: &Name, ticket: Ticket, ask: ShareAsk, now: Now) {
        let log_start = self.share_log_start(name.0);
        let Some(Seat::Active(active)) = self.shares.seats.get_mut(name) else {
            return;
        };
        active.limits = ask.limits;
        let mut has_more = log_start.is_some_and(|log_start| active.state.on_log_start(log_start));
        let outcome = match ask.action {
            ShareAction::Begin => Outcome::Answered(ShareReply::Done),
            ShareAction::Next => Outcome::Answered(ShareReply::Next(active.state.next_offset(&active.limits))),
            ShareAction::Acquire(wanted) => {
                let acquired = active.state.acquire(&ask.member, &wanted, &active.limits, now);
                Outcome::Answered(ShareReply::Acquired(acquired))
            }
            ShareAction::Acknowledge(batches) => {
                has_more = true;
                let done = active.state.acknowledge(&ask.member, &batches, &active.limits, now);
                done.map_or_else(|error| Outcome::Refused(refusal(error)), |()| Outcome::WithSave)
            }
            ShareAction::Release => {
                has_more |= active.state.release(&ask.member, &active.limits);
                Outcome::Answered(ShareReply::Done)
            }
            ShareAction::Watch(until) => {
                active.watching.retain(|(until, _)| *until > now.instant);
                match active.watching.len() < WATCHING_MAX {
                    true => active.watching.push((until, ticket)),
                    false => return self.answer_share(ticket, ShareReply::Done),
                }
                Outcome::Watching
            }
        };
        match outcome {
            Outcome::Answered(reply) => self.answer_share(ticket, reply),
            Outcome::Refused(error) => self.refuse_share(ticket, error),
            Outcome::WithSave => active.unsaved.push(ticket),
            Outcome::Watching => {}
        }
        self.follow_up(name, has_more);
    }

    fn share_log_start(&mut self, id: PartitionId) -> Option<i64> {
        match self.hosted.get_mut(&id).map(Hosted::serving) {
            Some(Ok(open)) => Some(open.partition.log().log_start()),
            _ => None,
        }
    }

    /// Saves what changed, sets the next deadline, and tells those who watch.
    fn follow_up(&mut self, name: &Name, has_more: bool) {
        let Some(Seat::Active(active)) = self.shares.seats.get_mut(name) else {
            return;
        };
        let mut ready = Vec::new();
        if has_more {
            ready.extend(active.watching.drain(..).map(|(_, ticket)| ticket));
        }
        if active.saving.is_none() {
            match active.state.is_unsaved() {
                true => {
                    let kept = Kept {
                        epochs: active.epochs,
                        saved: active.state.save(),
                    };
                    let job = ShareJob::save(name.clone(), active.life, kept);
                    active.saving = Some(std::mem::take(&mut active.unsaved));
                    self.jobs.push(Job::Share(Box::new(job)));
                }
                // Nothing that is kept has changed: a lock was renewed.
                false => ready.append(&mut active.unsaved),
            }
        }
        self.set_share_deadline(name);
        for ticket in ready {
            self.answer_share(ticket, ShareReply::Done);
        }
    }

    pub(super) fn on_share_saved(&mut self, name: &Name, life: u64, result: Result<(), ErrorCode>) {
        let active = match self.shares.seats.get_mut(name) {
            Some(Seat::Active(active)) if active.life == life => active,
            _ => return,
        };
        if let Err(error) = result {
            tracing::warn!(group = %name.1, partition = name.0.index, ?error, "share group's state could not be saved, it is loaded again");
            return self.drop_share(name, keeping_refusal(error));
        }
        for ticket in active.saving.take().unwrap_or_default() {
            self.answer_share(ticket, ShareReply::Done);
        }
        self.follow_up(name, false);
    }

    /// One that has become later is left to pass in vain.
    fn set_share_deadline(&mut self, name: &Name) {
        let Some(Seat::Active(active)) = self.shares.seats.get_mut(name) else {
            return;
        };
        let Some(next) = active.state.next_time() else {
            return;
        };
        if active.deadline.is_none_or(|set| next < set) {
            active.deadline = Some(next);
            self.timers.add(next, Due::Share(name.0));
        }
    }

    /// Locks of share groups on this partition may be over.
    pub(in crate::shard) fn on_share_due(&mut self, id: PartitionId, now: Now) {
        for name in self.shares_of(id) {
            let Some(Seat::Active(active)) = self.shares.seats.get_mut(&name) else {
                continue;
            };
            if active.deadline.is_none_or(|at| at > now.instant) {
                continue;
            }
            active.deadline = None;
            let released = active.on_time(now);
            self.follow_up(&name, released);
        }
    }
}

impl Active {
    /// Nobody holds records, and all that is known is saved.
    pub(super) fn is_idle(&self) -> bool {
        let is_saved = self.saving.is_none() && self.unsaved.is_empty() && !self.state.is_unsaved();
        is_saved && self.state.next_time().is_none()
    }

    fn on_time(&mut self, now: Now) -> bool {
        self.state.on_time(&self.limits, now.instant)
    }
}
