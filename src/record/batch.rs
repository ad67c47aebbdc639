//! The 61-byte header of a v2 batch: its view, its checksum and the 12-byte patch of an append.
//!
//! What follows the header (the records, possibly compressed) is the business of `iterate` and `codec`. Integers are
//! big-endian. `*` marks the bytes that the checksum covers: everything from the attributes to the batch's end.
//!
//! ```text
//!   byte  0        8            12             16      17    21           23                  27
//!        | base    | batch      | partition    | magic | crc | attributes | last offset delta |
//!        | offset  | length     | leader epoch | = 2   |     |     *      |         *         |
//!        | i64     | i32        | i32          | i8    | u32 | i16        | i32               |
//!
//!   byte 27          35          43         51          53         57       61
//!        | base      | max       | producer | producer  | base     | record | records …
//!        | timestamp | timestamp | id       | epoch     | sequence | count  |
//!        |    *      |    *      |    *     |    *      |    *     |   *    |    *
//!        | i64       | i64       | i64      | i16       | i32      | i32    |
//!
//!   attributes   bits 0-2 compression: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd
//!                bit 3    timestamp type: 0 CreateTime, 1 LogAppendTime (max timestamp is the time of the append)
//!                bit 4    transactional
//!                bit 5    control batch (transaction markers)
//!                bit 6    the base timestamp is a delete horizon (set by compaction, KIP-534)
//! ```
//!
//! The batch length counts what follows its own field, so a whole batch is 12 bytes longer. Base offset and leader
//! epoch, which the broker sets, lie outside the checksum: an append patches 12 bytes and computes nothing.

use super::{CodecError, Compression};

/// Bytes before the first record.
pub const HEADER_LEN: usize = 61;
/// Bytes before and including the batch length field.
const LENGTH_END: usize = 12;
/// Where the checksummed part begins.
const CRC_END: usize = 21;
/// The smallest value of the batch length field: a header and no records.
const BATCH_LENGTH_MIN: i32 = (HEADER_LEN - LENGTH_END) as i32;
const MAGIC: i8 = 2;

const COMPRESSION_MASK: i16 = 0x07;
const LOG_APPEND_TIME_FLAG: i16 = 0x08;
pub(super) const TRANSACTIONAL_FLAG: i16 = 0x10;
pub(super) const CONTROL_FLAG: i16 = 0x20;
const DELETE_HORIZON_FLAG: i16 = 0x40;

/// The fields of a v2 batch header. `Copy`: 61 bytes parsed once and passed around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: i64,
    /// Bytes after the length field: the whole batch is 12 more.
    pub batch_length: i32,
    pub leader_epoch: i32,
    pub magic: i8,
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

