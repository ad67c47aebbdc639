//! Three replicas and a controller, whose messages are late or lost.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::node::{FetchAnswer, Node, batch};
use crate::model::{BrokerId, LeaderEpoch};
use crate::partition::{
    Ack, AckToken, Bound, FetchedError, FollowerFetch, IsrAnswer, IsrProposal, Leadership, Peer, Warrant,
};
use crate::record::BatchHeader;
use crate::rt::{Instant, random_u64};

pub const REPLICAS: usize = 3;

/// What the controller has committed.
struct State {
    leader: Option<usize>,
    leader_epoch: i32,
    partition_epoch: i32,
    isr: Vec<usize>,
    is_fenced: [bool; REPLICAS],
    broker_epochs: [i64; REPLICAS],
}

/// A fetch on its way back: the answer, and the epoch that it was made in.
type Fetching = Option<FetchAnswer>;

pub struct Cluster {
    pub nodes: Vec<Node>,
    fetching: [Fetching; REPLICAS],
    answers: Vec<(usize, (LeaderEpoch, i32), IsrAnswer)>,
    state: State,
    /// Batches that wait for their ack, by token: the base offset, and what they are known by.
    asked: BTreeMap<u64, (i64, u32)>,
    /// Those that were acknowledged as replicated.
    promised: BTreeMap<i64, u32>,
    /// Every batch that was ever below a high watermark.
    visible: BTreeMap<i64, u32>,
    batches: u64,
    now: Instant,
}

impl Cluster {
    pub async fn new(flush_messages: i64) -> Cluster {
        let mut cluster = Cluster {
            nodes: (0..REPLICAS as i32).map(Node::new).collect(),
            fetching: [None, None, None],
            answers: Vec::new(),
            state: State {
                leader: Some(0),
                leader_epoch: 1,
                partition_epoch: 1,
                isr: vec![0, 1, 2],
                is_fenced: [false; REPLICAS],
                broker_epochs: [0; REPLICAS],
            },
            asked: BTreeMap::new(),
            promised: BTreeMap::new(),
            visible: BTreeMap::new(),
            batches: 0,
            now: Instant(1_000_000_000_000),
        };
        for at in 0..REPLICAS {
            cluster.nodes[at].config.flush_messages = flush_messages;
            let leadership = cluster.image(at);
            cluster.nodes[at].open(leadership, cluster.now).await;
        }
        cluster
    }

    /// One thing happens.
    pub async fn step(&mut self) {
        let at = self.random(REPLICAS as u64) as usize;
        self.now.0 += 1_000_000 * (random_u64() % 400);
        match self.random(40) {
            0..=9 => self.append(if self.random(3) == 0 {
                at
            } else {
                self.state.leader.unwrap_or(at)
            }),
            10..=13 => self.settle(at).await,
            14 | 15 => self.begin_write(at).await,
            16..=24 => self.fetch(at).await,
            25..=28 => self.take(at),
            29..=31 => self.propose(at),
            32 | 33 => self.hear_answer(),
            34 | 35 => self.hear_image(at),
            36 if self.random(3) == 0 => self.kill(at),
            37 => self.restart(at).await,
            38 if self.random(3) == 0 => self.nodes[at].checkpoint = self.checkpoint_of(at),
            39 if self.random(6) == 0 => self.delete(at),
            39 if self.random(3) == 0 => self.move_leadership(at),
            _ => self.now.0 += 3_000_000_000,
        }
    }

    /// Everybody is up, everything arrives, until all have everything.
    pub async fn heal(&mut self) {
        for _ in 0..200 {
            for at in 0..REPLICAS {
                self.restart(at).await;
                self.hear_image(at);
                self.take(at);
                self.settle(at).await;
                self.fetch(at).await;
                self.take(at);
                self.settle(at).await;
                self.propose(at);
                self.hear_answer();
            }
            self.now.0 += 100_000_000;
            if self.is_whole() {
                return;
            }
        }
        panic!("the replicas do not come together");
    }

