//! What was promised, and whether it was kept.
//!
//! | promise | looked at |
//! |---|---|
//! | what acks=all acknowledges stays, once, at its offset | in the logs at the end |
//! | it is on min.insync.replicas replicas | as it is acknowledged, by `load` |
//! | what a consumer is shown stays, and nobody shows anything else there | at each read, and in the logs at the end |
//! | a replica's high watermark does not go back in one life | at each read |
//! | one leader in each epoch, and only it acknowledges | at each commit, and in the logs at the end |
//! | a broker that was fenced for its silence acknowledges nothing, not even with acks=1 | at each acknowledgement |
//! | whoever is in an ISR has an active broker | at each commit |
//!
//! An unclean election ends the promises that were made about records before it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::env;

use super::consensus::Consensus;
use crate::metadata::{Image, PartitionState};
use crate::model::{BrokerId, PartitionId};
use crate::record::BatchHeader;
use crate::rt;
use crate::rt::sim::Rule;

/// A batch as it lies in a log. What it is known by, its CRC, neither offset nor epoch changes; no two batches share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub offset: i64,
    pub crc: u32,
    pub epoch: i32,
    pub bytes: Vec<u8>,
}

/// Whole batches, as a fetch brings them.
pub fn batches(mut bytes: &[u8]) -> Vec<Batch> {
    let mut found = Vec::new();
    while let Ok(header) = BatchHeader::parse(bytes)
        && header.total_len() <= bytes.len()
    {
        let (batch, rest) = bytes.split_at(header.total_len());
        header.check_crc(batch).expect("a whole batch");
        found.push(Batch {
            offset: header.base_offset,
            crc: header.crc,
            epoch: header.leader_epoch,
            bytes: batch.to_vec(),
        });
        bytes = rest;
    }
    found
}

/// acks=all was answered.
#[derive(Clone, Copy)]
pub struct Ack {
    pub offset: i64,
    pub crc: u32,
    pub by: BrokerId,
    /// The leader epoch, or one before it.
    pub epoch: i32,
    /// The batch had not been sent before, so that whoever acknowledged it took it.
    pub is_first: bool,
}

pub struct Oracle {
    /// As all commits so far make it.
    image: Image,
    seen: usize,
    partitions: BTreeMap<PartitionId, Promises>,
    /// Fenced since their sessions are over.
    silent: BTreeSet<BrokerId>,
    all_acks: usize,
    pub history: History,
    /// The last partition whose ISR grew, and by whom.
    pub grown: Option<(PartitionId, BrokerId)>,
}

/// What a batch is known by, and who showed it first.
#[derive(Clone, Copy)]
struct Shown {
    crc: u32,
    epoch: i32,
    by: BrokerId,
}

#[derive(Default)]
struct Promises {
    /// By offset.
    acked: BTreeMap<i64, Ack>,
    /// By epoch.
    leaders: BTreeMap<i32, BrokerId>,
    /// By offset: what a consumer was shown.
    visible: BTreeMap<i64, Shown>,
    /// By broker: in which of its lives, and how far.
    high_watermarks: BTreeMap<BrokerId, (u64, i64)>,
    /// Of the last leader that need not have had all: what was promised before its epoch need not be kept.
    since_epoch: i32,
    /// Another broker has been given a replica, or a leader was elected uncleanly: a high watermark may begin again.
    may_begin_again: bool,
}

impl Oracle {
    /// `rule`: the one that is switched off.
    pub fn new(image: Image, rule: Option<Rule>) -> Oracle {
        Oracle {
            image,
            seen: 0,
            partitions: BTreeMap::new(),
            silent: BTreeSet::new(),
            all_acks: 0,
            grown: None,
            history: History {
                is_quiet: rule.is_some(),
                lines: RefCell::default(),
            },
        }
    }

    pub fn image(&self) -> &Image {
        &self.image
    }

    /// How many batches were acknowledged with acks=all.
    pub fn acks(&self) -> usize {
        self.all_acks
    }

    /// What was promised in that epoch of the partition is still to be kept.
    pub fn is_valid(&self, id: PartitionId, epoch: i32) -> bool {
        let promises = self.partitions.get(&id);
        promises.is_none_or(|promises| epoch >= promises.since_epoch)
    }

    /// The controller has not heard it for a session, and has given its leaderships to others.
    pub fn is_silent(&self, broker: BrokerId) -> bool {
        self.silent.contains(&broker)
    }

