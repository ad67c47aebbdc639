//! One transactional id: the producer that owns it, and its newest transaction.

use std::collections::BTreeSet;

use crate::model::{NO_PRODUCER_ID, NamedPartitions, ProducerIdentity};

/// The epoch of an id that no producer has had yet, and "none" for the epoch before the current one.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// The last epoch that a client gets to see: the next one is for fencing it, then a new producer id follows.
const EPOCH_EXHAUSTED: i16 = i16::MAX - 1;

/// Which rules the client follows. //= KIP-890
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientVersion {
    /// The epoch stays from transaction to transaction; partitions are added before they are written.
    #[default]
    V0,
    /// Every end of a transaction bumps the epoch; a write adds its partition.
    V2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Empty,
    Ongoing,
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

/// Why a request is refused; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxnError {
    #[error("producer id does not belong to the transactional id")]
    InvalidProducerIdMapping,
    #[error("a newer producer has the transactional id")]
    Fenced,
    #[error("the transaction before is still being ended")]
    Concurrent,
    #[error("not possible in the transaction's state")]
    InvalidState,
    #[error("transaction timeout is outside the allowed range")]
    InvalidTimeout,
    /// Ask again with a producer id that nobody has had.
    #[error("a new producer id is needed")]
    NeedsProducerId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    pub producer_id: i64,
    /// The producer id before the epochs of that one were used up.
    pub previous_producer_id: i64,
    /// Takes over when the transaction that uses up the epochs is complete.
    pub next_producer_id: i64,
    pub epoch: i16,
    /// The epoch before the last bump, where it was its producer that asked for it: a retry of that request is answered
    /// again. Not in the log.
    pub last_epoch: i16,
    pub timeout_ms: i32,
    pub state: State,
    /// While markers are written, those that are left.
    pub partitions: NamedPartitions,
    /// -1: no transaction yet.
    pub started_ms: i64,
    pub updated_ms: i64,
    pub version: ClientVersion,
}

/// What a client asks of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    pub producer: ProducerIdentity,
    pub commit: bool,
    pub version: ClientVersion,
    /// A producer id that nobody has had, in case the epochs are used up.
    pub fresh_id: Option<i64>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Decided,
    /// This very end was asked for before, and is complete.
    Before,
}

impl ClientVersion {
    pub fn number(self) -> i8 {
        match self {
            ClientVersion::V0 => 0,
            ClientVersion::V2 => 2,
        }
    }
}

impl State {
    /// Kafka's name, as the tools print it.
    pub const fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::Ongoing => "Ongoing",
            State::PrepareCommit => "PrepareCommit",
            State::PrepareAbort => "PrepareAbort",
            State::CompleteCommit => "CompleteCommit",
            State::CompleteAbort => "CompleteAbort",
        }
    }

    pub fn is_prepared(self) -> bool {
        matches!(self, State::PrepareCommit | State::PrepareAbort)
    }

    fn is_commit(self) -> bool {
        matches!(self, State::PrepareCommit | State::CompleteCommit)
    }
}

impl Transaction {
    /// An id that no producer has yet: [`Transaction::init`] comes next.
    pub fn new(producer_id: i64) -> Transaction {
        Transaction {
            producer_id,
            previous_producer_id: NO_PRODUCER_ID,
            next_producer_id: NO_PRODUCER_ID,
            epoch: NO_PRODUCER_EPOCH,
            last_epoch: NO_PRODUCER_EPOCH,
            timeout_ms: 0,
            state: State::Empty,
            partitions: NamedPartitions::new(),
            started_ms: -1,
            updated_ms: -1,
            version: ClientVersion::V0,
        }
    }

    pub fn identity(&self) -> ProducerIdentity {
        ProducerIdentity {
            producer_id: self.producer_id,
            epoch: self.epoch,
        }
    }

    /// Whether a transaction is open or has been decided and is not complete.
    pub fn is_open(&self) -> bool {
        self.state == State::Ongoing || self.state.is_prepared()
    }

