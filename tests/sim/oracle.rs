//! What was promised, and whether it was kept.
//!
//! | promise | looked at |
//! |---|---|
//! | what acks=all acknowledges stays, once, at its offset | in the logs at the end |
//! | it is on min.insync.replicas replicas | as it is acknowledged, by `load` |
//! | what a consumer is shown stays, without gaps, and nobody shows anything else there | at each read, and in the logs at the end |
//! | so the leader of each later epoch has it, and what acks=all acknowledged, be its own high watermark behind | by `load`, in each epoch |
//! | a replica's high watermark does not go back in one life, from when it is in sync until its log may begin anew | at each read |
//! | one leader in each epoch, and only it acknowledges | at each commit, and in the logs at the end |
//! | a broker that was fenced for its silence acknowledges nothing, not even with acks=1 | at each acknowledgement |
//! | whoever is in an ISR has an active broker | at each commit |
//! | who leads was in the ISR or the ELR, but where the topic allows another, and for who led last where nobody is in either | at each commit |
//! | who is in the ISR or the ELR stays in one of them below min.insync.replicas, until it begins another life | at each commit |
//!
//! An unclean election ends the promises that were made about records before it. A topic that does not allow one knows only
//! that of who led last (KIP-966), once everybody who had everything has ended, maybe without having synced it; where all is
//! synced before it is acknowledged, that one ends no promise.

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
    /// Where the next one begins.
    pub next: i64,
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
            next: header.next_offset(),
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
    /// How often a leader was elected uncleanly: where its topic allows it, and where it had led last.
    pub elected_uncleanly: [usize; 2],
}

/// What a batch is known by, and who showed it first.
#[derive(Clone, Copy)]
struct Shown {
    crc: u32,
    epoch: i32,
    by: BrokerId,
    next: i64,
}

/// A batch that was acknowledged or shown, and who leads now, and must have it.
pub struct Promised {
    pub offset: i64,
    pub crc: u32,
    pub leader: BrokerId,
    pub epoch: i32,
}

/// In which life of a broker, and from which commit on, a high watermark of its does not go back.
pub type Term = (u64, usize);

#[derive(Default)]
struct Promises {
    /// By offset.
    acked: BTreeMap<i64, Ack>,
    /// By epoch.
    leaders: BTreeMap<i32, BrokerId>,
    /// By offset: what a consumer was shown.
    visible: BTreeMap<i64, Shown>,
    /// By broker: since when, and how far.
    high_watermarks: BTreeMap<BrokerId, (Term, i64)>,
    /// By broker: since which commit it has been in sync at some time, and its log has had no reason to begin anew: its replica
    /// was not taken away nor put elsewhere, nor was a leader elected uncleanly.
    settled: BTreeMap<BrokerId, usize>,
    /// Of the last leader that need not have had all: what was promised before its epoch need not be kept.
    since_epoch: i32,
}

