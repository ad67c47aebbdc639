//! Coordinators come with their partitions' leaderships and go with them.

use super::effects::Stamp;
use super::{Active, Coordinator, CoordinatorReply, DeletedTopic, Loading, Seat};
use crate::model::{ErrorCode, PartitionId, ShardId, Ticket};
use crate::partition::ProducerError;
use crate::rt::{Instant, Now};
use crate::shard::append::producer_refusal;
use crate::shard::coordinator::CoordinatorRequest;
use crate::shard::hosted::Hosted;
use crate::shard::message::Answer;
use crate::shard::state::Shard;
use crate::shard::timers::Due;

impl Shard {
    /// Begins or ends a coordinator if what the partition's stage and leadership ask for has changed.
    pub(in crate::shard) fn settle_coordinator(&mut self, id: PartitionId, now: Now) {
        match (self.wanted_coordinator(id), self.coordinators.seats.contains_key(&id)) {
            (Some(_), false) => self.seat(id),
            (None, true) => self.unseat(id, ErrorCode::NotCoordinator),
            _ => return,
        }
        self.load_next(now);
    }

    pub(super) fn wanted_coordinator(&mut self, id: PartitionId) -> Option<Coordinator> {
        let open = self.hosted.get_mut(&id)?.serving().ok()?;
        Coordinator::of_topic(&open.place.topic, &self.config, &self.image).filter(|_| self.stopping.is_none())
    }

    fn seat(&mut self, id: PartitionId) {
        self.coordinators.loads += 1;
        let loading = Loading {
            load: self.coordinators.loads,
            has_begun: false,
            waiting: None,
            deleted_topics: Vec::new(),
        };
        self.coordinators.seats.insert(id, Seat::Loading(loading));
    }

    /// Ends the coordinator; everyone who waits for it is refused.
    pub(in crate::shard) fn unseat(&mut self, id: PartitionId, error: ErrorCode) {
        let Some(Seat::Active(mut active)) = self.coordinators.seats.remove(&id) else {
            return;
        };
        if let Some(at) = active.deadline {
            self.timers.remove(at, Due::Coordinator(id));
        }
        let held = active.held.iter().flat_map(|held| &held.outgoing.replies);
        let mut tickets: Vec<Ticket> = held.map(|(ticket, _)| *ticket).collect();
        tickets.extend(active.coordinator.take_waiting());
        for ticket in tickets {
            self.refuse_ticket(ticket, error);
        }
    }

    pub(super) fn refuse_ticket(&mut self, ticket: Ticket, error: ErrorCode) {
        self.answer(ticket.shard, ticket.request, Answer::Coordinate(Err(error)));
    }

    pub(in crate::shard) fn on_coordinate(
        &mut self,
        from: ShardId,
        request: u64,
        (id, ask): (PartitionId, CoordinatorRequest),
        now: Now,
    ) {
        let ticket = Ticket { shard: from, request };
        let stamp = ask.stamp();
        if let Some(answer) = stamp.and_then(|stamp| self.admit(id, stamp, now).err()) {
            return self.answer(from, request, Answer::Coordinate(answer));
        }
        let held_up = !ask.only_asks() && self.is_held_up(id);
        match self.coordinators.seats.get_mut(&id) {
            Some(Seat::Active(_)) if held_up => self.refuse_ticket(ticket, ErrorCode::CoordinatorNotAvailable),
            Some(Seat::Active(active)) => {
                let effects = active.coordinator.handle(ticket, ask, now);
                self.carry_out_as(id, effects, stamp, now);
            }
            Some(Seat::Loading(_)) => self.refuse_ticket(ticket, ErrorCode::CoordinatorLoadInProgress),
            None => {
                let error = self.no_coordinator(id);
                self.refuse_ticket(ticket, error);
            }
        }
    }

    /// Whether a batch of this producer's transaction would be appended: asked before the coordinator's state shows what
    /// is in it.
    fn admit(
        &mut self,
        id: PartitionId,
        stamp: Stamp,
        now: Now,
    ) -> Result<(), Result<Box<CoordinatorReply>, ErrorCode>> {
        let open = match self.hosted.get_mut(&id).map(Hosted::serving) {
            Some(Ok(open)) => open,
            // Nothing is written then.
            _ => return Ok(()),
        };
        let checked = open.partition.check_batch(&stamp.header(), stamp.warrant, now.wall_ms);
        checked.map_err(|error| match error {
            ProducerError::Unverified { guard, .. } => Ok(Box::new(CoordinatorReply::Unverified(guard))),
            error => Err(producer_refusal(&error)),
        })
    }

    fn no_coordinator(&self, id: PartitionId) -> ErrorCode {
        match self.hosted.get(&id) {
            Some(Hosted::Opening(_)) => ErrorCode::CoordinatorLoadInProgress,
            Some(Hosted::Failed(_)) => ErrorCode::CoordinatorNotAvailable,
            Some(Hosted::Open(open)) if open.place.dir.is_offline() => ErrorCode::CoordinatorNotAvailable,
            _ => ErrorCode::NotCoordinator,
        }
    }

    /// Offsets of topics that are gone mean nothing any more.
    pub(in crate::shard) fn forget_topics(&mut self, topics: &[DeletedTopic], now: Now) {
        let ids: Vec<PartitionId> = self.coordinators.seats.keys().copied().collect();
        for id in ids {
            match self.coordinators.seats.get_mut(&id) {
                Some(Seat::Loading(loading)) => loading.deleted_topics.extend_from_slice(topics),
                Some(Seat::Active(active)) => {
                    let effects = active.coordinator.on_topics_deleted(topics, now);
                    self.carry_out(id, effects, now);
                }
                None => {}
            }
        }
    }

    /// The shard stops: requests that wait within a state are refused, and held replies leave with the last writes.
    pub(in crate::shard) fn stop_coordinators(&mut self) {
        self.coordinators
            .seats
            .retain(|_, seat| matches!(seat, Seat::Active(_)));
        let seats = self.coordinators.seats.values_mut();
        let waiting = seats.flat_map(|seat| match seat {
            Seat::Active(active) => active.coordinator.take_waiting(),
            Seat::Loading(_) => Vec::new(),
        });
        let waiting: Vec<Ticket> = waiting.collect();
        for ticket in waiting {
            self.refuse_ticket(ticket, ErrorCode::NotCoordinator);
        }
    }
}

impl Active {
    pub(super) fn new(coordinator: Coordinator, load: u64) -> Active {
        Active {
            coordinator,
            load,
            held: Default::default(),
            deadline: None,
            warn_from: Instant(0),
        }
    }
}
