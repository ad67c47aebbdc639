//! When a quorum has lost its majority for good: what one of its nodes holds becomes the metadata of a single node, from
//! which another quorum begins.
//!
//! All that stands in the node's log counts, be it that no majority is known to have it: it may have been acknowledged.
//! What only the lost nodes had is gone. Nothing here keeps them from going on as a quorum, should they come back.

use std::path::{Path, PathBuf};

use super::super::{Embedded, StartError};
use super::log::LogStore;
use super::machine::Machine;
use super::types::LogId;
use crate::metadata::command::Command;
use crate::metadata::decide::{Draw, decide, silent_brokers};
use crate::metadata::image::{Image, ImageEpoch};
use crate::metadata::record::{self, Record};
use crate::metadata::thread::alone;
use crate::model::{BrokerId, LeaderEpoch};
use crate::rt::{blocking, lane};

/// Where the files of the quorum go, beside its directory.
const LOST: &str = "lost-quorum";

/// Producer ids, epochs of partitions and commits that the lost nodes may be ahead.
const PRODUCER_IDS_STEP: i64 = 1 << 32;
const EPOCHS_STEP: i32 = 1_000;
const COMMITS_STEP: u64 = 1_000_000;

/// What a node of a quorum holds.
pub struct Salvage {
    dir: PathBuf,
    pub image: Image,
    last: Option<LogId>,
}

impl Salvage {
    /// Of a node that does not run. `empty`: of its cluster.
    pub fn read(dir: &Path, empty: Image) -> Result<Salvage, StartError> {
        let incomplete = |what: &str| StartError::Incomplete {
            path: dir.to_path_buf(),
            what: what.to_owned(),
        };
        let fault = |cause| StartError::Io {
            path: dir.to_path_buf(),
            cause,
        };
        if !LogStore::exists(dir).map_err(fault)? {
            return Err(incomplete("there is no log of a quorum"));
        }
        // Nobody follows what is applied.
        let (events, _) = lane(1);
        let mut machine = Machine::open(dir, empty, events)?;
        let log = LogStore::open(dir)?;
        let Some(commits) = log.commits_behind(machine.applied()) else {
            return Err(incomplete("the log begins behind the end of the snapshot"));
        };
        for commit in &commits {
            machine.take(commit).map_err(fault)?;
        }
        let image = machine.image().clone();
        if image.epoch == ImageEpoch(0) {
            return Err(incomplete(match Embedded::is_new(dir).map_err(fault)? {
                true => "the node has never heard from its quorum",
                false => "they are a single node's already: start it",
            }));
        }
        Ok(Salvage {
            dir: dir.to_path_buf(),
            image,
            last: log.last().max(machine.applied()),
        })
    }

    /// Numbers that the lost nodes may have given out since are not given out again.
    pub fn step_over(&mut self) {
        let next = self.image.next_producer_id + PRODUCER_IDS_STEP;
        let mut records = vec![Record::ProducerIds(record::ProducerIds { next })];
        for topic in self.image.topics.values() {
            for before in &topic.partitions {
                let mut state = before.clone();
                state.leader_epoch = LeaderEpoch(before.leader_epoch.0 + EPOCHS_STEP);
                state.partition_epoch += EPOCHS_STEP;
                records.push(Record::Partition(record::Partition::new(topic.id, &state)));
            }
        }
        self.image.apply_all(&records);
        self.image.epoch = ImageEpoch(self.image.epoch.0 + COMMITS_STEP);
    }

    /// All brokers but this node's are fenced, so that it leads what it may: at the next start their sessions would end with
    /// its own, and whoever is fenced last is thought to have most.
    pub fn fence_others(&mut self) {
        let me = BrokerId(self.image.broker.broker_id);
        let live = alone(me, self.image.epoch, &[], &|_| true);
        let draw = Draw {
            topic_ids: Vec::new(),
            placement: 0,
        };
        for (broker, epoch) in silent_brokers(&self.image, &live) {
            let command = Command::FenceSilent { broker, epoch };
            if let Ok(decision) = decide(&self.image, &live, &command, &draw) {
                self.image.apply_all(&decision.records);
                self.image.epoch = ImageEpoch(self.image.epoch.0 + 1);
            }
        }
    }

