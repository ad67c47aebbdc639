//! What producers see, the bytes in the log, and random histories held against the invariants.

mod behaviour;
mod histories;
mod log_format;

use std::sync::Arc;

use super::*;
use crate::model::{Effects, Entry, MarkerOrder, NamedPartitions, ProducerIdentity, ShardId, Ticket};

const SETTINGS: Settings = Settings {
    timeout_ms_max: 900_000,
    expiration_ms: 1_000_000,
};
const TIMEOUT_MS: i32 = 60_000;

fn producer(producer_id: i64, epoch: i16) -> ProducerIdentity {
    ProducerIdentity { producer_id, epoch }
}

fn partitions(of: &[(&str, i32)]) -> NamedPartitions {
    let mut all = NamedPartitions::new();
    for (topic, index) in of {
        all.entry(Arc::from(*topic)).or_default().insert(*index);
    }
    all
}

/// The one reply, and what else follows.
fn asked(coordinator: &mut TxnCoordinator, request: TxnRequest, now_ms: i64) -> (TxnReply, Effects<TxnReply>) {
    let ticket = Ticket {
        shard: ShardId(0),
        request: 7,
    };
    let mut effects = coordinator.handle(ticket, request, now_ms);
    let (to, reply) = effects.replies.pop().expect("every request is answered");
    assert!(to == ticket && effects.replies.is_empty(), "and once only");
    (reply, effects)
}

/// One transactional id, "t", asked at times that the test sets.
struct Rig {
    coordinator: TxnCoordinator,
    now_ms: i64,
    next_id: i64,
    effects: Effects<TxnReply>,
}

impl Rig {
    fn new() -> Rig {
        Rig {
            coordinator: TxnCoordinator::new(SETTINGS),
            now_ms: 0,
            next_id: 1000,
            effects: Effects::default(),
        }
    }

    fn ask(&mut self, request: TxnRequest) -> TxnReply {
        let (reply, effects) = asked(&mut self.coordinator, request, self.now_ms);
        self.effects = effects;
        reply
    }

    fn init_as(&mut self, claimed: Option<ProducerIdentity>) -> Result<ProducerIdentity, TxnError> {
        self.next_id += 1;
        let fresh_id = Some(self.next_id);
        match self.ask(TxnRequest::Init(Init {
            transactional_id: "t".into(),
            timeout_ms: TIMEOUT_MS,
            claimed,
            fresh_id,
        })) {
            TxnReply::Producer(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn init(&mut self) -> Result<ProducerIdentity, TxnError> {
        self.init_as(None)
    }

    fn add(&mut self, producer: ProducerIdentity, of: &[(&str, i32)], version: ClientVersion) -> Result<(), TxnError> {
        match self.ask(TxnRequest::Add(AddPartitions {
            transactional_id: "t".into(),
            producer,
            partitions: partitions(of),
            version,
        })) {
            TxnReply::Added(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn end(
        &mut self,
        producer: ProducerIdentity,
        commit: bool,
        version: ClientVersion,
    ) -> Result<ProducerIdentity, TxnError> {
        self.next_id += 1;
        let fresh_id = Some(self.next_id);
        match self.ask(TxnRequest::End(End {
            transactional_id: "t".into(),
            producer,
            commit,
            version,
            fresh_id,
        })) {
            TxnReply::Producer(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// The markers that the last call ordered are written, except for these.
    fn write_markers(&mut self, failed: &[(&str, i32)]) {
        for order in std::mem::take(&mut self.effects.markers) {
            let done = MarkersDone {
                transactional_id: order.transactional_id,
                producer: order.producer,
                failed: partitions(failed),
            };
            self.effects = self.coordinator.on_markers_done(done, self.now_ms);
        }
    }

    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        self.effects = self.coordinator.on_time(self.now_ms);
    }

    fn state(&self) -> State {
        self.coordinator.transaction("t").expect("the id is known").state
    }

    /// The producer has used this epoch last.
    fn set_epoch(&mut self, epoch: i16) {
        let mut transaction = self.coordinator.transaction("t").expect("the id is known").clone();
        transaction.epoch = epoch;
        let entry = record::entry("t", Some(&transaction));
        self.coordinator.replay(&entry.key, entry.value.as_ref());
    }
}
