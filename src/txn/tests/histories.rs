//! Random histories: producers that come, go, retry and are zombies; markers that fail; restarts; a clock.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::rt::sim::Rng;

const SEEDS: u64 = 2_000;
const STEPS: usize = 120;

/// A client as it sees itself.
#[derive(Clone, Debug)]
struct Client {
    id: usize,
    identity: Option<ProducerIdentity>,
    version: ClientVersion,
}

struct World {
    rng: Rng,
    coordinator: TxnCoordinator,
    now_ms: i64,
    fresh: i64,
    clients: Vec<Client>,
    /// Orders whose markers are being written.
    orders: Vec<MarkerOrder>,
    log: Vec<Entry>,
    judge: Judge,
}

/// What has been seen, held against the invariants.
#[derive(Default)]
struct Judge {
    /// By transactional id: the last state in the log.
    last: BTreeMap<Arc<str>, Transaction>,
    epochs: BTreeMap<i64, i16>,
    /// By producer and start: the decision.
    decisions: BTreeMap<(Arc<str>, i64, i16), bool>,
    given: BTreeSet<(i64, i16)>,
}

impl Judge {
    fn entry(&mut self, entry: &Entry) {
        let id = record::read_key(&entry.key).unwrap();
        let Some(value) = &entry.value else {
            let last = self.last.remove(&id).expect("only what exists is forgotten");
            assert!(!last.is_open(), "an open transaction was forgotten");
            return;
        };
        let new = record::read_value(value).unwrap();
        let newest = self.epochs.entry(new.producer_id).or_insert(new.epoch);
        assert!(new.epoch >= *newest, "the epoch of {} went back", new.producer_id);
        *newest = new.epoch;
        if let Some(old) = self.last.get(&id) {
            assert!(
                may_follow(old.state, new.state),
                "{:?} after {:?}",
                new.state,
                old.state
            );
        }
        self.last.insert(id, new);
    }

    fn order(&mut self, order: &MarkerOrder) {
        let key = (
            order.transactional_id.clone(),
            order.producer.producer_id,
            order.producer.epoch,
        );
        let last = &self.last[&order.transactional_id];
        let commit = last.state == State::PrepareCommit;
        assert!(
            last.state.is_prepared() && commit == order.commit,
            "a marker is not what the log says"
        );
        for (topic, indexes) in &order.partitions {
            assert!(
                indexes.iter().all(|index| last.has(topic, *index)),
                "a marker for another's partition"
            );
        }
        if order.transaction_version == 2 {
            let before = self.decisions.insert(key, order.commit);
            assert!(before.is_none_or(|before| before == order.commit), "a decision flipped");
        }
    }

    /// An identity goes to one client only, unless that client asks again.
    fn given(&mut self, identity: ProducerIdentity, again: bool) {
        let new = self.given.insert((identity.producer_id, identity.epoch));
        assert!(new || again, "{identity:?} was given to two producers");
    }
}

