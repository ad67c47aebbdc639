//! The transaction coordinator of one partition of `__transaction_state`: who may write under a transactional id, and how
//! each transaction ends.
//!
//! Pure and synchronous: state × request × now gives a new state and [`crate::model::Effects`]. It does not append, send, wait or read a
//! clock; whoever hosts it appends the records as one batch, and lets replies and markers go once that batch is durable.
//! If the batch cannot be written, the coordinator is dropped and loaded anew from the log: its state runs ahead of the
//! log, never beside it.
//!
//! ```text
//!   Empty ──add──▶ Ongoing ──end──▶ PrepareCommit ──markers written──▶ CompleteCommit ─┐
//!     ▲               ├──end──────▶ PrepareAbort ──markers written───▶ CompleteAbort  ─┤ add ──▶ Ongoing
//!     │               └──timeout or a newer producer: PrepareAbort under a new epoch   │
//!     └──────────────────────────── InitProducerId: the next epoch ────────────────────┘
//! ```
//!
//! Kafka's two states beside these, Dead and PrepareEpochFence, last from a decision to its record. Here a decision and
//! its record are one step, so neither is ever seen.
//!
//! Invariants, held by the tests over random histories: the epoch of a producer id never goes back; a prepared decision
//! never turns into the other one; a producer that was fenced gets nothing but refusals; whatever is replayed from the
//! records is what ran.
//!
//! | file | what |
//! |---|---|
//! | transaction | one transactional id: its states and the steps between them |
//! | record | its record in the log, as Kafka writes it |
//! | coordinator | all ids of one partition: requests, deadlines, markers |

mod coordinator;
mod record;
#[cfg(test)]
mod tests;
mod transaction;

pub use coordinator::{AddPartitions, End, Init, MarkersDone, Settings, TxnCoordinator, TxnReply, TxnRequest};
pub use transaction::{ClientVersion, State, Transaction, TxnError};
