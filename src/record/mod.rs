//! Record batches as bytes: header view, CRC32C, validation, iteration, compression, building, and the formats before v2.
//! Synchronous and pure; knows nothing of logs, segments or requests.

mod batch;
mod build;
mod codec;
mod control;
mod iterate;
mod old;
mod retain;
mod validate;

#[cfg(test)]
mod tests;

pub use batch::{BatchError, BatchHeader, HEADER_LEN, patch};
pub use build::{BatchBuilder, restamp};
pub use codec::{CodecError, Compression};
pub use control::Marker;
pub use iterate::{Header, HeaderView, HeaderViews, Record, RecordView, RecordViews, Records};
pub use old::{OldFormat, convert_down};
pub use retain::{Retained, emptied, retain};
pub use validate::{
    DECOMPRESSED_BYTES_MAX, INVALID_RECORDS_MAX, Invalid, InvalidRecord, Rules, TimestampType, ValidBatch,
};
