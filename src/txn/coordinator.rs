//! All transactional ids of one partition: requests, deadlines, and the markers that carry a decision to its partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::record::{self, RecordError};
use super::transaction::{ClientVersion, Ended, Ending, State, Transaction, TxnError};
use crate::model::{Effects, MarkerOrder, NamedPartitions, ProducerIdentity, Ticket};

/// What one call acts on at most when deadlines have passed, so that its records make one batch of moderate size.
const DUE_MAX: usize = 128;
/// Before markers that could not be written are tried again: doubled each time, up to the limit.
const RETRY_MS: i64 = 50;
const RETRY_MS_MAX: i64 = 5_000;

/// From the broker's configuration.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// transaction.max.timeout.ms
    pub timeout_ms_max: i32,
    /// transactional.id.expiration.ms
    pub expiration_ms: i64,
}

/// A question about one transactional id, or about all.
#[derive(Clone, Debug)]
pub enum TxnRequest {
    Init(Init),
    Add(AddPartitions),
    /// As `Add`, but changes nothing.
    Verify(AddPartitions),
    End(End),
    Describe(Arc<str>),
    List,
}

#[derive(Clone, Debug)]
pub struct Init {
    pub transactional_id: Arc<str>,
    pub timeout_ms: i32,
    /// What the producer says it is. //= KIP-360
    pub claimed: Option<ProducerIdentity>,
    pub fresh_id: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct AddPartitions {
    pub transactional_id: Arc<str>,
    pub producer: ProducerIdentity,
    pub partitions: NamedPartitions,
    pub version: ClientVersion,
}

#[derive(Clone, Debug)]
pub struct End {
    pub transactional_id: Arc<str>,
    pub producer: ProducerIdentity,
    pub commit: bool,
    pub version: ClientVersion,
    pub fresh_id: Option<i64>,
}

/// The answer to the request of the same place.
#[derive(Clone, Debug, PartialEq)]
pub enum TxnReply {
    /// To Init and End: what the producer is from now on.
    Producer(Result<ProducerIdentity, TxnError>),
    Added(Result<(), TxnError>),
    /// The partitions that are not in the transaction.
    Verified(Result<NamedPartitions, TxnError>),
    Described(Option<Box<Transaction>>),
    Listed(Vec<(Arc<str>, Box<Transaction>)>),
}

/// Every partition of an order has been tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkersDone {
    pub transactional_id: Arc<str>,
    pub producer: ProducerIdentity,
    /// To be tried again.
    pub failed: NamedPartitions,
}