/// Why bytes are not a batch, or a batch does not hold the records that it announces.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("batch is cut short")]
    Short,
    #[error("batch length {0} is impossible")]
    Length(i32),
    #[error("magic {0} is not 2")]
    Magic(i8),
    #[error("checksum does not match")]
    Crc,
    #[error("record is malformed: {0}")]
    Record(&'static str),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl BatchHeader {
    /// Parses the header at the front of `bytes`: checks magic, and that batch_length >= 49; not the CRC, not that the whole batch is there.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        // The older formats have their magic at the same place, and their shortest message is shorter than our
        // header: the magic comes first, so that such a message is named for what it is.
        match bytes.get(16) {
            Some(&magic) if magic as i8 != MAGIC => return Err(BatchError::Magic(magic as i8)),
            _ => {}
        }
        let fields = bytes.first_chunk::<HEADER_LEN>().ok_or(BatchError::Short)?;
        let header = BatchHeader::read(fields);
        if header.batch_length < BATCH_LENGTH_MIN {
            return Err(BatchError::Length(header.batch_length));
        }
        Ok(header)
    }

    /// Whole length in bytes, header included.
    pub fn total_len(&self) -> usize {
        // `parse` refuses a negative length.
        LENGTH_END + self.batch_length as usize
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// The sequence of the last record; sequences wrap from `i32::MAX` to 0, never to a negative number.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        let modulus = i64::from(i32::MAX) + 1;
        ((i64::from(self.base_sequence) + i64::from(self.last_offset_delta)).rem_euclid(modulus)) as i32
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_FLAG != 0
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_FLAG != 0
    }

    pub fn has_producer_id(&self) -> bool {
        self.producer_id >= 0
    }

    /// From when on compaction may drop the batch's tombstones, or its marker. //= KIP-534
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON_FLAG != 0).then_some(self.base_timestamp)
    }

    pub fn compression_bits(&self) -> u8 {
        (self.attributes & COMPRESSION_MASK) as u8
    }

    pub fn compression(&self) -> Result<Compression, CodecError> {
        Compression::from_bits(self.compression_bits())
    }

    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME_FLAG != 0
    }

    /// Checks the CRC32C of `batch` (exactly one whole batch).
    pub fn check_crc(&self, batch: &[u8]) -> Result<(), BatchError> {
        match batch.get(CRC_END..self.total_len()) {
            None => Err(BatchError::Short),
            Some(covered) if crc32c::crc32c(covered) == self.crc => Ok(()),
            Some(_) => Err(BatchError::Crc),
        }
    }

    /// The same header for records compressed with `codec`.
    pub(super) fn with_compression(mut self, codec: Compression) -> BatchHeader {
        self.attributes = (self.attributes & !COMPRESSION_MASK) | i16::from(codec.bits());
        self
    }

    /// The same header with a time from which on compaction may drop tombstones: it takes the base timestamp's place.
    pub(super) fn with_delete_horizon(mut self, horizon_ms: i64) -> BatchHeader {
        self.attributes |= DELETE_HORIZON_FLAG;
        self.base_timestamp = horizon_ms;
        self
    }

    /// The header of a batch whose records are all gone: what it says of its producer and its offsets stays.
    pub(super) fn emptied(mut self) -> BatchHeader {
        self.attributes &= !(COMPRESSION_MASK | DELETE_HORIZON_FLAG);
        self.base_timestamp = -1;
        self.record_count = 0;
        self
    }

    /// The same header with the time of the append in the place of the producer's times.
    pub(super) fn with_log_append_time(mut self, now_ms: i64) -> BatchHeader {
        self.attributes |= LOG_APPEND_TIME_FLAG;
        self.max_timestamp = now_ms;
        self
    }

    /// Writes this header over the first 61 bytes of `batch`, with the length and the checksum that its bytes have.
    /// Returns the header as written. Panics if `batch` has no room for a header.
    pub(super) fn seal(mut self, batch: &mut [u8]) -> BatchHeader {
        self.batch_length = i32::try_from(batch.len() - LENGTH_END).expect("a batch is shorter than 2 GiB");
        self.write(batch);
        self.crc = crc32c::crc32c(&batch[CRC_END..]);
        batch[17..21].copy_from_slice(&self.crc.to_be_bytes());
        self
    }

    fn read(fields: &[u8; HEADER_LEN]) -> BatchHeader {
        BatchHeader {
            base_offset: i64::from_be_bytes(field(fields, 0)),
            batch_length: i32::from_be_bytes(field(fields, 8)),
            leader_epoch: i32::from_be_bytes(field(fields, 12)),
            magic: i8::from_be_bytes(field(fields, 16)),
            crc: u32::from_be_bytes(field(fields, 17)),
            attributes: i16::from_be_bytes(field(fields, 21)),
            last_offset_delta: i32::from_be_bytes(field(fields, 23)),
            base_timestamp: i64::from_be_bytes(field(fields, 27)),
            max_timestamp: i64::from_be_bytes(field(fields, 35)),
            producer_id: i64::from_be_bytes(field(fields, 43)),
            producer_epoch: i16::from_be_bytes(field(fields, 51)),
            base_sequence: i32::from_be_bytes(field(fields, 53)),
            record_count: i32::from_be_bytes(field(fields, 57)),
        }
    }

    fn write(&self, batch: &mut [u8]) {
        batch[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        batch[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        batch[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        batch[16..17].copy_from_slice(&self.magic.to_be_bytes());
        batch[17..21].copy_from_slice(&self.crc.to_be_bytes());
        batch[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        batch[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        batch[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        batch[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        batch[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        batch[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        batch[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        batch[57..61].copy_from_slice(&self.record_count.to_be_bytes());
    }
}

/// Writes base offset and partition leader epoch (bytes 0-7 and 12-15), which lie outside the CRC.
/// Panics if `batch` is shorter than a header: callers hold a batch that was parsed.
pub fn patch(batch: &mut [u8], base_offset: i64, leader_epoch: i32) {
    batch[0..8].copy_from_slice(&base_offset.to_be_bytes());
    batch[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// The `N` bytes of a header from `at` on; both are constants of this file, within the header.
fn field<const N: usize>(fields: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    std::array::from_fn(|i| fields[at + i])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One record (key "k", value "v") at time 1000, put together by hand from the published layout.
    pub(super) const GOLDEN: [u8; 70] = [
        0, 0, 0, 0, 0, 0, 0, 7, // base offset 7
        0, 0, 0, 58, // 49 bytes of header after this field, 9 of records
        0, 0, 0, 3, // leader epoch 3
        2, // magic
        0x71, 0x6a, 0x61, 0x89, // CRC32C, computed by an independent bitwise program
        0, 0, // attributes: nothing set
        0, 0, 0, 0, // last offset delta
        0, 0, 0, 0, 0, 0, 0x03, 0xe8, // base timestamp 1000
        0, 0, 0, 0, 0, 0, 0x03, 0xe8, // max timestamp 1000
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // no producer id
        0xff, 0xff, // no producer epoch
        0xff, 0xff, 0xff, 0xff, // no sequence
        0, 0, 0, 1,  // one record
        16, // its size: 8, zigzag
        0, 0, 0, // attributes, timestamp delta, offset delta
        2, b'k', // key
        2, b'v', // value
        0,    // no headers
    ];

    // Goal: the layout is the published one, not merely one that our writer and reader agree on.
    #[test]
    fn golden_bytes_parse() {
        let header = BatchHeader::parse(&GOLDEN).unwrap();
        assert_eq!(header.base_offset, 7);
        assert_eq!(header.total_len(), GOLDEN.len());
        assert_eq!(header.leader_epoch, 3);
        assert_eq!((header.base_timestamp, header.max_timestamp), (1000, 1000));
        assert_eq!(
            (header.producer_id, header.producer_epoch, header.base_sequence),
            (-1, -1, -1)
        );
        assert_eq!((header.record_count, header.last_offset_delta), (1, 0));
        assert_eq!(header.check_crc(&GOLDEN), Ok(()));
    }

    // Goal: an append's patch changes offset and epoch and leaves the checksum valid.
    #[test]
    fn patch_leaves_the_checksum_valid() {
        let mut batch = GOLDEN;
        patch(&mut batch, 123_456_789_012, 42);
        let header = BatchHeader::parse(&batch).unwrap();
        assert_eq!((header.base_offset, header.leader_epoch), (123_456_789_012, 42));
        assert_eq!(header.check_crc(&batch), Ok(()));
        assert_eq!(header.seal(&mut batch), header);
    }

    // Goal: bytes that are no v2 batch are named for what they are.
    #[test]
    fn impossible_headers_are_refused() {
        assert_eq!(BatchHeader::parse(&[]), Err(BatchError::Short));
        assert_eq!(BatchHeader::parse(&GOLDEN[..60]), Err(BatchError::Short));
        let mut old = GOLDEN;
        old[16] = 1;
        assert_eq!(BatchHeader::parse(&old[..26]), Err(BatchError::Magic(1)));
        let mut short = GOLDEN;
        short[8..12].copy_from_slice(&48i32.to_be_bytes());
        assert_eq!(BatchHeader::parse(&short), Err(BatchError::Length(48)));
        short[8..12].copy_from_slice(&(-1i32).to_be_bytes());
        assert_eq!(BatchHeader::parse(&short), Err(BatchError::Length(-1)));
        let header = BatchHeader::parse(&GOLDEN).unwrap();
        assert_eq!(header.check_crc(&GOLDEN[..69]), Err(BatchError::Short));
    }

    // Goal: every flipped bit that the checksum covers is found.
    #[test]
    fn checksum_finds_every_flipped_bit() {
        for at in CRC_END..GOLDEN.len() {
            for bit in 0..8 {
                let mut batch = GOLDEN;
                batch[at] ^= 1 << bit;
                let header = BatchHeader::parse(&batch).unwrap();
                assert_eq!(header.check_crc(&batch), Err(BatchError::Crc), "byte {at} bit {bit}");
            }
        }
    }

    // Goal: the sequence after i32::MAX is 0 (KIP-98), and "no sequence" stays what it is.
    #[test]
    fn sequences_wrap_to_zero() {
        let mut header = BatchHeader::parse(&GOLDEN).unwrap();
        assert_eq!(header.last_sequence(), -1);
        header.base_sequence = i32::MAX - 1;
        header.last_offset_delta = 1;
        assert_eq!(header.last_sequence(), i32::MAX);
        header.last_offset_delta = 2;
        assert_eq!(header.last_sequence(), 0);
        header.last_offset_delta = 12;
        assert_eq!(header.last_sequence(), 10);
    }
}
