//! Carries the end of a transaction to its partitions, wherever they are: one task per order, which appends the markers
//! along the way of every append and reports to the coordinator which of them are to be tried again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Seat;
use crate::metadata::Image;
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, MarkerOrder, NamedPartitions, PartitionId};
use crate::record::Marker;
use crate::rt::Now;
use crate::shard::hosted::Hosted;
use crate::shard::message::Job;
use crate::shard::state::Shard;
use crate::shard::{MarkerItem, Router};
use crate::txn::MarkersDone;
use crate::wire::ApiKey;
use crate::wire::messages::{
    BODY_BYTES_MAX, Decode, Encode, WritableTxnMarker, WritableTxnMarkerTopic, WriteTxnMarkersRequestData,
    WriteTxnMarkersResponseData, kafka_string,
};

/// An append that takes longer is tried again: markers may be written twice.
const TIMEOUT: Duration = Duration::from_secs(30);

const MARKERS_VERSION: i16 = 1;

/// A partition by the name of its topic.
type Name = (Arc<str>, i32);

/// Who leads a partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Leader {
    Here,
    At(BrokerId),
    None,
}

pub(in crate::shard) struct MarkerJob {
    /// Whose order it is, its leader epoch, which is the coordinator's, and which loading of its state gave the order.
    coordinator: PartitionId,
    epoch: LeaderEpoch,
    load: u64,
    order: MarkerOrder,
}

pub(in crate::shard) struct MarkerDone {
    coordinator: PartitionId,
    load: u64,
    /// What was ordered.
    partitions: NamedPartitions,
    done: MarkersDone,
}

impl Shard {
    pub(super) fn send_markers(&mut self, coordinator: PartitionId, orders: Vec<MarkerOrder>) {
        let (Some(Hosted::Open(open)), Some(Seat::Active(active))) =
            (self.hosted.get(&coordinator), self.coordinators.seats.get(&coordinator))
        else {
            return;
        };
        let load = active.load;
        let epoch = open.partition.leadership().epoch;
        for order in orders {
            self.jobs.push(Job::Markers(Box::new(MarkerJob {
                coordinator,
                epoch,
                load,
                order,
            })));
        }
    }

    /// A marker has been appended to a partition that is a coordinator's log. One that is being loaded will read it there.
    pub(in crate::shard) fn end_transaction(&mut self, partition: PartitionId, producer_id: i64, commit: bool) {
        if let Some(Seat::Active(active)) = self.coordinators.seats.get_mut(&partition) {
            active.coordinator.replay_marker(producer_id, commit);
        }
    }

    /// A coordinator that was loaded anew meanwhile has given the order again, and waits for the outcome of that: this one
    /// might be taken for the next transaction's.
    pub(in crate::shard) fn on_markers_done(&mut self, done: MarkerDone, now: Now) {
        let MarkerDone {
            coordinator,
            load,
            partitions,
            mut done,
        } = done;
        // That it is complete cannot be written down: the markers go out again, later and later.
        if self.is_held_up(coordinator) {
            done.failed = partitions;
        }
        if let Some(Seat::Active(active)) = self.coordinators.seats.get_mut(&coordinator)
            && active.load == load
        {
            let effects = active.coordinator.on_markers_done(done, now);
            self.carry_out(coordinator, effects, now);
        }
    }
}

impl MarkerJob {
    pub(in crate::shard) async fn run(self, router: Router) -> MarkerDone {
        let order = &self.order;
        let mut outcomes = Vec::new();
        for (leader, names) in self.by_leader(&router.image()) {
            match leader {
                Leader::Here => {
                    let (names, items) = self.items(&router.image(), names);
                    let written = router.write_markers(&items, TIMEOUT).await;
                    outcomes.extend(names.into_iter().zip(written));
                }
                Leader::At(broker) => outcomes.extend(self.order_at(&router, broker, names).await),
                Leader::None => outcomes.extend(names.into_iter().map(|name| (name, ErrorCode::LeaderNotAvailable))),
            }
        }
        let image = router.image();
        let mut failed = NamedPartitions::new();
        for ((topic, index), outcome) in outcomes {
            if !is_settled(outcome, image.topic(&topic).is_some()) {
                failed.entry(topic).or_default().insert(index);
            }
        }
        if !failed.is_empty() {
            tracing::warn!(id = %order.transactional_id, ?failed, "transaction markers are tried again");
        }
        MarkerDone {
            coordinator: self.coordinator,
            load: self.load,
            partitions: self.order.partitions,
            done: MarkersDone {
                transactional_id: self.order.transactional_id,
                producer: self.order.producer,
                failed,
            },
        }
    }

