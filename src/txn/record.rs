//! Records of `__transaction_state` in Kafka's own format, so that its tools read them: TransactionLogKey version 0,
//! TransactionLogValue version 1 (and 0, as brokers before transactions v2 wrote it).
//!
//! ```text
//!   key    int16 version = 0 │ transactional id
//!   value  int16 version │ int64 producer id │ int16 epoch │ int32 timeout ms │ int8 state
//!          │ [topic, [int32 partition]] or null │ int64 last update ms │ int64 start ms
//!          version 1: compact strings and arrays, a tag section behind every structure;
//!          tags 0 int64 previous producer id, 1 int64 next producer id, 2 int16 client's transaction version
//! ```

use std::sync::Arc;

use bytes::Bytes;

use super::transaction::{ClientVersion, State, Transaction};
use crate::model::{Entry, NO_PRODUCER_ID, NamedPartitions};
use crate::wire::primitives::{DecodeError, Reader, Writer, tag_field};

const KEY_VERSION: i16 = 0;
const VALUE_VERSION: i16 = 1;
const TAG_PREVIOUS_ID: u32 = 0;
const TAG_NEXT_ID: u32 = 1;
const TAG_CLIENT_VERSION: u32 = 2;
/// Bytes of a value without its partitions.
const FIXED_BYTES: usize = 64;

/// Why a record cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error(transparent)]
    Bytes(#[from] DecodeError),
    #[error("{0} of version {1} is not known")]
    Version(&'static str, i16),
    #[error("state {0} is not known")]
    State(i8),
}

/// The states by their numbers in the log. 6 and 7 (Dead, PrepareEpochFence) are never written.
const STATES: [State; 6] = [
    State::Empty,
    State::Ongoing,
    State::PrepareCommit,
    State::PrepareAbort,
    State::CompleteCommit,
    State::CompleteAbort,
];

/// What the log keeps of an id; nothing, once it is forgotten.
pub(super) fn entry(transactional_id: &str, transaction: Option<&Transaction>) -> Entry {
    Entry {
        key: key(transactional_id),
        value: transaction.map(value),
    }
}

fn key(transactional_id: &str) -> Bytes {
    let mut writer = Writer::new(false, 4 + transactional_id.len());
    writer.i16(KEY_VERSION);
    writer.string(transactional_id.as_bytes());
    writer.into_bytes()
}

/// The transactional id that a record is about.
pub(super) fn read_key(key: &Bytes) -> Result<Arc<str>, RecordError> {
    let mut reader = Reader::new(key, false);
    match reader.i16()? {
        KEY_VERSION => Ok(text(&reader.string()?)),
        version => Err(RecordError::Version("key", version)),
    }
}

fn value(transaction: &Transaction) -> Bytes {
    let mut writer = Writer::new(true, FIXED_BYTES);
    writer.i16(VALUE_VERSION);
    writer.i64(transaction.producer_id);
    writer.i16(transaction.epoch);
    writer.i32(transaction.timeout_ms);
    writer.i8(number(transaction.state));
    let partitions: Vec<_> = transaction.partitions.iter().collect();
    // Null where there is no transaction, as Kafka has it.
    let partitions = (transaction.state != State::Empty).then_some(partitions);
    writer.nullable_array(partitions.as_deref(), |writer, (topic, indexes)| {
        writer.string(topic.as_bytes());
        let indexes: Vec<i32> = indexes.iter().copied().collect();
        writer.array(&indexes, |writer, index| writer.i32(*index));
        writer.no_tags();
    });
    writer.i64(transaction.updated_ms);
    writer.i64(transaction.started_ms);
    writer.tags(&tags(transaction));
    writer.into_bytes()
}

fn number(state: State) -> i8 {
    STATES.iter().position(|known| *known == state).unwrap_or_default() as i8
}

fn tags(transaction: &Transaction) -> Vec<(u32, Bytes)> {
    let ids = [
        (TAG_PREVIOUS_ID, transaction.previous_producer_id),
        (TAG_NEXT_ID, transaction.next_producer_id),
    ];
    let ids = ids.into_iter().filter(|(_, id)| *id != NO_PRODUCER_ID);
    let mut tags: Vec<_> = ids.map(|(tag, id)| (tag, tag_field(|field| field.i64(id)))).collect();
    if transaction.version == ClientVersion::V2 {
        tags.push((TAG_CLIENT_VERSION, tag_field(|field| field.i16(2))));
    }
    tags
}

pub(super) fn read_value(value: &Bytes) -> Result<Transaction, RecordError> {
    let version = Reader::new(value, false).i16()?;
    if version != 0 && version != VALUE_VERSION {
        return Err(RecordError::Version("value", version));
    }
    let mut reader = Reader::new(value, version == VALUE_VERSION);
    reader.skip(2)?;
    let mut transaction = Transaction::new(reader.i64()?);
    transaction.epoch = reader.i16()?;
    transaction.timeout_ms = reader.i32()?;
    transaction.state = state(reader.i8()?)?;
    transaction.partitions = partitions(&mut reader)?;
    transaction.updated_ms = reader.i64()?;
    transaction.started_ms = reader.i64()?;
    reader.tags(|tag, field| {
        match tag {
            TAG_PREVIOUS_ID => transaction.previous_producer_id = field.i64()?,
            TAG_NEXT_ID => transaction.next_producer_id = field.i64()?,
            TAG_CLIENT_VERSION if field.i16()? >= 2 => transaction.version = ClientVersion::V2,
            _ => {}
        }
        Ok(())
    })?;
    Ok(transaction)
}

fn state(number: i8) -> Result<State, RecordError> {
    let known = usize::try_from(number).ok().and_then(|at| STATES.get(at));
    known.copied().ok_or(RecordError::State(number))
}

fn partitions(reader: &mut Reader<'_>) -> Result<NamedPartitions, DecodeError> {
    let topics = reader.nullable_array(2, |reader| {
        let topic = text(&reader.string()?);
        let indexes = reader.array(4, Reader::i32)?;
        reader.skip_tags()?;
        Ok((topic, indexes.into_iter().collect()))
    })?;
    Ok(topics.unwrap_or_default().into_iter().collect())
}

/// Copied: it shall not hold on to the buffer that it was read from. The reader has checked that it is UTF-8.
fn text(bytes: &Bytes) -> Arc<str> {
    String::from_utf8_lossy(bytes).into()
}