    /// Looks at the commits that are new.
    pub fn follow(&mut self, consensus: &Consensus) {
        while self.seen < consensus.commits() {
            let before = self.image.clone();
            self.seen += 1;
            // One commit may change a partition several times, as when several brokers are fenced: each counts.
            for record in &consensus.commit_at(self.seen - 1) {
                let earlier = self.image.clone();
                self.image.apply_all([record]);
                self.note_partitions(&earlier);
            }
            self.note_brokers(&before);
            self.note_silence(&before);
            self.check_isrs();
        }
    }

    fn note_brokers(&self, before: &Image) {
        let lives = |image: &Image| -> Vec<_> {
            let brokers = image.brokers.values();
            let life = brokers.map(|one| (one.id.0, one.epoch, one.fenced, one.in_controlled_shutdown.is_some()));
            life.collect()
        };
        let now = lives(&self.image);
        if lives(before) != now {
            let commit = self.seen;
            self.history.note(format!(
                "commit {commit}: brokers (id, epoch, fenced, stopping) {now:?}"
            ));
        }
    }

    fn note_partitions(&mut self, before: &Image) {
        for (name, topic) in self.image.topics.clone() {
            for state in &topic.partitions {
                let id = PartitionId {
                    topic: topic.id,
                    index: state.index,
                };
                if let Some(leader) = state.leader {
                    let leaders = &mut self.partitions.entry(id).or_default().leaders;
                    let known = *leaders.entry(state.leader_epoch.0).or_insert(leader);
                    assert!(known == leader, "two leaders in epoch {}", state.leader_epoch.0);
                }
                match before.partition(&id) {
                    Some((_, known)) if known != state => self.on_change(&name, id, known, state),
                    _ => {}
                }
            }
        }
    }

    fn check_isrs(&self) {
        for (name, topic) in &self.image.topics {
            for state in &topic.partitions {
                assert!(
                    state.isr.iter().all(|member| self.image.is_active(*member)),
                    "{name}-{}: not all brokers of the ISR {:?} are active",
                    state.index,
                    state.isr
                );
            }
        }
    }

    fn note_silence(&mut self, before: &Image) {
        for broker in self.image.brokers.values() {
            let known = before
                .brokers
                .get(&broker.id)
                .filter(|known| known.epoch == broker.epoch);
            if known.is_some_and(|known| known.is_active()) && broker.fenced {
                self.silent.insert(broker.id);
            }
            if known.is_none() || !broker.fenced {
                self.silent.remove(&broker.id);
            }
        }
    }

    fn on_change(&mut self, name: &str, id: PartitionId, before: &PartitionState, after: &PartitionState) {
        let list = |brokers: &[BrokerId]| brokers.iter().map(|one| one.0).collect::<Vec<_>>();
        let (commit, epoch, leader) = (self.seen, after.leader_epoch.0, after.leader.map(|one| one.0));
        self.history.note(format!(
            "commit {commit}: {name}-{} epoch {epoch}.{} leader {leader:?} isr {:?} elr {:?} replicas {:?}",
            id.index,
            after.partition_epoch,
            list(&after.isr),
            list(&after.elr),
            list(&after.replicas),
        ));
        assert!(
            after.partition_epoch > before.partition_epoch,
            "the partition's epoch stands still"
        );
        assert!(
            after.leader_epoch >= before.leader_epoch,
            "the leader's epoch goes back"
        );
        let is_same = after.leader_epoch == before.leader_epoch;
        let joined = after.isr.iter().find(|member| !before.isr.contains(member));
        self.grown = joined.map(|member| (id, *member)).or(self.grown);
        let had_all = |leader: &BrokerId| before.isr.contains(leader) || before.elr.contains(leader);
        let is_clean = is_same || after.leader.is_none_or(|leader| had_all(&leader));
        let promises = self.partitions.entry(id).or_default();
        promises.may_begin_again |= !is_clean || before.replicas != after.replicas;
        if !is_clean {
            self.history.note(format!("{name}-{}: elected uncleanly", id.index));
            promises.since_epoch = epoch;
            promises.acked.clear();
            promises.visible.clear();
        }
    }

    pub fn acked(&mut self, id: PartitionId, ack: Ack) {
        let (name, index) = (self.name(id), id.index);
        let Ack { offset, crc, by, .. } = ack;
        self.history
            .note(format!("{name}-{index}: {offset} acknowledged by {}, {crc:08x}", by.0));
        let promises = self.partitions.entry(id).or_default();
        if ack.epoch < promises.since_epoch {
            return;
        }
        self.all_acks += 1;
        let known = promises.acked.insert(offset, ack);
        let is_kept = known.is_none_or(|known| known.crc == crc);
        assert!(is_kept, "two batches were acknowledged at {offset} of {name}-{index}");
    }

