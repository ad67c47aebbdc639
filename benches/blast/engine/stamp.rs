//! What every batch carries in its first record: who sent it, its number, and when it was due. And how a batch that was
//! encoded once gets a new stamp without its checksum being computed again.
//!
//! ```text
//!   value of the first record   | magic u32 | producer u32 | sequence u64 | intended ns u64 | filling …
//! ```
//!
//! CRC32C is linear over XOR: the checksum of a batch whose stamp is S is that of the batch with a stamp of zeros, XORed
//! with one table entry per byte of S. So a stamp costs 24 look-ups, whatever the size of the batch.

use corelane::record::HEADER_LEN;

pub const STAMP_LEN: usize = 24;
const MAGIC: u32 = 0xb1a5_7000;
/// Where a batch's checksum stands, and where the bytes that it covers begin.
const CRC_AT: usize = 17;
const COVERED_FROM: usize = 21;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub producer: u32,
    pub sequence: u64,
    pub intended_ns: u64,
}

impl Stamp {
    pub fn to_bytes(self) -> [u8; STAMP_LEN] {
        let mut bytes = [0; STAMP_LEN];
        bytes[..4].copy_from_slice(&MAGIC.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.producer.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[16..].copy_from_slice(&self.intended_ns.to_be_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Stamp> {
        let bytes = bytes.first_chunk::<STAMP_LEN>()?;
        let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(word(at)) << 32 | u64::from(word(at + 4));
        (word(0) == MAGIC).then(|| Stamp {
            producer: word(4),
            sequence: long(8),
            intended_ns: long(16),
        })
    }
}

/// Stamps copies of one batch.
pub struct Stamper {
    /// Where in the batch the stamp stands.
    at: usize,
    /// The checksum of the batch with a stamp of zeros.
    crc_of_zeros: u32,
    /// What each value of each byte of the stamp adds to the checksum.
    effect: Box<[[u32; 256]; STAMP_LEN]>,
}

impl Stamper {
    /// `batch` is a whole one with [`STAMP_LEN`] bytes of room at `at`, which are set to zero.
    pub fn new(batch: &mut [u8], at: usize) -> Stamper {
        batch[at..at + STAMP_LEN].fill(0);
        let covered = &batch[COVERED_FROM..];
        let mut zeros = vec![0; covered.len()];
        let crc_of_nothing = crc32c::crc32c(&zeros);
        let mut effect = Box::new([[0; 256]; STAMP_LEN]);
        for (index, table) in effect.iter_mut().enumerate() {
            let place = at - COVERED_FROM + index;
            for bit in 0..8 {
                zeros[place] = 1 << bit;
                table[1 << bit] = crc32c::crc32c(&zeros) ^ crc_of_nothing;
            }
            zeros[place] = 0;
            for value in 1..256usize {
                let lowest = value & value.wrapping_neg();
                table[value] = table[lowest] ^ table[value ^ lowest];
            }
        }
        Stamper {
            at,
            crc_of_zeros: crc32c::crc32c(covered),
            effect,
        }
    }

    /// Writes the stamp and the checksum into a copy of the batch.
    pub fn stamp(&self, batch: &mut [u8], stamp: Stamp) {
        let bytes = stamp.to_bytes();
        batch[self.at..self.at + STAMP_LEN].copy_from_slice(&bytes);
        let crc = bytes
            .iter()
            .zip(self.effect.iter())
            .fold(self.crc_of_zeros, |crc, (byte, table)| crc ^ table[usize::from(*byte)]);
        batch[CRC_AT..COVERED_FROM].copy_from_slice(&crc.to_be_bytes());
    }
}

/// The stamp in the first record of an uncompressed batch.
pub fn stamp_of(batch: &[u8]) -> Option<Stamp> {
    let mut rest = batch.get(HEADER_LEN..)?;
    let _len = varint(&mut rest)?;
    rest = rest.get(1..)?; // attributes
    let _timestamp_delta = varint(&mut rest)?;
    let _offset_delta = varint(&mut rest)?;
    let key = usize::try_from(varint(&mut rest)?).unwrap_or(0); // -1: no key
    rest = rest.get(key..)?;
    let _value_len = varint(&mut rest)?;
    Stamp::from_bytes(rest)
}

/// A zigzag varint, and the bytes behind it.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut raw = 0u64;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        raw |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((raw >> 1) as i64 ^ -((raw & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::batch::{self, Recipe};
    use corelane::record::{BatchHeader, Compression};

    #[test]
    fn a_patched_checksum_is_the_computed_one() {
        for records in [1, 16] {
            let template = batch::build(&Recipe {
                sizes: vec![100; records],
                key_bytes: None,
                compression: Compression::None,
                seed: 3,
            });
            let mut copy = template.bytes.clone();
            for sequence in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
                let stamp = Stamp {
                    producer: 77,
                    sequence,
                    intended_ns: !sequence,
                };
                template.stamper.as_ref().unwrap().stamp(&mut copy, stamp);
                let header = BatchHeader::parse(&copy).unwrap();
                header.check_crc(&copy).unwrap();
                assert_eq!(stamp_of(&copy), Some(stamp));
            }
        }
    }

    #[test]
    fn foreign_bytes_have_no_stamp() {
        assert_eq!(stamp_of(&[0; 200]), None);
        assert_eq!(stamp_of(&[]), None);
    }
}
