//! What coordinators are asked and answer, and the coordinators themselves: one variant each per kind.

use std::sync::Arc;

use bytes::Bytes;

use crate::config::BrokerConfig;
use crate::group::{GroupCoordinator, GroupReply, GroupRequest};
use crate::model::{Effects, OFFSETS_TOPIC, Ticket};
use crate::rt::{Instant, Now};

#[derive(Debug)]
pub enum CoordinatorRequest {
    Group(GroupRequest),
}

#[derive(Debug)]
pub enum CoordinatorReply {
    Group(GroupReply),
}

pub(in crate::shard) enum Coordinator {
    Group(GroupCoordinator),
}

impl Coordinator {
    /// An empty one, if the partitions of this topic are coordinators' logs.
    pub(super) fn of_topic(topic: &str, config: &Arc<BrokerConfig>) -> Option<Coordinator> {
        match topic {
            OFFSETS_TOPIC => Some(Coordinator::Group(GroupCoordinator::new(config.groups.clone()))),
            _ => None,
        }
    }

    /// Takes in one record of the log. Records come in the order of their offsets.
    /// `producer` is the transactional producer that wrote it.
    pub(super) fn replay(&mut self, key: &Bytes, value: Option<&Bytes>, producer: Option<i64>) {
        match self {
            Coordinator::Group(groups) => groups.replay(key, value, producer),
        }
    }

    /// Takes in the end of the producer's transaction.
    pub(super) fn replay_marker(&mut self, producer: i64, committed: bool) {
        match self {
            Coordinator::Group(groups) => groups.end_transaction(producer, committed),
        }
    }

    /// All records are replayed.
    pub(super) fn on_loaded(&mut self, now: Now) -> Effects<CoordinatorReply> {
        match self {
            Coordinator::Group(groups) => groups.on_loaded(now).map(CoordinatorReply::Group),
        }
    }

    pub(super) fn handle(
        &mut self,
        ticket: Ticket,
        request: CoordinatorRequest,
        now: Now,
    ) -> Effects<CoordinatorReply> {
        match (self, request) {
            (Coordinator::Group(groups), CoordinatorRequest::Group(request)) => {
                groups.handle(ticket, request, now).map(CoordinatorReply::Group)
            }
        }
    }

    /// The earliest deadline; [`Coordinator::on_time`] is called once it has passed.
    pub(super) fn next_time(&self) -> Option<Instant> {
        match self {
            Coordinator::Group(groups) => groups.next_time(),
        }
    }

    pub(super) fn on_time(&mut self, now: Now) -> Effects<CoordinatorReply> {
        match self {
            Coordinator::Group(groups) => groups.on_time(now).map(CoordinatorReply::Group),
        }
    }

    pub(super) fn on_topics_deleted(&mut self, topics: &[String], now: Now) -> Effects<CoordinatorReply> {
        match self {
            Coordinator::Group(groups) => groups.on_topics_deleted(topics, now).map(CoordinatorReply::Group),
        }
    }

    /// Takes out all requests that wait within the state.
    pub(super) fn take_waiting(&mut self) -> Vec<Ticket> {
        match self {
            Coordinator::Group(groups) => groups.take_waiting(),
        }
    }
}
