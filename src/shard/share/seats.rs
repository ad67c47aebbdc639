//! Share partitions come when a group asks for them, and go with their partition.

use std::sync::Arc;

use super::{Active, Loading, Name, Seat, ShareAction, ShareAsk, ShareJob, ShareJobDone, ShareReply};
use crate::model::{ErrorCode, PartitionId, ShardId, Ticket};
use crate::rt::Now;
use crate::shard::hosted::Hosted;
use crate::shard::message::{Answer, Job};
use crate::shard::state::Shard;
use crate::shard::timers::Due;
use crate::share::SharePartition;

/// Questions that wait for one state to load; beyond it they are refused with a retriable error.
const WAITING_MAX: usize = 1_024;

impl Shard {
    pub(in crate::shard) fn on_share(
        &mut self,
        from: ShardId,
        request: u64,
        (id, ask): (PartitionId, ShareAsk),
        now: Now,
    ) {
        let ticket = Ticket { shard: from, request };
        let incarnation = match self.hosted.get_mut(&id).map(Hosted::serving) {
            None => return self.refuse_share(ticket, ErrorCode::UnknownTopicOrPartition),
            Some(Err(error)) => return self.refuse_share(ticket, error),
            Some(Ok(_)) if self.stopping.is_some() => {
                return self.refuse_share(ticket, ErrorCode::NotLeaderOrFollower);
            }
            Some(Ok(open)) => open.life().incarnation,
        };
        let name = (id, ask.group.clone());
        match self.shares.seats.get_mut(&name) {
            Some(Seat::Active(active)) if active.incarnation == incarnation => self.act(&name, ticket, ask, now),
            Some(Seat::Loading(loading)) if loading.waiting.len() < WAITING_MAX => {
                loading.waiting.push((ticket, ask));
            }
            Some(Seat::Loading(_)) => self.refuse_share(ticket, ErrorCode::NotLeaderOrFollower),
            _ if ask.action.is_idle_without_state() => self.answer_share(ticket, ShareReply::Done),
            Some(Seat::Active(_)) | None => self.load_share(name, ticket, ask),
        }
    }

    fn load_share(&mut self, name: Name, ticket: Ticket, ask: ShareAsk) {
        self.drop_share(&name, ErrorCode::NotLeaderOrFollower);
        self.shares.lives += 1;
        let life = self.shares.lives;
        let job = match ask.action {
            ShareAction::Reset(offset) => ShareJob::begin_at(name.clone(), life, offset),
            _ => ShareJob::load(name.clone(), life, ask.begin),
        };
        let loading = Loading {
            life,
            waiting: vec![(ticket, ask)],
        };
        self.shares.seats.insert(name, Seat::Loading(loading));
        self.jobs.push(Job::Share(Box::new(job)));
    }

    pub(in crate::shard) fn on_share_job(&mut self, done: ShareJobDone, now: Now) {
        match done {
            ShareJobDone::Loaded { name, life, result } => self.on_share_loaded(&name, life, result, now),
            ShareJobDone::Saved { name, life, result } => self.on_share_saved(&name, life, result),
            ShareJobDone::Deleted { ticket, result } => match result {
                Ok(()) => self.answer_share(ticket, ShareReply::Done),
                Err(error) => self.refuse_share(ticket, error),
            },
        }
    }

    fn on_share_loaded(&mut self, name: &Name, life: u64, result: Result<SharePartition, ErrorCode>, now: Now) {
        let waiting = match self.shares.seats.remove(name) {
            Some(Seat::Loading(loading)) if loading.life == life => loading.waiting,
            Some(other) => {
                self.shares.seats.insert(name.clone(), other);
                return;
            }
            None => return,
        };
        let incarnation = match self.hosted.get_mut(&name.0).map(Hosted::serving) {
            Some(Ok(open)) => Ok(open.life().incarnation),
            Some(Err(error)) => Err(error),
            None => Err(ErrorCode::UnknownTopicOrPartition),
        };
        let loaded = result.and_then(|state| Ok((state, incarnation?)));
        let (state, incarnation) = match (loaded, waiting.first()) {
            (Ok(loaded), Some(_)) => loaded,
            (Ok(_), None) => return,
            (Err(error), _) => {
                for (ticket, _) in waiting {
                    self.refuse_share(ticket, error);
                }
                return;
            }
        };
        let active = Active {
            life,
            incarnation,
            state,
            limits: waiting[0].1.limits,
            saving: None,
            unsaved: Vec::new(),
            watching: Vec::new(),
            deadline: None,
        };
        self.shares.seats.insert(name.clone(), Seat::Active(Box::new(active)));
        for (ticket, ask) in waiting {
            self.on_share(ticket.shard, ticket.request, (name.0, ask), now);
        }
    }

    /// Everyone who waits for it is refused.
    pub(super) fn drop_share(&mut self, name: &Name, error: ErrorCode) {
        let tickets: Vec<Ticket> = match self.shares.seats.remove(name) {
            None => return,
            Some(Seat::Loading(loading)) => loading.waiting.into_iter().map(|(ticket, _)| ticket).collect(),
            Some(Seat::Active(active)) => {
                if let Some(at) = active.deadline {
                    self.timers.remove(at, Due::Share(name.0));
                }
                let watching = active.watching.into_iter().map(|(_, ticket)| ticket);
                let saving = active.saving.into_iter().flatten();
                saving.chain(active.unsaved).chain(watching).collect()
            }
        };
        for ticket in tickets {
            self.refuse_share(ticket, error);
        }
    }

    /// The partition goes away.
    pub(in crate::shard) fn drop_shares(&mut self, id: PartitionId, error: ErrorCode) {
        for name in self.shares_of(id) {
            self.drop_share(&name, error);
        }
    }

    /// The shard stops. What is acquired now will be offered again.
    pub(in crate::shard) fn stop_shares(&mut self) {
        let names: Vec<Name> = self.shares.seats.keys().cloned().collect();
        for name in names {
            self.drop_share(&name, ErrorCode::NotLeaderOrFollower);
        }
    }

    pub(super) fn shares_of(&self, id: PartitionId) -> Vec<Name> {
        let first: Name = (id, Arc::from(""));
        let names = self.shares.seats.range(first..).map(|(name, _)| name);
        names.take_while(|name| name.0 == id).cloned().collect()
    }

    pub(super) fn answer_share(&mut self, ticket: Ticket, reply: ShareReply) {
        self.answer(ticket.shard, ticket.request, Answer::Share(Ok(reply)));
    }

    pub(super) fn refuse_share(&mut self, ticket: Ticket, error: ErrorCode) {
        self.answer(ticket.shard, ticket.request, Answer::Share(Err(error)));
    }
}
