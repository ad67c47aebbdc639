//! What was promised, and whether it was kept.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;

use crate::metadata::{Image, PartitionState, SimulatedQuorum};
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
    /// The batch had not been sent before, so that whoever acknowledged it took it.
    pub is_first: bool,
}

pub struct Oracle {
    /// As all commits so far make it.
    image: Image,
    seen: usize,
    partitions: BTreeMap<PartitionId, Promises>,
    pub history: History,
    /// The last partition whose ISR grew, and by whom.
    pub grown: Option<(PartitionId, BrokerId)>,
}

#[derive(Default)]
struct Promises {
    /// By offset.
    acked: BTreeMap<i64, Ack>,
    /// By epoch.
    leaders: BTreeMap<i32, BrokerId>,
    /// By offset: what a consumer was shown.
    visible: BTreeMap<i64, u32>,
    /// Records may be missing: a replica was elected that need not have all.
    is_excused: bool,
}

impl Oracle {
    /// `rule`: the one that is switched off.
    pub fn new(image: Image, rule: Option<Rule>) -> Oracle {
        Oracle {
            image,
            seen: 0,
            partitions: BTreeMap::new(),
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
        self.partitions.values().map(|promises| promises.acked.len()).sum()
    }

    pub fn is_excused(&self, id: PartitionId) -> bool {
        self.partitions.get(&id).is_some_and(|promises| promises.is_excused)
    }

    /// Looks at the commits that are new.
    pub fn follow(&mut self, quorum: &SimulatedQuorum) {
        while self.seen < quorum.commits() {
            let before = self.image.clone();
            self.image.apply_all(&quorum.commit_at(self.seen));
            self.seen += 1;
            let brokers = self.image.brokers.values();
            let lives = brokers.map(|one| (one.id.0, one.epoch, one.fenced, one.in_controlled_shutdown.is_some()));
            let lives: Vec<_> = lives.collect();
            let known = before.brokers.values();
            let known = known.map(|one| (one.id.0, one.epoch, one.fenced, one.in_controlled_shutdown.is_some()));
            if known.collect::<Vec<_>>() != lives {
                self.history.note(format!(
                    "commit {}: brokers (id, epoch, fenced, stopping) {lives:?}",
                    self.seen
                ));
            }
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
        if !is_same && after.leader.is_some_and(|leader| !had_all(&leader)) {
            self.history.note(format!("{name}-{}: elected uncleanly", id.index));
            self.partitions.entry(id).or_default().is_excused = true;
        }
    }

    pub fn acked(&mut self, id: PartitionId, ack: Ack) {
        let (name, index) = (self.name(id), id.index);
        let Ack { offset, crc, by, .. } = ack;
        self.history
            .note(format!("{name}-{index}: {offset} acknowledged by {}, {crc:08x}", by.0));
        let promises = self.partitions.entry(id).or_default();
        let known = promises.acked.insert(offset, ack);
        let is_kept = known.is_none_or(|known| known.crc == crc) || promises.is_excused;
        assert!(is_kept, "two batches were acknowledged at {offset} of {name}-{index}");
    }

    /// A consumer was shown these.
    pub fn shown(&mut self, id: PartitionId, by: BrokerId, batches: &[Batch]) {
        let name = self.name(id);
        let promises = self.partitions.entry(id).or_default();
        for Batch { offset, crc, .. } in batches {
            let known = *promises.visible.entry(*offset).or_insert(*crc);
            let is_kept = known == *crc || promises.is_excused;
            assert!(
                is_kept,
                "broker {} shows another batch at {offset} of {name}-{} than was shown before",
                by.0, id.index
            );
        }
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
                found.is_some() || promises.is_excused,
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
        for (offset, crc) in &promises.visible {
            let is_kept = at.get(offset).is_some_and(|batch| batch.crc == *crc);
            assert!(
                is_kept || promises.is_excused,
                "{name}: {offset}, shown to a consumer, is gone"
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