    /// A consumer was shown these.
    pub fn shown(&mut self, id: PartitionId, by: BrokerId, batches: &[Batch]) {
        let name = self.name(id);
        let promises = self.partitions.entry(id).or_default();
        let since_epoch = promises.since_epoch;
        let bound = batches.iter().filter(|batch| batch.epoch >= since_epoch);
        for &Batch { offset, crc, epoch, .. } in bound {
            let new = Shown { crc, epoch, by };
            let known = *promises.visible.entry(offset).or_insert(new);
            assert!(
                known.crc == crc,
                "broker {} shows at {offset} of {name}-{} a batch of epoch {epoch}, and broker {} has shown one of {}",
                by.0,
                id.index,
                known.by.0,
                known.epoch
            );
        }
        if let Some(last) = batches.last() {
            let (index, offset, epoch) = (id.index, last.offset, last.epoch);
            self.history.note(format!(
                "{name}-{index}: up to {offset} of epoch {epoch} shown by {}",
                by.0
            ));
        }
    }

    /// A consumer was told of it by a broker in that life.
    pub fn high_watermark(&mut self, id: PartitionId, by: BrokerId, life: u64, offset: i64) {
        let name = self.name(id);
        let promises = self.partitions.entry(id).or_default();
        let known = promises.high_watermarks.insert(by, (life, offset));
        let has_sunk = known.is_some_and(|(before, known)| before == life && known > offset);
        assert!(
            !has_sunk || promises.may_begin_again,
            "the high watermark of {name}-{} goes back to {offset} at broker {}",
            id.index,
            by.0
        );
    }

    /// The log of a partition at the end, from its leader.
    pub fn check(&self, id: PartitionId, log: &[Batch]) {
        let name = format!("{}-{}", self.name(id), id.index);
        let Some(promises) = self.partitions.get(&id) else {
            return;
        };
        let at: BTreeMap<i64, &Batch> = log.iter().map(|batch| (batch.offset, batch)).collect();
        let mut places = BTreeMap::new();
        for batch in log {
            let twin = places.insert(batch.crc, batch.offset);
            assert!(
                twin.is_none(),
                "{name}: a batch lies at {twin:?} and at {}",
                batch.offset
            );
        }
        let is_in_order = log
            .windows(2)
            .all(|pair| pair[0].epoch <= pair[1].epoch && pair[0].offset < pair[1].offset);
        assert!(is_in_order, "{name}: epochs or offsets go back");
        for (offset, ack) in &promises.acked {
            let found = at.get(offset).filter(|batch| batch.crc == ack.crc);
            assert!(
                found.is_some(),
                "{name}: {offset}, acknowledged by {}, is gone",
                ack.by.0
            );
            let leader = found.and_then(|batch| promises.leaders.get(&batch.epoch));
            assert!(
                !ack.is_first || leader.is_none_or(|leader| *leader == ack.by),
                "{name}: {offset} was acknowledged by {}, and {leader:?} led then",
                ack.by.0
            );
        }
        for (offset, shown) in &promises.visible {
            let is_kept = at.get(offset).is_some_and(|batch| batch.crc == shown.crc);
            assert!(
                is_kept,
                "{name}: {offset} of epoch {}, shown to a consumer by {}, is gone",
                shown.epoch, shown.by.0
            );
        }
    }

    pub fn name(&self, id: PartitionId) -> String {
        self.image
            .topic_by_id(&id.topic)
            .map_or(String::new(), |topic| topic.name.to_string())
    }
}

/// What happened, for whoever looks for a cause.
pub struct History {
    lines: RefCell<Vec<String>>,
    /// The run is expected to fail.
    is_quiet: bool,
}

impl History {
    pub fn note(&self, what: impl Into<String>) {
        let seconds = rt::now().0 as f64 / 1e9;
        self.lines.borrow_mut().push(format!("{seconds:10.4}  {}", what.into()));
    }

    /// Changes with everything that happened.
    pub fn digest(&self) -> u32 {
        let lines = self.lines.borrow();
        lines
            .iter()
            .fold(0, |digest, line| crc32c::crc32c_append(digest, line.as_bytes()))
    }
}

impl Drop for History {
    fn drop(&mut self) {
        let is_wanted = std::thread::panicking() && !self.is_quiet || env::var_os("SIM_HISTORY").is_some();
        if is_wanted {
            for line in self.lines.borrow().iter() {
                eprintln!("{line}");
            }
        }
    }
}