impl Promises {
    /// The partition is so from that commit on.
    fn settle(&mut self, before: Option<&PartitionState>, after: &PartitionState, commit: usize) {
        let is_same =
            |broker: &BrokerId| before.is_none_or(|before| before.directory_of(*broker) == after.directory_of(*broker));
        self.settled.retain(|broker, _| is_same(broker));
        for member in &after.isr {
            self.settled.entry(*member).or_insert(commit);
        }
    }
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
            elected_uncleanly: [0; 2],
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
                    Some(_) => {}
                    None => self.partitions.entry(id).or_default().settle(None, state, self.seen),
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
        self.check_leaving(id, before, after);
        let had_all = |leader: &BrokerId| before.isr.contains(leader) || before.elr.contains(leader);
        // With it, a reassignment has ended, and the leader before it has let it into the ISR: beside others that stay in
        // it, or as the last thing that it did.
        let stays = |member: &BrokerId| before.isr.contains(member);
        let has_ended = !before.removing.is_empty() && after.removing.is_empty();
        let is_let_in = !after.leader_recovering
            && (after.isr.iter().any(stays) || (has_ended && before.leader.as_ref().is_some_and(stays)));
        match after.leader.filter(|leader| !is_same && !had_all(leader) && !is_let_in) {
            Some(leader) => self.on_unclean(id, leader, before, after),
            None => self
                .partitions
                .entry(id)
                .or_default()
                .settle(Some(before), after, commit),
        }
    }

    /// Who leads need not have everything.
    fn on_unclean(&mut self, id: PartitionId, leader: BrokerId, before: &PartitionState, after: &PartitionState) {
        let (name, commit) = (self.name(id), self.seen);
        let topic = self.image.topic_by_id(&id.topic);
        let is_allowed = topic.is_some_and(|topic| topic.config.unclean_leader_election);
        let mut had_all = before.isr.iter().chain(&before.elr);
        let is_last = before.last_known_elr.contains(&leader) && had_all.all(|broker| self.begins_anew(broker));
        self.history.note(format!("{name}-{}: elected uncleanly", id.index));
        assert!(
            is_allowed || is_last,
            "commit {commit}: broker {} is to lead {name}-{} in epoch {}, which does not allow unclean elections, and was \
             not in sync: before it isr {:?} elr {:?}, last led by {:?}",
            leader.0,
            id.index,
            after.leader_epoch.0,
            before.isr,
            before.elr,
            before.last_known_elr
        );
        self.elected_uncleanly[usize::from(!is_allowed)] += 1;
        let is_synced = topic.is_some_and(|topic| topic.config.flush_messages == 1);
        let promises = self.partitions.entry(id).or_default();
        if is_allowed || !is_synced {
            promises.since_epoch = after.leader_epoch.0;
            promises.acked.clear();
            promises.visible.clear();
        }
        promises.settled.clear();
        promises.settle(None, after, commit);
    }

    /// With this commit, after an end in which it may have lost something.
    fn begins_anew(&self, broker: &BrokerId) -> bool {
        let broker = self.image.brokers.get(broker);
        broker.is_none_or(|broker| broker.epoch >= self.seen as i64)
    }

    /// While too few are in sync, who has everything is struck out only for another life, in which it may not have.
    fn check_leaving(&self, id: PartitionId, before: &PartitionState, after: &PartitionState) {
        let topic = self.image.topic_by_id(&id.topic).expect("it changes");
        if after.isr.len() >= topic.min_isr(after.replicas.len()) || after.leader_recovering {
            return;
        }
        let stays = |broker: &BrokerId| after.isr.contains(broker) || after.elr.contains(broker);
        let had_all = before.isr.iter().chain(&before.elr);
        let mut left = had_all.filter(|broker| after.replicas.contains(broker) && !stays(broker));
        let struck = left.find(|broker| !self.begins_anew(broker));
        assert!(
            struck.is_none(),
            "commit {}: {}-{}: broker {:?} has everything, and is neither in the isr {:?} nor in the elr {:?} any more",
            self.seen,
            topic.name,
            id.index,
            struck.map(|broker| broker.0),
            after.isr,
            after.elr
        );
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
        let name = format!("{}-{}", self.name(id), id.index);
        let gap = batches.windows(2).find(|pair| pair[0].next != pair[1].offset);
        assert!(gap.is_none(), "broker {} shows {name} with a gap: {gap:?}", by.0);
        let promises = self.partitions.entry(id).or_default();
        let since_epoch = promises.since_epoch;
        let bound = batches.iter().filter(|batch| batch.epoch >= since_epoch);
        for batch in bound {
            let Batch {
                offset,
                crc,
                epoch,
                next,
                ..
            } = *batch;
            let new = Shown { crc, epoch, by, next };
            // Those that begin before its end and end after its beginning.
            let before = promises.visible.range(..next).next_back();
            let other = before.filter(|(at, known)| known.next > offset && (**at, known.crc) != (offset, crc));
            assert!(
                other.is_none(),
                "broker {} shows at {offset} of {name} a batch of epoch {epoch}, and broker {:?} has shown one of {:?} at {:?}",
                by.0,
                other.map(|(_, known)| known.by.0),
                other.map(|(_, known)| known.epoch),
                other.map(|(at, _)| at)
            );
            promises.visible.entry(offset).or_insert(new);
        }
        if let Some(last) = batches.last() {
            let (offset, epoch) = (last.offset, last.epoch);
            self.history
                .note(format!("{name}: up to {offset} of epoch {epoch} shown by {}", by.0));
        }
    }

    /// A batch that must not go any more, and who leads in the newest epoch; the last that a consumer was shown, or any, as
    /// `pick` has it.
    pub fn promised(&self, id: PartitionId, pick: u64) -> Option<Promised> {
        let (_, state) = self.image.partition(&id)?;
        let promises = self.partitions.get(&id)?;
        let shown = || promises.visible.iter().map(|(offset, shown)| (*offset, shown.crc));
        let acked = || promises.acked.iter().map(|(offset, ack)| (*offset, ack.crc));
        let at = (pick / 4) as usize;
        let (offset, crc) = match pick % 4 {
            0 if !promises.acked.is_empty() => acked().nth(at % promises.acked.len()),
            1 => acked().next_back(),
            2 if !promises.visible.is_empty() => shown().nth(at % promises.visible.len()),
            _ => shown().next_back(),
        }?;
        Some(Promised {
            offset,
            crc,
            leader: state.leader?,
            epoch: state.leader_epoch.0,
        })
    }

    /// `None`: a high watermark of the broker, which has begun so many lives, may begin again.
    pub fn term(&self, id: PartitionId, by: BrokerId, lives: u64) -> Option<Term> {
        let since = self.partitions.get(&id)?.settled.get(&by)?;
        Some((lives, *since))
    }

    /// A consumer was told of it by a broker, in one term.
    pub fn high_watermark(&mut self, id: PartitionId, by: BrokerId, term: Term, offset: i64) {
        let name = self.name(id);
        let promises = self.partitions.entry(id).or_default();
        let known = promises.high_watermarks.insert(by, (term, offset));
        let has_sunk = known.is_some_and(|(before, known)| before == term && known > offset);
        assert!(
            !has_sunk,
            "the high watermark of {name}-{} goes back from {known:?} to {offset} at broker {}",
            id.index, by.0
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
