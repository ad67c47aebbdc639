//! v2 record batches as bytes: header view, CRC32C, validation, iteration, compression, building. Synchronous and pure.

mod batch;
mod build;
mod codec;
mod iterate;
mod validate;

pub use batch::{BatchError, BatchHeader, HEADER_LEN, patch};
pub use build::BatchBuilder;
pub use codec::{CodecError, Compression};
pub use iterate::{Header, Record, Records};
pub use validate::{Invalid, InvalidRecord, Rules, TimestampType, ValidBatch};
