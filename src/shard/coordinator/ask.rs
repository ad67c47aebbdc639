//! What coordinators are asked and answer, and the coordinators themselves: one variant each per kind.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::config::BrokerConfig;
use crate::group::{Found, GroupCoordinator, GroupReply, GroupRequest, Search};
use crate::metadata::Image;
use crate::model::{Effects, OFFSETS_TOPIC, SHARE_STATE_TOPIC, TRANSACTIONS_TOPIC, Ticket};
use crate::partition::Guard;
use crate::record::Compression;
use crate::rt::{Instant, Now};
use crate::share::{ShareStates, StateAnswer, StateRequest};
use crate::txn::{MarkersDone, TxnReply, TxnRequest};

use super::DeletedTopic;
use super::effects::Stamp;
use super::transactions::Transactions;

#[derive(Debug)]
pub enum CoordinatorRequest {
    Group(GroupRequest),
    /// What it writes is part of a producer's transaction.
    GroupAs(Stamp, GroupRequest),
    Txn(TxnRequest),
    ShareState(StateRequest),
}

#[derive(Debug)]
pub enum CoordinatorReply {
    Group(GroupReply),
    /// To a `GroupAs` whose transaction is not known here yet: nothing was done.
    Unverified(Guard),
    Txn(TxnReply),
    ShareState(StateAnswer),
}

pub(in crate::shard) enum Coordinator {
    Group(Box<GroupCoordinator>),
    Txn(Transactions),
    ShareState(ShareStates),
}

impl CoordinatorRequest {
    pub(super) fn stamp(&self) -> Option<Stamp> {
        match self {
            CoordinatorRequest::GroupAs(stamp, _) => Some(*stamp),
            _ => None,
        }
    }

    /// Whether it can be answered while nothing can be written.
    pub(super) fn only_asks(&self) -> bool {
        match self {
            CoordinatorRequest::Group(request) => matches!(
                request,
                GroupRequest::Heartbeat(_)
                    | GroupRequest::FetchOffsets(_)
                    | GroupRequest::Describe(_)
                    | GroupRequest::DescribeConsumer(_)
                    | GroupRequest::List(_)
            ),
            CoordinatorRequest::GroupAs(..) => false,
            CoordinatorRequest::ShareState(request) => request.only_asks(),
            CoordinatorRequest::Txn(request) => matches!(
                request,
                TxnRequest::Verify(_) | TxnRequest::Describe(_) | TxnRequest::List
            ),
        }
    }
}

impl Coordinator {
    /// An empty one, if the partitions of this topic are coordinators' logs.
    pub(super) fn of_topic(topic: &str, config: &Arc<BrokerConfig>, image: &Arc<Image>) -> Option<Coordinator> {
        match topic {
            OFFSETS_TOPIC => {
                let groups = GroupCoordinator::new(config.groups.clone(), image.clone());
                Some(Coordinator::Group(Box::new(groups)))
            }
            TRANSACTIONS_TOPIC => Some(Coordinator::Txn(Transactions::new(&config.transactions))),
            SHARE_STATE_TOPIC => Some(Coordinator::ShareState(ShareStates::default())),
            _ => None,
        }
    }

    /// How its entries are written. //= Kafka: the setting is the offsets topic's alone
    pub(super) fn compression(&self, config: &BrokerConfig) -> Compression {
        match self {
            Coordinator::Group(_) => config.groups.compression,
            Coordinator::Txn(_) => Compression::None,
            Coordinator::ShareState(_) => config.shares.compression,
        }
    }

    /// How long replies may wait for what was written before them. //= Kafka: offsets.commit.timeout.ms is for all that
    /// group coordinators write
    pub(super) fn write_timeout(&self, config: &BrokerConfig) -> Option<Duration> {
        match self {
            Coordinator::Group(_) => Some(config.groups.write_timeout),
            Coordinator::ShareState(_) => Some(config.shares.write_timeout),
            Coordinator::Txn(_) => None,
        }
    }

    /// Takes in one record of the log. Records come in the order of their offsets.
    /// `producer` is the transactional producer that wrote it.
    pub(super) fn replay(&mut self, key: &Bytes, value: Option<&Bytes>, producer: Option<i64>) {
        match self {
            Coordinator::Group(groups) => groups.replay(key, value, producer),
            Coordinator::Txn(transactions) => transactions.replay(key, value),
            Coordinator::ShareState(states) => states.replay(key, value),
        }
    }