fn may_follow(old: State, new: State) -> bool {
    use State::*;
    match old {
        Empty => matches!(new, Empty | Ongoing | CompleteAbort),
        Ongoing => matches!(new, Ongoing | PrepareCommit | PrepareAbort),
        PrepareCommit => new == CompleteCommit,
        PrepareAbort => new == CompleteAbort,
        CompleteCommit | CompleteAbort => matches!(new, Empty | Ongoing | CompleteAbort),
    }
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::new(seed);
        let version = |rng: &mut Rng| [ClientVersion::V0, ClientVersion::V2][rng.below(2) as usize];
        let clients = (0..6).map(|at| Client {
            id: at % 2,
            identity: None,
            version: version(&mut rng),
        });
        World {
            clients: clients.collect(),
            rng,
            coordinator: TxnCoordinator::new(SETTINGS),
            now_ms: 0,
            fresh: 0,
            orders: Vec::new(),
            log: Vec::new(),
            judge: Judge::default(),
        }
    }

    fn step(&mut self) {
        let at = self.rng.below(self.clients.len() as u64) as usize;
        match self.rng.below(20) {
            0..3 => self.init(at),
            3..9 => self.add(at),
            9..13 => self.end(at),
            13..16 => self.markers(),
            16..18 => self.pass(),
            18 => self.clients[at].identity = None,
            _ => self.restart(),
        }
    }

    fn ask(&mut self, request: TxnRequest) -> TxnReply {
        let (reply, effects) = asked(&mut self.coordinator, request, self.now_ms);
        self.take(effects);
        reply
    }

    fn take(&mut self, effects: Effects<TxnReply>) {
        for entry in effects.entries {
            self.judge.entry(&entry);
            self.log.push(entry);
        }
        for order in effects.markers {
            self.judge.order(&order);
            self.orders.push(order);
        }
    }

    fn fresh(&mut self) -> i64 {
        self.fresh += 1;
        self.fresh
    }

    fn name(&self, at: usize) -> Arc<str> {
        format!("t{}", self.clients[at].id).into()
    }

    fn init(&mut self, at: usize) {
        let claimed = self.clients[at].identity.filter(|_| self.rng.one_in(2));
        let fresh_id = Some(self.fresh());
        let timeout_ms = 1 + self.rng.below(TIMEOUT_MS as u64) as i32;
        let reply = self.ask(TxnRequest::Init(Init {
            transactional_id: self.name(at),
            timeout_ms,
            claimed,
            fresh_id,
        }));
        let TxnReply::Producer(answer) = reply else {
            panic!("{reply:?}")
        };
        if let Ok(identity) = answer {
            self.judge.given(identity, claimed.is_some());
            self.clients[at].identity = Some(identity);
        }
    }

    fn add(&mut self, at: usize) {
        let Some(producer) = self.clients[at].identity else {
            return;
        };
        let index = self.rng.below(4) as i32;
        let reply = self.ask(TxnRequest::Add(AddPartitions {
            transactional_id: self.name(at),
            producer,
            partitions: partitions(&[("a", index), ("b", index)]),
            version: self.clients[at].version,
        }));
        let TxnReply::Added(answer) = reply else {
            panic!("{reply:?}")
        };
        let owner = self.coordinator.transaction(&self.name(at)).map(Transaction::identity);
        assert!(answer.is_err() || owner == Some(producer), "a zombie wrote");
    }

    fn end(&mut self, at: usize) {
        let Some(producer) = self.clients[at].identity else {
            return;
        };
        let commit = self.rng.one_in(2);
        let fresh_id = Some(self.fresh());
        let reply = self.ask(TxnRequest::End(End {
            transactional_id: self.name(at),
            producer,
            commit,
            version: self.clients[at].version,
            fresh_id,
        }));
        let TxnReply::Producer(answer) = reply else {
            panic!("{reply:?}")
        };
        let Ok(identity) = answer else { return };
        let after = self
            .coordinator
            .transaction(&self.name(at))
            .expect("an ended one is known");
        let decided = matches!(after.state, State::PrepareCommit | State::CompleteCommit);
        assert_eq!(decided, commit, "the client was told the other decision");
        self.clients[at].identity = Some(identity);
    }

    /// Some markers are written, in any order, once or (after a restart) again; some fail.
    fn markers(&mut self) {
        if self.orders.is_empty() {
            return;
        }
        let at = self.rng.below(self.orders.len() as u64) as usize;
        let order = self.orders.swap_remove(at);
        let failed = match self.rng.one_in(3) {
            true => order.partitions.into_iter().take(1).collect(),
            false => NamedPartitions::new(),
        };
        self.outcome(MarkersDone {
            transactional_id: order.transactional_id,
            producer: order.producer,
            failed,
        });
    }

    fn outcome(&mut self, done: MarkersDone) {
        let effects = self.coordinator.on_markers_done(done, self.now_ms);
        self.take(effects);
    }

    fn pass(&mut self) {
        let far = self.rng.one_in(20);
        self.now_ms += self.rng.below(if far { 2_000_000 } else { 30_000 }) as i64;
        let effects = self.coordinator.on_time(self.now_ms);
        self.take(effects);
        assert!(self.coordinator.next_time().is_none_or(|next| next > self.now_ms));
    }

    /// The process is killed: what was on its way is lost, what is in the log is not.
    fn restart(&mut self) {
        let mut loaded = TxnCoordinator::new(SETTINGS);
        for entry in &self.log {
            loaded.replay(&entry.key, entry.value.as_ref());
        }
        self.orders.clear();
        self.compare(&mut loaded);
        self.coordinator = loaded;
        let effects = self.coordinator.on_loaded();
        self.take(effects);
    }

    fn compare(&self, loaded: &mut TxnCoordinator) {
        for id in ["t0", "t1"] {
            let (ran, replayed) = (self.coordinator.transaction(id), loaded.transaction(id));
            let comparable = |transaction: &Transaction| {
                let mut transaction = transaction.clone();
                // Not in the log; and what is left of the partitions is known to the running one only.
                transaction.last_epoch = -1;
                if transaction.state.is_prepared() {
                    transaction.partitions.clear();
                }
                transaction
            };
            assert_eq!(ran.map(comparable), replayed.map(comparable));
        }
    }

    /// Once all markers are written, every id can be used: nobody is left behind.
    fn settle(&mut self) {
        for _ in 0..50 {
            self.now_ms += 10_000;
            let effects = self.coordinator.on_time(self.now_ms);
            self.take(effects);
            for order in std::mem::take(&mut self.orders) {
                self.outcome(MarkersDone {
                    transactional_id: order.transactional_id,
                    producer: order.producer,
                    failed: NamedPartitions::new(),
                });
            }
        }
        for at in 0..2 {
            self.clients[at].identity = None;
            self.init(at);
            assert!(self.clients[at].identity.is_some(), "t{at} cannot be used any more");
        }
    }
}

/// Whatever happens in whatever order: epochs only grow, decisions stand, zombies do nothing, the log tells it all.
#[test]
fn invariants_hold_in_any_order() {
    let seeds = match std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..SEEDS,
    };
    for seed in seeds {
        let repeat = Repeat(seed);
        let mut world = World::new(seed);
        for _ in 0..STEPS {
            world.step();
        }
        world.settle();
        std::mem::forget(repeat);
    }
}

/// Prints how to repeat a run that panics.
struct Repeat(u64);

impl Drop for Repeat {
    fn drop(&mut self) {
        eprintln!("SEED={} cargo test --lib invariants_hold_in_any_order", self.0);
    }
}