    /// A producer takes the id over, or comes back to it after an error with what it `claimed` to be (//= KIP-360). Call
    /// only when no transaction is open.
    pub fn init(
        &mut self,
        claimed: Option<ProducerIdentity>,
        fresh_id: Option<i64>,
        timeout_ms: i32,
        now_ms: i64,
    ) -> Result<(), TxnError> {
        match claimed {
            _ if self.is_exhausted() && claimed.is_none_or(|claimed| claimed.epoch == self.epoch) => {
                let fresh = fresh_id.ok_or(TxnError::NeedsProducerId)?;
                self.last_epoch = claimed.map_or(NO_PRODUCER_EPOCH, |_| self.epoch);
                self.previous_producer_id = self.producer_id;
                self.producer_id = fresh;
                self.epoch = 0;
            }
            None => {
                self.epoch += 1;
                self.last_epoch = NO_PRODUCER_EPOCH;
            }
            Some(claimed) if self.epoch == NO_PRODUCER_EPOCH || claimed.epoch == self.epoch => {
                self.last_epoch = self.epoch;
                self.epoch += 1;
            }
            // The answer to the same request got lost.
            Some(claimed) if claimed.epoch == self.last_epoch => {}
            Some(_) => return Err(TxnError::Fenced),
        }
        self.state = State::Empty;
        self.partitions.clear();
        self.started_ms = -1;
        self.updated_ms = now_ms;
        self.timeout_ms = timeout_ms;
        Ok(())
    }

    /// Whether a producer that says what it was may have the id back: it is the owner, or it was until its epochs were
    /// used up and the answer with the new id got lost.
    pub fn may_claim(&self, claimed: ProducerIdentity) -> bool {
        self.epoch == NO_PRODUCER_EPOCH
            || claimed.producer_id == self.producer_id
            || (claimed.producer_id == self.previous_producer_id && claimed.epoch >= EPOCH_EXHAUSTED)
    }

    /// Adds partitions, and opens a transaction where none is open. False: nothing changed.
    pub fn add(
        &mut self,
        producer: ProducerIdentity,
        partitions: &NamedPartitions,
        version: ClientVersion,
        now_ms: i64,
    ) -> Result<bool, TxnError> {
        self.check_owner(producer)?;
        if self.state.is_prepared() {
            return Err(TxnError::Concurrent);
        }
        if self.state != State::Ongoing {
            self.state = State::Ongoing;
            self.started_ms = now_ms;
        } else if partitions.iter().all(|(topic, indexes)| self.has_all(topic, indexes)) {
            return Ok(false);
        }
        for (topic, indexes) in partitions {
            self.partitions.entry(topic.clone()).or_default().extend(indexes);
        }
        self.updated_ms = now_ms;
        self.version = version;
        Ok(true)
    }

    /// Whether the producer may write to a transaction that is open now.
    pub fn check_writer(&self, producer: ProducerIdentity) -> Result<(), TxnError> {
        self.check_owner(producer)?;
        match self.state.is_prepared() {
            true => Err(TxnError::Concurrent),
            false => Ok(()),
        }
    }

    pub fn has(&self, topic: &str, index: i32) -> bool {
        self.partitions
            .get(topic)
            .is_some_and(|indexes| indexes.contains(&index))
    }

    fn has_all(&self, topic: &str, indexes: &BTreeSet<i32>) -> bool {
        self.partitions
            .get(topic)
            .is_some_and(|known| known.is_superset(indexes))
    }

    fn check_owner(&self, producer: ProducerIdentity) -> Result<(), TxnError> {
        if producer.producer_id != self.producer_id {
            return Err(TxnError::InvalidProducerIdMapping);
        }
        if producer.epoch != self.epoch {
            return Err(TxnError::Fenced);
        }
        Ok(())
    }

    pub fn end(&mut self, ending: &Ending, now_ms: i64) -> Result<Ended, TxnError> {
        match ending.version {
            ClientVersion::V0 => self.end_v0(ending, now_ms),
            ClientVersion::V2 => self.end_v2(ending, now_ms),
        }
    }

    fn end_v0(&mut self, ending: &Ending, now_ms: i64) -> Result<Ended, TxnError> {
        self.check_owner(ending.producer)?;
        match self.state {
            State::Ongoing => self.decide(ending, now_ms),
            State::Empty => Err(TxnError::InvalidState),
            state if state.is_commit() != ending.commit => Err(TxnError::InvalidState),
            state if state.is_prepared() => Err(TxnError::Concurrent),
            // The epoch did not change, so this may well be a retry, and there is nothing else to end.
            _ => Ok(Ended::Before),
        }
    }

