//! Share partitions come when a group asks for them, and go with their partition.

use std::sync::Arc;

use super::ask::keeping_refusal;
use super::jobs::{Loaded, Outcome};
use super::{Active, Loading, Name, Seat, ShareAction, ShareAsk, ShareJob, ShareJobDone, ShareReply};
use crate::model::{ErrorCode, Incarnation, LeaderEpoch, PartitionId, ShardId, Ticket};
use crate::rt::Now;
use crate::shard::hosted::{Hosted, Open};
use crate::shard::message::{Answer, Job};
use crate::shard::state::Shard;
use crate::shard::timers::Due;

/// Questions that wait for one state to load; beyond it they are refused with a retriable error.
const WAITING_MAX: usize = 1_024;

/// Whose share it is: that of one life of the partition, under one leadership.
#[derive(Clone, Copy)]
struct Tenure {
    incarnation: Incarnation,
    epoch: LeaderEpoch,
}

impl Tenure {
    fn of(open: &Open) -> Tenure {
        Tenure {
            incarnation: open.life().incarnation,
            epoch: open.partition.leadership().epoch,
        }
    }
}

impl Active {
    /// Another may have led meanwhile, and saved.
    fn is_at(&self, tenure: Tenure) -> bool {
        self.incarnation == tenure.incarnation && self.epochs.leader == tenure.epoch.0
    }
}

impl ShareAsk {
    fn asks_anew(&self, active: &Active) -> bool {
        matches!(self.action, ShareAction::Begin) && active.is_idle()
    }
}

impl Shard {
    pub(in crate::shard) fn on_share(
        &mut self,
        from: ShardId,
        request: u64,
        (id, ask): (PartitionId, ShareAsk),
        now: Now,
    ) {
        let ticket = Ticket { shard: from, request };
        let tenure = match self.hosted.get_mut(&id).map(Hosted::serving) {
            None => return self.refuse_share(ticket, ErrorCode::UnknownTopicOrPartition),
            Some(Err(error)) => return self.refuse_share(ticket, error),
            Some(Ok(_)) if self.stopping.is_some() => {
                return self.refuse_share(ticket, ErrorCode::NotLeaderOrFollower);
            }
            Some(Ok(open)) => Tenure::of(open),
        };
        let name = (id, ask.group.clone());
        match self.shares.seats.get_mut(&name) {
            Some(Seat::Active(active)) if active.is_at(tenure) && !ask.asks_anew(active) => {
                self.act(&name, ticket, ask, now);
            }
            Some(Seat::Loading(loading)) if loading.waiting.len() < WAITING_MAX => {
                loading.waiting.push((ticket, ask));
            }
            Some(Seat::Loading(_)) => self.refuse_share(ticket, ErrorCode::NotLeaderOrFollower),
            _ if ask.action.is_idle_without_state() => {
                self.drop_share(&name, ErrorCode::NotLeaderOrFollower);
                self.answer_share(ticket, ShareReply::Done);
            }
            Some(Seat::Active(_)) | None => self.load_share(name, tenure, ticket, ask),
        }
    }

    fn load_share(&mut self, name: Name, tenure: Tenure, ticket: Ticket, ask: ShareAsk) {
        self.drop_share(&name, ErrorCode::NotLeaderOrFollower);
        self.shares.lives += 1;
        let life = self.shares.lives;
        let job = ShareJob::load(name.clone(), life, tenure.epoch, ask.begin);
        let loading = Loading {
            life,
            waiting: vec![(ticket, ask)],
        };
        self.shares.seats.insert(name, Seat::Loading(loading));
        self.jobs.push(Job::Share(Box::new(job)));
    }

    pub(in crate::shard) fn on_share_job(&mut self, done: ShareJobDone, now: Now) {
        let ShareJobDone { name, life, outcome } = done;
        match outcome {
            Outcome::Loaded(result) => self.on_share_loaded(&name, life, result, now),
            Outcome::Saved(result) => self.on_share_saved(&name, life, result),
        }
    }

    fn on_share_loaded(&mut self, name: &Name, life: u64, result: Result<Loaded, ErrorCode>, now: Now) {
        let waiting = match self.shares.seats.remove(name) {
            Some(Seat::Loading(loading)) if loading.life == life => loading.waiting,
            Some(other) => {
                self.shares.seats.insert(name.clone(), other);
                return;
            }
            None => return,
        };
        let tenure = match self.hosted.get_mut(&name.0).map(Hosted::serving) {
            Some(Ok(open)) => Ok(Tenure::of(open)),
            Some(Err(error)) => Err(error),
            None => Err(ErrorCode::UnknownTopicOrPartition),
        };
        let loaded = result.map_err(keeping_refusal).and_then(|loaded| Ok((loaded, tenure?)));
        let (loaded, tenure) = match (loaded, waiting.first()) {
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
            incarnation: tenure.incarnation,
            epochs: loaded.epochs,
            state: loaded.state,
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