    fn is_whole(&mut self) -> bool {
        let leader = self.state.leader.expect("elected");
        let end = self.nodes[leader].up().log().staged();
        let mut nodes = self.nodes.iter_mut().map(Node::up);
        let has_all = nodes.all(|one| one.high_watermark() == end && one.log().staged() == end);
        has_all && self.state.isr.len() == REPLICAS
    }

    /// Whoever has a batch that was visible has the same one there, and the leader has all that was promised.
    pub async fn check(&mut self) {
        for at in 0..REPLICAS {
            if !self.nodes[at].is_up() {
                continue;
            }
            for (offset, bytes) in self.nodes[at].batches(Bound::HighWatermark).await {
                let known = *self.visible.entry(offset).or_insert(crc(&bytes));
                assert_eq!(known, crc(&bytes), "another batch was visible at {offset}");
            }
        }
        let Some(leader) = self.state.leader.filter(|leader| self.nodes[*leader].is_up()) else {
            return;
        };
        let start = self.nodes[leader].up().log().log_start();
        let all: BTreeMap<i64, u32> = self.log_of(leader).await;
        for (offset, promised) in &self.promised {
            let kept = all.get(offset) == Some(promised) || *offset < start;
            assert!(kept, "batch {offset} was acknowledged and is gone");
        }
    }

    /// All replicas are the same, to the last byte, and know the same producers.
    pub async fn check_equal(&mut self) {
        let leader = self.state.leader.expect("elected");
        let all = self.nodes[leader].batches(Bound::LogEnd).await;
        let producers = self.producers(leader);
        for at in 0..REPLICAS {
            let start = self.nodes[at].up().log().log_start();
            let own = self.nodes[at].batches(Bound::LogEnd).await;
            let same: Vec<_> = all.iter().filter(|(offset, _)| *offset >= start).collect();
            assert!(
                own.iter().filter(|(offset, _)| *offset >= start).eq(same),
                "replica {at} has another log"
            );
            assert_eq!(self.producers(at), producers, "of replica {at}");
        }
    }

    /// Of the batches that are there: who lost the front of its log does not know who wrote it.
    fn producers(&mut self, at: usize) -> Vec<(i64, i16, i32)> {
        let front = self.nodes.iter_mut().map(|node| node.up().log().log_start()).max();
        let known = self.nodes[at].up().producers().last_records();
        let recent: Vec<i64> = known
            .iter()
            .filter(|(_, last)| last.offset >= front)
            .map(|(id, _)| *id)
            .collect();
        let active = self.nodes[at].up().producers().active();
        let active = active.filter(|one| recent.contains(&one.producer_id));
        active
            .map(|one| (one.producer_id, one.epoch, one.last_sequence))
            .collect()
    }

    pub fn promises(&self) -> usize {
        self.promised.len()
    }

    async fn log_of(&mut self, at: usize) -> BTreeMap<i64, u32> {
        let batches = self.nodes[at].batches(Bound::LogEnd).await;
        batches
            .into_iter()
            .map(|(offset, bytes)| (offset, crc(&bytes)))
            .collect()
    }

    fn random(&self, below: u64) -> u64 {
        random_u64() % below
    }

    /// To whoever believes to lead, be it that another does by now.
    fn append(&mut self, at: usize) {
        if !self.nodes[at].is_up() || !self.nodes[at].up().leadership().is_leader {
            return;
        }
        let number = self.batches;
        self.batches += 1;
        let token = AckToken {
            request: number,
            slot: 0,
        };
        let (batch, is_weak) = (batch(number), self.random(3) == 0);
        if !is_weak && self.nodes[at].up().check_in_sync().is_err() {
            return;
        }
        let ack = if is_weak {
            Ack::Written(token)
        } else {
            Ack::Replicated(token)
        };
        let known_by = crc(&batch);
        if let Ok(appended) = self.nodes[at].append(batch, Warrant::None, ack)
            && !is_weak
        {
            self.asked.insert(number, (appended.base_offset, known_by));
        }
    }

