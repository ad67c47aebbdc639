//! A consumer that is a member of a group: reads the partitions that it is given, from what the group has committed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::membership::{Membership, Step};
use super::{ClientError, Cluster, ConsumedRecord, Consumer, ConsumerSettings, GroupSettings, Position};
use crate::rt::{Instant, now, tool};

/// The last commit of a member is tried for so long.
const LAST_COMMIT_TRIES: usize = 50;
const RETRY_BACKOFF: Duration = Duration::from_millis(100);

/// Reads one topic as a member of a group. What [`GroupConsumer::poll`] has returned counts as read at the next call, or
/// at [`GroupConsumer::close`]; [`GroupConsumer::put_back`] takes it back.
pub struct GroupConsumer {
    consumer: Consumer,
    membership: Membership,
    commit_interval: Option<Duration>,
    commit_at: Instant,
    committed: BTreeMap<i32, i64>,
}

impl GroupConsumer {
    /// Finds the topic; the group is joined by and by, as it is polled. `start` is where partitions begin of which the
    /// group has committed nothing.
    pub fn open(
        cluster: Cluster,
        topic: &str,
        start: Position,
        settings: ConsumerSettings,
        group: GroupSettings,
    ) -> Result<GroupConsumer, ClientError> {
        let commit_interval = group.commit_interval;
        let mut consumer = Consumer::open(cluster, topic, None, start, settings)?;
        consumer.assign(BTreeSet::new(), BTreeMap::new())?;
        Ok(GroupConsumer {
            consumer,
            membership: Membership::new(group, topic),
            commit_interval,
            commit_at: now().after(commit_interval.unwrap_or_default()),
            committed: BTreeMap::new(),
        })
    }

    /// The next records; none while the group rebalances, or if none came within `max_wait_ms`.
    pub fn poll(&mut self) -> Result<Vec<ConsumedRecord>, ClientError> {
        if self.commit_interval.is_some() && now() >= self.commit_at {
            self.commit();
        }
        let patience = self.consumer.patience();
        match self.membership.step(self.consumer.cluster(), patience)? {
            Step::Waiting => {}
            Step::Assigned(partitions) => self.take_over(partitions)?,
            Step::Revoked => {
                self.commit();
                self.give_up()?;
            }
            Step::Lost => self.give_up()?,
            Step::Steady if self.consumer.positions().is_empty() => tool::sleep(patience),
            Step::Steady => return self.consumer.poll(),
        }
        Ok(Vec::new())
    }

    /// These records, the last ones of what was returned, have not been read after all.
    pub fn put_back(&mut self, records: &[ConsumedRecord]) {
        self.consumer.put_back(records);
    }

    /// Commits what was read and leaves the group.
    pub fn close(mut self) -> Result<(), ClientError> {
        for _ in 0..LAST_COMMIT_TRIES {
            if self.commit() {
                break;
            }
            tool::sleep(RETRY_BACKOFF);
        }
        self.membership.leave(self.consumer.cluster())
    }

    fn take_over(&mut self, partitions: BTreeSet<i32>) -> Result<(), ClientError> {
        tracing::info!(?partitions, "partitions assigned");
        self.committed = match partitions.is_empty() {
            true => BTreeMap::new(),
            false => self.membership.committed(self.consumer.cluster(), &partitions)?,
        };
        self.consumer.assign(partitions, self.committed.clone())
    }

    fn give_up(&mut self) -> Result<(), ClientError> {
        self.committed.clear();
        self.consumer.assign(BTreeSet::new(), BTreeMap::new())
    }

    /// As Kafka's, a commit that fails is said and made good by the next one. True: nothing is left to commit.
    fn commit(&mut self) -> bool {
        let Some(interval) = self.commit_interval else {
            return true;
        };
        self.commit_at = now().after(interval);
        let positions = self.consumer.positions().clone();
        if positions.is_empty() || positions == self.committed {
            return true;
        }
        match self.membership.commit(self.consumer.cluster(), &positions) {
            Ok(()) => {
                self.committed = positions;
                true
            }
            Err(problem) => {
                tracing::warn!(%problem, "offsets were not committed");
                !problem.is_passing() && !problem.code().is_some_and(super::coordinator::is_elsewhere)
            }
        }
    }
}