    /// The term and the number of the last entry: of several nodes the one with the greatest has most.
    pub fn last(&self) -> (u64, u64) {
        self.last
            .map_or((0, 0), |last| (**last.committed_leader_id(), last.index()))
    }

    /// Makes it the metadata of a single node, at once: a crash leaves one or the other. Gives where the quorum's files are
    /// from then on.
    pub fn make_single(&self) -> Result<PathBuf, StartError> {
        let aside = self.dir.with_extension(LOST);
        let fault = |cause| StartError::Io {
            path: aside.clone(),
            cause,
        };
        match LogStore::exists(&aside) {
            Ok(true) => {
                return Err(StartError::Incomplete {
                    path: aside,
                    what: "it holds what was put aside before: move it away".to_owned(),
                });
            }
            // What a crash left.
            Ok(false) if !Embedded::is_new(&aside).map_err(fault)? => {
                blocking::remove_dir_all(&aside).map_err(fault)?
            }
            Ok(false) => {}
            Err(cause) => return Err(fault(cause)),
        }
        let put = || {
            Embedded::write(&aside, self.image.epoch, &self.image.to_records())?;
            blocking::exchange(&self.dir, &aside)?;
            self.dir.parent().map_or(Ok(()), blocking::sync_dir)
        };
        put().map_err(fault)?;
        Ok(aside)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_lite::future::block_on;
    use openraft::storage::{IOFlushed, RaftLogStorage};

    use super::super::codec::log_id;
    use super::super::types::{Commit, Entry, Payload};
    use super::*;
    use crate::config::BrokerConfig;
    use crate::metadata::engine::{Engine, SnapshotPolicy};

    fn empty(dir: &Path) -> Image {
        Image::empty("none", Arc::new(BrokerConfig::embedded(dir)))
    }

    /// Decided on `base`, and says that the cluster's id is that number.
    fn entry(index: u64, base: u64) -> Entry {
        let id = index.to_string();
        let mut records = Vec::new();
        record::encode_all(&[Record::ClusterId(record::ClusterId { id })], &mut records);
        Entry {
            log_id: log_id(4, index),
            payload: Payload::Normal(Commit {
                base,
                epoch: base + 1,
                records: records.into(),
            }),
        }
    }

    /// All that stands in the log counts, but for what was decided on another state; a single node goes on from there.
    #[test]
    fn a_single_node_goes_on_with_what_was_left() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("metadata");
        let mut log = LogStore::open(&dir).unwrap();
        let entries = vec![entry(1, 0), entry(2, 1), entry(3, 1)];
        block_on(log.append(entries, IOFlushed::noop())).unwrap();
        drop(log);
        let mut salvage = Salvage::read(&dir, empty(&dir)).unwrap();
        assert_eq!((salvage.last(), salvage.image.epoch), ((4, 3), ImageEpoch(2)));
        assert_eq!(&*salvage.image.cluster_id, "2");

        salvage.step_over();
        assert_eq!(salvage.image.next_producer_id, PRODUCER_IDS_STEP);
        let epoch_after = ImageEpoch(2 + COMMITS_STEP);
        let aside = salvage.make_single().unwrap();
        let mut single = Embedded::new(dir.clone(), SnapshotPolicy::default());
        let (records, epoch) = block_on(single.start()).unwrap();
        assert_eq!((records, epoch), (salvage.image.to_records(), epoch_after));
        assert!(LogStore::exists(&aside).unwrap() && Salvage::read(&dir, empty(&dir)).is_err());
        // Once more it would take the place of what was put aside.
        assert!(salvage.make_single().is_err());
    }

    #[test]
    fn a_log_without_its_beginning_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let mut log = LogStore::open(scratch.path()).unwrap();
        block_on(log.append(vec![entry(1, 0), entry(2, 1)], IOFlushed::noop())).unwrap();
        block_on(log.purge(log_id(4, 1))).unwrap();
        assert!(Salvage::read(scratch.path(), empty(scratch.path())).is_err());
    }
}