    async fn settle(&mut self, at: usize) {
        if self.nodes[at].is_up() {
            let acked = self.nodes[at].settle().await;
            self.note(acked);
        }
    }

    async fn begin_write(&mut self, at: usize) {
        if self.nodes[at].is_up() {
            let acked = self.nodes[at].begin_write().await;
            self.note(acked);
        }
    }

    fn note(&mut self, acked: Vec<AckToken>) {
        for token in acked {
            if let Some((offset, known_by)) = self.asked.remove(&token.request) {
                self.promised.insert(offset, known_by);
            }
        }
    }

    /// One fetch at a time; its answer comes later.
    async fn fetch(&mut self, at: usize) {
        if !self.nodes[at].is_up() || self.fetching[at].is_some() {
            return;
        }
        let epoch = self.state.broker_epochs[at];
        let partition = self.nodes[at].up();
        let (leadership, position) = (partition.leadership().clone(), partition.fetch_position());
        let (Some(position), Some(leader)) = (position, leadership.leader) else {
            return;
        };
        let leader = leader.0 as usize;
        if leadership.is_leader || !self.nodes[leader].is_up() {
            return;
        }
        let fetch = FollowerFetch {
            broker: BrokerId(at as i32),
            broker_epoch: epoch,
            offset: position.offset,
            log_start: position.log_start,
        };
        let answer = self.nodes[leader].answer(&fetch, leadership.epoch, position.last_epoch, self.now);
        let (answer, acked) = answer.await;
        self.note(acked);
        self.fetching[at] = Some(answer);
    }