    /// The epoch tells a retry from the next end: whoever still has the epoch from before the last end asks again.
    fn end_v2(&mut self, ending: &Ending, now_ms: i64) -> Result<Ended, TxnError> {
        let ProducerIdentity { producer_id, epoch } = ending.producer;
        let same_id = producer_id == self.producer_id;
        let before_rotation = producer_id == self.previous_producer_id && epoch == EPOCH_EXHAUSTED && self.epoch == 0;
        let retry = before_rotation || (same_id && epoch.checked_add(1) == Some(self.epoch));
        if !same_id && !before_rotation {
            return Err(TxnError::InvalidProducerIdMapping);
        }
        let current = same_id && epoch == self.epoch;
        match self.state {
            State::Ongoing if current => self.decide(ending, now_ms),
            // There is nothing to abort, but the client cannot know, and wants the next epoch.
            State::Empty if current && !ending.commit => self.decide(ending, now_ms),
            State::CompleteCommit | State::CompleteAbort if current && !ending.commit => self.decide(ending, now_ms),
            State::Empty | State::CompleteCommit | State::CompleteAbort if current => Err(TxnError::InvalidState),
            State::Ongoing | State::Empty => Err(TxnError::Fenced),
            _ if !retry => Err(TxnError::Fenced),
            state if state.is_commit() != ending.commit => Err(TxnError::InvalidState),
            state if state.is_prepared() => Err(TxnError::Concurrent),
            _ => Ok(Ended::Before),
        }
    }

    fn decide(&mut self, ending: &Ending, now_ms: i64) -> Result<Ended, TxnError> {
        if ending.version == ClientVersion::V2 {
            if self.is_exhausted() {
                self.next_producer_id = ending.fresh_id.ok_or(TxnError::NeedsProducerId)?;
            }
            self.last_epoch = self.epoch;
            self.epoch = self.epoch.saturating_add(1);
        }
        self.prepare(ending.commit, now_ms);
        self.version = ending.version;
        Ok(Ended::Decided)
    }

    /// The coordinator itself aborts: the transaction has timed out, or a new producer takes over. The epoch goes on, so
    /// that the producer that had it is refused by every partition that has seen the marker.
    /// If it was that producer which asked, it may have the new epoch.
    pub fn abort_and_fence(&mut self, asked: Option<ProducerIdentity>, now_ms: i64) {
        self.last_epoch = asked.map_or(NO_PRODUCER_EPOCH, |_| self.epoch);
        self.epoch = self.epoch.saturating_add(1);
        self.prepare(false, now_ms);
    }

    fn prepare(&mut self, commit: bool, now_ms: i64) {
        if self.state != State::Ongoing {
            self.started_ms = now_ms;
        }
        self.state = if commit {
            State::PrepareCommit
        } else {
            State::PrepareAbort
        };
        self.updated_ms = now_ms;
    }

    /// Every partition has its marker. //= KIP-890: the client, which had the last epoch, sees (next id, 0) follow.
    pub fn complete(&mut self, now_ms: i64) {
        self.state = match self.state.is_commit() {
            true => State::CompleteCommit,
            false => State::CompleteAbort,
        };
        self.partitions.clear();
        self.updated_ms = now_ms;
        (self.producer_id, self.epoch, self.previous_producer_id) = self.successor();
        self.next_producer_id = NO_PRODUCER_ID;
    }

    /// Who goes on once the transaction is complete, and who was before: what the client is told at its end.
    fn successor(&self) -> (i64, i16, i64) {
        match self.next_producer_id {
            NO_PRODUCER_ID => (self.producer_id, self.epoch, self.previous_producer_id),
            next => (next, 0, self.producer_id),
        }
    }

    /// The identity that the client is to go on with.
    pub fn next_identity(&self) -> ProducerIdentity {
        let (producer_id, epoch, _) = self.successor();
        ProducerIdentity { producer_id, epoch }
    }

    fn is_exhausted(&self) -> bool {
        self.epoch >= EPOCH_EXHAUSTED
    }
}