/// A transaction, and how far its markers are.
#[derive(Clone, Debug)]
struct Tracked {
    transaction: Transaction,
    /// Times that the markers have failed.
    failures: u32,
    /// When to order them again; none is on its way then.
    retry_ms: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct TxnCoordinator {
    settings: Settings,
    by_id: BTreeMap<Arc<str>, Tracked>,
    /// When an id needs to be looked at: it has timed out, expired, or its markers are to be tried again.
    due: BTreeSet<(i64, Arc<str>)>,
}

impl TxnCoordinator {
    pub fn new(settings: Settings) -> TxnCoordinator {
        TxnCoordinator {
            settings,
            by_id: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }

    /// Takes in a record of the log. Records come in the order of their offsets.
    pub fn replay(&mut self, key: &Bytes, value: Option<&Bytes>) {
        if let Err(error) = self.replay_one(key, value) {
            tracing::warn!(%error, "record of a transaction coordinator's log is left out");
        }
    }

    fn replay_one(&mut self, key: &Bytes, value: Option<&Bytes>) -> Result<(), RecordError> {
        let id = record::read_key(key)?;
        match value {
            None => drop(self.take(&id)),
            Some(value) => self.put(id, Tracked::new(record::read_value(value)?)),
        }
        Ok(())
    }

    /// All records are replayed: decisions that were not carried out are now.
    pub fn on_loaded(&mut self) -> Effects<TxnReply> {
        let prepared = self
            .by_id
            .iter()
            .filter(|(_, tracked)| tracked.transaction.state.is_prepared());
        Effects {
            markers: prepared.map(|(id, tracked)| tracked.order(id)).collect(),
            ..Effects::default()
        }
    }

    pub fn handle(&mut self, ticket: Ticket, request: TxnRequest, now_ms: i64) -> Effects<TxnReply> {
        let mut effects = Effects::default();
        let reply = match request {
            TxnRequest::Init(init) => TxnReply::Producer(self.init(&init, now_ms, &mut effects)),
            TxnRequest::Add(add) => TxnReply::Added(self.add(&add, now_ms, &mut effects)),
            TxnRequest::Verify(ask) => TxnReply::Verified(self.verify(&ask)),
            TxnRequest::End(end) => TxnReply::Producer(self.end(&end, now_ms, &mut effects)),
            TxnRequest::Describe(id) => TxnReply::Described(self.transaction(&id).cloned().map(Box::new)),
            TxnRequest::List => TxnReply::Listed(self.list()),
        };
        effects.reply(ticket, reply);
        effects
    }

    /// Every partition of an order has been tried.
    pub fn on_markers_done(&mut self, done: MarkersDone, now_ms: i64) -> Effects<TxnReply> {
        let mut effects = Effects::default();
        if let Some(tracked) = self.take_awaiting(&done) {
            self.settle(tracked, done, now_ms, &mut effects);
        }
        effects
    }

    /// When [`TxnCoordinator::on_time`] has something to do.
    pub fn next_time(&self) -> Option<i64> {
        self.due.first().map(|(due_ms, _)| *due_ms)
    }

    /// Acts on deadlines that have passed: on some of them, if there are very many.
    pub fn on_time(&mut self, now_ms: i64) -> Effects<TxnReply> {
        let mut effects = Effects::default();
        for _ in 0..DUE_MAX {
            let Some((due_ms, id)) = self.due.first().cloned() else {
                break;
            };
            if due_ms > now_ms {
                break;
            }
            self.on_due(&id, now_ms, &mut effects);
        }
        effects
    }

    pub fn transaction(&self, id: &str) -> Option<&Transaction> {
        self.by_id.get(id).map(|tracked| &tracked.transaction)
    }

    fn list(&self) -> Vec<(Arc<str>, Box<Transaction>)> {
        let boxed = |(id, tracked): (&Arc<str>, &Tracked)| (id.clone(), Box::new(tracked.transaction.clone()));
        self.by_id.iter().map(boxed).collect()
    }

    fn init(
        &mut self,
        init: &Init,
        now_ms: i64,
        effects: &mut Effects<TxnReply>,
    ) -> Result<ProducerIdentity, TxnError> {
        if init.timeout_ms <= 0 || init.timeout_ms > self.settings.timeout_ms_max {
            return Err(TxnError::InvalidTimeout);
        }
        let mut transaction = match self.transaction(&init.transactional_id) {
            Some(known) => known.clone(),
            None => Transaction::new(init.fresh_id.ok_or(TxnError::NeedsProducerId)?),
        };
        if init.claimed.is_some_and(|claimed| !transaction.may_claim(claimed)) {
            return Err(TxnError::Fenced);
        }
        match transaction.state {
            state if state.is_prepared() => Err(TxnError::Concurrent),
            State::Ongoing if init.claimed.is_some_and(|claimed| claimed.epoch != transaction.epoch) => {
                Err(TxnError::Fenced)
            }
            // The new producer asks again until this has ended.
            State::Ongoing => {
                transaction.abort_and_fence(init.claimed, now_ms);
                self.decided(&init.transactional_id, transaction, now_ms, effects);
                Err(TxnError::Concurrent)
            }
            _ => {
                transaction.init(init.claimed, init.fresh_id, init.timeout_ms, now_ms)?;
                let identity = transaction.identity();
                self.store(&init.transactional_id, transaction, effects);
                Ok(identity)
            }
        }
    }

    fn add(&mut self, add: &AddPartitions, now_ms: i64, effects: &mut Effects<TxnReply>) -> Result<(), TxnError> {
        let mut transaction = self.owned(&add.transactional_id)?;
        if transaction.add(add.producer, &add.partitions, add.version, now_ms)? {
            self.store(&add.transactional_id, transaction, effects);
        }
        Ok(())
    }

    fn verify(&self, ask: &AddPartitions) -> Result<NamedPartitions, TxnError> {
        let transaction = self
            .transaction(&ask.transactional_id)
            .ok_or(TxnError::InvalidProducerIdMapping)?;
        transaction.check_writer(ask.producer)?;
        let mut missing = NamedPartitions::new();
        for (topic, indexes) in &ask.partitions {
            let absent: BTreeSet<i32> = indexes
                .iter()
                .copied()
                .filter(|index| !transaction.has(topic, *index))
                .collect();
            if !absent.is_empty() {
                missing.insert(topic.clone(), absent);
            }
        }
        Ok(missing)
    }

    fn end(&mut self, end: &End, now_ms: i64, effects: &mut Effects<TxnReply>) -> Result<ProducerIdentity, TxnError> {
        let mut transaction = self.owned(&end.transactional_id)?;
        let ending = Ending {
            producer: end.producer,
            commit: end.commit,
            version: end.version,
            fresh_id: end.fresh_id,
        };
        let ended = transaction.end(&ending, now_ms)?;
        let identity = transaction.next_identity();
        if ended == Ended::Decided {
            self.decided(&end.transactional_id, transaction, now_ms, effects);
        }
        Ok(identity)
    }

    fn owned(&self, id: &str) -> Result<Transaction, TxnError> {
        self.transaction(id).cloned().ok_or(TxnError::InvalidProducerIdMapping)
    }

    /// The end is decided: it is carried to the partitions, or is complete at once where there are none.
    fn decided(&mut self, id: &Arc<str>, mut transaction: Transaction, now_ms: i64, effects: &mut Effects<TxnReply>) {
        if transaction.partitions.is_empty() {
            transaction.complete(now_ms);
            return self.store(id, transaction, effects);
        }
        self.store(id, transaction, effects);
        effects
            .markers
            .extend(self.by_id.get(id).map(|tracked| tracked.order(id)));
    }

    fn settle(&mut self, mut tracked: Tracked, done: MarkersDone, now_ms: i64, effects: &mut Effects<TxnReply>) {
        let id = done.transactional_id;
        if done.failed.is_empty() {
            tracked.transaction.complete(now_ms);
            return self.store(&id, tracked.transaction, effects);
        }
        tracked.transaction.partitions = done.failed;
        tracked.retry_ms = Some(now_ms + (RETRY_MS << tracked.failures.min(16)).min(RETRY_MS_MAX));
        tracked.failures += 1;
        self.put(id, tracked);
    }

    /// The transaction that this is the outcome of: the same decision, and its markers on their way.
    fn take_awaiting(&mut self, done: &MarkersDone) -> Option<Tracked> {
        let tracked = self.by_id.get(&done.transactional_id)?;
        let awaited = tracked.transaction.state.is_prepared()
            && tracked.retry_ms.is_none()
            && tracked.transaction.identity() == done.producer;
        match awaited {
            true => self.take(&done.transactional_id),
            false => None,
        }
    }

    fn on_due(&mut self, id: &Arc<str>, now_ms: i64, effects: &mut Effects<TxnReply>) {
        let Some(mut tracked) = self.take(id) else { return };
        match tracked.transaction.state {
            State::Ongoing => {
                tracked.transaction.abort_and_fence(None, now_ms);
                self.decided(id, tracked.transaction, now_ms, effects);
            }
            State::PrepareCommit | State::PrepareAbort => {
                tracked.retry_ms = None;
                effects.markers.push(tracked.order(id));
                self.put(id.clone(), tracked);
            }
            State::Empty | State::CompleteCommit | State::CompleteAbort => effects.write(record::entry(id, None)),
        }
    }

    fn store(&mut self, id: &Arc<str>, transaction: Transaction, effects: &mut Effects<TxnReply>) {
        effects.write(record::entry(id, Some(&transaction)));
        self.put(id.clone(), Tracked::new(transaction));
    }

    /// The one place where an id and its deadline come in.
    fn put(&mut self, id: Arc<str>, tracked: Tracked) {
        self.take(&id);
        if let Some(due_ms) = tracked.due_ms(&self.settings) {
            self.due.insert((due_ms, id.clone()));
        }
        self.by_id.insert(id, tracked);
    }

    /// The one place where they go out.
    fn take(&mut self, id: &Arc<str>) -> Option<Tracked> {
        let tracked = self.by_id.remove(id)?;
        if let Some(due_ms) = tracked.due_ms(&self.settings) {
            self.due.remove(&(due_ms, id.clone()));
        }
        Some(tracked)
    }
}

impl Tracked {
    fn new(transaction: Transaction) -> Tracked {
        Tracked {
            transaction,
            failures: 0,
            retry_ms: None,
        }
    }

    fn due_ms(&self, settings: &Settings) -> Option<i64> {
        let transaction = &self.transaction;
        match transaction.state {
            State::Ongoing => Some(transaction.started_ms.saturating_add(transaction.timeout_ms.into())),
            State::PrepareCommit | State::PrepareAbort => self.retry_ms,
            State::Empty | State::CompleteCommit | State::CompleteAbort => {
                Some(transaction.updated_ms.saturating_add(settings.expiration_ms))
            }
        }
    }

    fn order(&self, id: &Arc<str>) -> MarkerOrder {
        MarkerOrder {
            transactional_id: id.clone(),
            producer: self.transaction.identity(),
            commit: self.transaction.state == State::PrepareCommit,
            partitions: self.transaction.partitions.clone(),
            transaction_version: self.transaction.version.number(),
        }
    }
}