    /// Takes in the end of the producer's transaction.
    pub(super) fn replay_marker(&mut self, producer: i64, committed: bool) {
        match self {
            Coordinator::Group(groups) => groups.end_transaction(producer, committed),
            Coordinator::Txn(_) | Coordinator::ShareState(_) => {}
        }
    }

    /// All records are replayed.
    pub(super) fn on_loaded(&mut self, now: Now) -> Effects<CoordinatorReply> {
        match self {
            Coordinator::Group(groups) => groups.on_loaded(now).map(CoordinatorReply::Group),
            Coordinator::Txn(transactions) => transactions.on_loaded(now).map(CoordinatorReply::Txn),
            Coordinator::ShareState(_) => Effects::default(),
        }
    }

    pub(super) fn handle(
        &mut self,
        ticket: Ticket,
        request: CoordinatorRequest,
        now: Now,
    ) -> Effects<CoordinatorReply> {
        match (self, request) {
            (
                Coordinator::Group(groups),
                CoordinatorRequest::Group(request) | CoordinatorRequest::GroupAs(_, request),
            ) => groups.handle(ticket, request, now).map(CoordinatorReply::Group),
            (Coordinator::Txn(transactions), CoordinatorRequest::Txn(request)) => {
                transactions.handle(ticket, request, now).map(CoordinatorReply::Txn)
            }
            (Coordinator::ShareState(states), CoordinatorRequest::ShareState(request)) => {
                states.handle(ticket, request, now).map(CoordinatorReply::ShareState)
            }
            _ => unreachable!("a partition is asked for what its topic keeps"),
        }
    }

    /// The earliest deadline; [`Coordinator::on_time`] is called once it has passed.
    pub(super) fn next_time(&self) -> Option<Instant> {
        match self {
            Coordinator::Group(groups) => groups.next_time(),
            Coordinator::Txn(transactions) => transactions.next_time(),
            Coordinator::ShareState(_) => None,
        }
    }

    pub(super) fn on_time(&mut self, now: Now) -> Effects<CoordinatorReply> {
        match self {
            Coordinator::Group(groups) => groups.on_time(now).map(CoordinatorReply::Group),
            Coordinator::Txn(transactions) => transactions.on_time(now).map(CoordinatorReply::Txn),
            Coordinator::ShareState(_) => Effects::default(),
        }
    }

    /// Markers that it ordered have been written, or have failed.
    pub(super) fn on_markers_done(&mut self, done: MarkersDone, now: Now) -> Effects<CoordinatorReply> {
        match self {
            Coordinator::Group(_) | Coordinator::ShareState(_) => Effects::default(),
            Coordinator::Txn(transactions) => transactions.on_markers_done(done, now).map(CoordinatorReply::Txn),
        }
    }

    /// A newer image; `changed` are the topics that came, went, or have more partitions.
    pub(super) fn set_catalog(&mut self, image: Arc<Image>, changed: &[Arc<str>]) {
        match self {
            Coordinator::Group(groups) => groups.set_catalog(image, changed),
            Coordinator::Txn(_) | Coordinator::ShareState(_) => {}
        }
    }

    pub(super) fn on_topics_deleted(&mut self, topics: &[DeletedTopic], now: Now) -> Effects<CoordinatorReply> {
        match self {
            Coordinator::Group(groups) => {
                let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
                groups.on_topics_deleted(&names, now).map(CoordinatorReply::Group)
            }
            // A marker for a topic that is gone is one that needs no writing.
            Coordinator::Txn(_) => Effects::default(),
            Coordinator::ShareState(states) => {
                let is_gone = |id| topics.iter().any(|topic| topic.id == id);
                states.on_topics_deleted(is_gone).map(CoordinatorReply::ShareState)
            }
        }
    }

    /// Searches that it wants done.
    pub(super) fn take_searches(&mut self) -> Vec<Search> {
        match self {
            Coordinator::Group(groups) => groups.take_searches(),
            Coordinator::Txn(_) | Coordinator::ShareState(_) => Vec::new(),
        }
    }

    /// What a search has found.
    pub(super) fn on_found(&mut self, found: Found, now: Now) -> Effects<CoordinatorReply> {
        match self {
            Coordinator::Group(groups) => groups.on_found(found, now).map(CoordinatorReply::Group),
            Coordinator::Txn(_) | Coordinator::ShareState(_) => Effects::default(),
        }
    }

    /// Takes out all requests that wait within the state.
    pub(super) fn take_waiting(&mut self) -> Vec<Ticket> {
        match self {
            Coordinator::Group(groups) => groups.take_waiting(),
            Coordinator::Txn(_) | Coordinator::ShareState(_) => Vec::new(),
        }
    }
}