    fn take(&mut self, at: usize) {
        let Some(answer) = self.fetching[at].take() else {
            return;
        };
        // A fetcher ends with the leadership that it was begun for.
        let is_leader = !self.nodes[at].is_up() || self.nodes[at].up().leadership().is_leader;
        if is_leader || self.nodes[at].up().fetch_position().is_none() {
            return;
        }
        match self.nodes[at].take(answer) {
            Ok(_) | Err(FetchedError::Fenced) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn propose(&mut self, at: usize) {
        if !self.nodes[at].is_up() {
            return;
        }
        let mut acked = Vec::new();
        let (proposal, _) = self.nodes[at].up().isr_change(&mut acked, self.now);
        self.note(acked);
        let Some(proposal) = proposal else { return };
        let asked = (proposal.leader_epoch, proposal.partition_epoch);
        let answer = match self.random(5) {
            0 => IsrAnswer::Unknown,
            1 => {
                self.alter(at, proposal);
                IsrAnswer::Unknown
            }
            _ => self.alter(at, proposal),
        };
        self.answers.push((at, asked, answer));
    }

    /// As a controller judges it.
    fn alter(&mut self, at: usize, proposal: IsrProposal) -> IsrAnswer {
        let state = &mut self.state;
        let is_current =
            proposal.partition_epoch == state.partition_epoch && proposal.leader_epoch.0 == state.leader_epoch;
        if !is_current || state.leader != Some(at) {
            return IsrAnswer::Outdated;
        }
        let may_be = |(broker, epoch): &(BrokerId, i64)| {
            let at = broker.0 as usize;
            !state.is_fenced[at] && (*epoch == -1 || *epoch == state.broker_epochs[at])
        };
        if !proposal.peers.iter().all(may_be) {
            return IsrAnswer::Rejected;
        }
        state.isr = proposal.peers.iter().map(|(broker, _)| broker.0 as usize).collect();
        state.isr.push(at);
        state.partition_epoch += 1;
        IsrAnswer::Committed {
            partition_epoch: state.partition_epoch,
            isr: state.isr.iter().map(|at| BrokerId(*at as i32)).collect(),
        }
    }

    /// Any that is on its way.
    fn hear_answer(&mut self) {
        if self.answers.is_empty() {
            return;
        }
        let (at, asked, answer) = self
            .answers
            .swap_remove(self.random(self.answers.len() as u64) as usize);
        if self.nodes[at].is_up() {
            let mut acked = Vec::new();
            self.nodes[at].up().on_isr_answer(asked, answer, &mut acked);
            self.note(acked);
        }
    }

    fn hear_image(&mut self, at: usize) {
        if self.nodes[at].is_up() {
            let (leadership, now, mut acked) = (self.image(at), self.now, Vec::new());
            let shift = self.nodes[at].up().set_leadership(leadership, &mut acked, now);
            if shift.turned {
                self.fetching[at] = None;
            }
            self.note(acked);
        }
    }

    /// What a clean stop or the clock would write at this moment.
    fn checkpoint_of(&mut self, at: usize) -> Option<crate::storage::PartitionCheckpoint> {
        match self.nodes[at].is_up() {
            true => Some(self.nodes[at].up().checkpoint()),
            false => self.nodes[at].checkpoint,
        }
    }

    fn delete(&mut self, at: usize) {
        if self.nodes[at].is_up() && self.nodes[at].up().leadership().is_leader {
            let upto = self.nodes[at].up().high_watermark();
            let _ = self.nodes[at].up().delete_records(upto - (random_u64() % 10) as i64);
        }
    }

    fn kill(&mut self, at: usize) {
        if self.nodes[at].is_up() {
            self.nodes[at].kill();
            self.fetching[at] = None;
            self.answers.retain(|(to, ..)| *to != at);
            self.fence(at);
        }
    }

    /// A fenced broker leaves the ISR, unless it is the last there; another of it leads.
    fn fence(&mut self, at: usize) {
        let state = &mut self.state;
        state.is_fenced[at] = true;
        if state.isr.len() > 1 {
            state.isr.retain(|member| *member != at);
        }
        self.elect();
    }

    fn elect(&mut self) {
        let state = &mut self.state;
        let leads = |at: &usize| !state.is_fenced[*at] && state.isr.contains(at);
        if state.leader.filter(leads).is_none() {
            let next = (0..REPLICAS).find(leads);
            if next != state.leader {
                state.leader = next;
                state.leader_epoch += 1;
            }
        }
        state.partition_epoch += 1;
    }

    /// To another member of the ISR, behind the back of the one that leads.
    fn move_leadership(&mut self, at: usize) {
        let state = &mut self.state;
        if state.isr.contains(&at) && !state.is_fenced[at] && state.leader != Some(at) {
            state.leader = Some(at);
            state.leader_epoch += 1;
            state.partition_epoch += 1;
        }
    }

    async fn restart(&mut self, at: usize) {
        if self.nodes[at].is_up() {
            return;
        }
        self.state.is_fenced[at] = false;
        self.state.broker_epochs[at] += 1;
        self.elect();
        let leadership = self.image(at);
        self.nodes[at].open(leadership, self.now).await;
    }

    /// As a replica is told.
    fn image(&self, me: usize) -> Leadership {
        let state = &self.state;
        let peer = |at: usize| Peer {
            broker: BrokerId(at as i32),
            in_sync: state.isr.contains(&at),
            epoch: (!state.is_fenced[at]).then_some(state.broker_epochs[at]),
        };
        Leadership {
            epoch: LeaderEpoch(state.leader_epoch),
            partition_epoch: state.partition_epoch,
            leader: state.leader.map(|leader| BrokerId(leader as i32)),
            is_leader: state.leader == Some(me),
            is_in_sync: state.isr.contains(&me),
            is_recovering: false,
            peers: (0..REPLICAS).filter(|at| *at != me).map(peer).collect(),
        }
    }
}

/// What a batch is known by, wherever it lies.
fn crc(batch: &[u8]) -> u32 {
    BatchHeader::parse(&Bytes::copy_from_slice(batch)).expect("a batch").crc
}
