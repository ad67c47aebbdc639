//! Carries the end of a transaction to its partitions, wherever they are: one task per order, which appends the markers
//! along the way of every append and reports to the coordinator which of them are to be tried again.

use std::sync::Arc;
use std::time::Duration;

use super::Seat;
use crate::metadata::Image;
use crate::model::{ErrorCode, LeaderEpoch, MarkerOrder, NamedPartitions, PartitionId};
use crate::record::Marker;
use crate::rt::Now;
use crate::shard::hosted::Hosted;
use crate::shard::message::Job;
use crate::shard::state::Shard;
use crate::shard::{MarkerItem, Router};
use crate::txn::MarkersDone;

/// An append that takes longer is tried again: markers may be written twice.
const TIMEOUT: Duration = Duration::from_secs(30);

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
        let (names, items) = self.items(&router.image());
        let outcomes = router.write_markers(&items, TIMEOUT).await;
        let image = router.image();
        let mut failed = NamedPartitions::new();
        for ((topic, index), outcome) in names.into_iter().zip(outcomes) {
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

    /// The partitions that there are, by name and as appends. One of a deleted topic needs no marker.
    fn items(&self, image: &Image) -> (Vec<(Arc<str>, i32)>, Vec<MarkerItem>) {
        let order = &self.order;
        let marker = Marker {
            commit: order.commit,
            coordinator_epoch: self.epoch.0,
        };
        let named = order
            .partitions
            .iter()
            .flat_map(|(topic, indexes)| indexes.iter().map(move |index| (topic, *index)));
        let item = |(name, index): (&Arc<str>, i32)| {
            let partition = PartitionId {
                topic: image.topic(name)?.id,
                index,
            };
            let item = MarkerItem {
                partition,
                producer_id: order.producer.producer_id,
                producer_epoch: order.producer.epoch,
                marker,
                transaction_version: order.transaction_version,
            };
            Some(((name.clone(), index), item))
        };
        named.filter_map(item).unzip()
    }
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