    /// The partitions that there are, by who leads them. One of a deleted topic needs no marker.
    fn by_leader(&self, image: &Image) -> BTreeMap<Leader, Vec<Name>> {
        let me = BrokerId(image.broker.broker_id);
        let mut by_leader: BTreeMap<Leader, Vec<Name>> = BTreeMap::new();
        for (name, indexes) in &self.order.partitions {
            let Some(topic) = image.topic(name) else { continue };
            for index in indexes {
                let state = usize::try_from(*index).ok().and_then(|at| topic.partitions.get(at));
                let leader = match state.and_then(|state| state.leader) {
                    Some(leader) if leader == me => Leader::Here,
                    Some(leader) => Leader::At(leader),
                    None => Leader::None,
                };
                by_leader.entry(leader).or_default().push((name.clone(), *index));
            }
        }
        by_leader
    }

    /// The brokers' own request for it, to another broker.
    async fn order_at(&self, router: &Router, broker: BrokerId, names: Vec<Name>) -> Vec<(Name, ErrorCode)> {
        let outcomes = match self.request(&names).encode(MARKERS_VERSION) {
            Ok(body) => {
                let api = (ApiKey::WRITE_TXN_MARKERS, MARKERS_VERSION);
                let answer = router.call_broker(broker, api, vec![body]).await;
                answer.map_err(|problem| problem.to_string()).and_then(|answer| {
                    let answer = WriteTxnMarkersResponseData::decode(answer, MARKERS_VERSION, BODY_BYTES_MAX);
                    answer.map_err(|problem| problem.to_string())
                })
            }
            Err(problem) => Err(problem.to_string()),
        };
        match outcomes {
            Ok(answer) => names
                .into_iter()
                .map(|name| {
                    let outcome = outcome_of(&answer, &name);
                    (name, outcome)
                })
                .collect(),
            Err(problem) => {
                tracing::debug!(broker = broker.0, problem, "no answer about transaction markers");
                names
                    .into_iter()
                    .map(|name| (name, ErrorCode::NetworkException))
                    .collect()
            }
        }
    }

    fn request(&self, names: &[Name]) -> WriteTxnMarkersRequestData {
        let order = &self.order;
        let mut topics: Vec<WritableTxnMarkerTopic> = Vec::new();
        for (name, index) in names {
            match topics.last_mut().filter(|topic| topic.name.as_str() == &**name) {
                Some(topic) => topic.partition_indexes.push(*index),
                None => topics.push(WritableTxnMarkerTopic {
                    name: kafka_string(name),
                    partition_indexes: vec![*index],
                    ..Default::default()
                }),
            }
        }
        let marker = WritableTxnMarker {
            producer_id: order.producer.producer_id,
            producer_epoch: order.producer.epoch,
            transaction_result: order.commit,
            topics,
            coordinator_epoch: self.epoch.0,
            transaction_version: order.transaction_version,
            ..Default::default()
        };
        WriteTxnMarkersRequestData {
            markers: vec![marker],
            ..Default::default()
        }
    }

    /// As appends. A topic that has gone meanwhile is left out.
    fn items(&self, image: &Image, names: Vec<Name>) -> (Vec<Name>, Vec<MarkerItem>) {
        let order = &self.order;
        let marker = Marker {
            commit: order.commit,
            coordinator_epoch: self.epoch.0,
        };
        let item = |(name, index): Name| {
            let partition = PartitionId {
                topic: image.topic(&name)?.id,
                index,
            };
            let item = MarkerItem {
                partition,
                producer_id: order.producer.producer_id,
                producer_epoch: order.producer.epoch,
                marker,
                transaction_version: order.transaction_version,
            };
            Some(((name, index), item))
        };
        names.into_iter().filter_map(item).unzip()
    }
}

fn outcome_of(answer: &WriteTxnMarkersResponseData, (name, index): &Name) -> ErrorCode {
    let topics = answer.markers.iter().flat_map(|marker| &marker.topics);
    let mut partitions = topics
        .filter(|topic| topic.name.as_str() == &**name)
        .flat_map(|topic| &topic.partitions);
    let found = partitions.find(|partition| partition.partition_index == *index);
    found.map_or(ErrorCode::UnknownServerError, |partition| {
        ErrorCode::from_code(partition.error_code)
    })
}

/// Whether nothing is left to do in the partition.
fn is_settled(outcome: ErrorCode, topic_exists: bool) -> bool {
    match outcome {
        ErrorCode::None => true,
        // Not there yet on its shard, or gone for good.
        ErrorCode::UnknownTopicOrPartition => !topic_exists,
        // The partition has seen a later producer or coordinator: this transaction has ended there.
        ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_is_tried_again() {
        assert!(is_settled(ErrorCode::None, true));
        assert!(is_settled(ErrorCode::UnknownTopicOrPartition, false));
        assert!(!is_settled(ErrorCode::UnknownTopicOrPartition, true));
        assert!(is_settled(ErrorCode::InvalidProducerEpoch, true));
        assert!(!is_settled(ErrorCode::RequestTimedOut, true));
        assert!(!is_settled(ErrorCode::KafkaStorageError, true));
    }
}
