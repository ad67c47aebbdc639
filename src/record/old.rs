//! Message sets of the formats before v2 (magic 0 and 1), as old clients send and expect them.
//!
//! The log holds v2 batches only: a Produce request below v3 is converted on its way in, a Fetch response below v4 on
//! its way out. Both are off the hot path and copy freely, within bounds.
//!
//! ```text
//!   message  offset i64 │ size i32 (of what follows) │ crc u32 (zlib's CRC-32 of what follows)
//!            │ magic i8 │ attributes i8 │ magic 1: timestamp i64
//!            │ key len i32 (-1 null), key │ value len i32 (-1 null), value
//!
//!   attributes   bits 0-2 compression: 0 none, 1 gzip, 2 snappy, 3 lz4
//!                bit 3    magic 1: LogAppendTime
//! ```
//!
//! A compressed message is a wrapper: its value is a message set, one level deep. Offsets of a producer's messages mean
//! nothing, so they are not read.

use bytes::{Buf, Bytes};
use flate2::Crc;

use super::codec::LZ4_FRAME_MAGIC;
use super::validate::{check_size, refuse_packed};
use super::{
    BatchBuilder, BatchError, BatchHeader, CodecError, Compression, DECOMPRESSED_BYTES_MAX, Invalid, Record, Records,
    Rules, ValidBatch,
};

/// Bytes before what the size counts.
const SIZE_END: usize = 12;
/// Bytes before what the checksum covers, which is also where every format has its magic.
const CRC_END: usize = 16;
const COMPRESSION_MASK: u8 = 0x07;
const LOG_APPEND_TIME_FLAG: u8 = 0x08;
const NO_TIMESTAMP: i64 = -1;

/// A format before v2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldFormat {
    /// Magic 0, without timestamps: Fetch v0 and v1.
    V0,
    /// Magic 1 (KIP-32): Fetch v2 and v3.
    V1,
}

impl ValidBatch {
    /// Checks the records of one partition of a Produce request below v3, and makes one v2 batch of them.
    ///
    /// Size and checksum are those of the messages as sent; the rest of [`ValidBatch::check`] then holds for the batch
    /// that they become. The producer's codec is kept where the topic does not name one.
    pub fn check_old(set: Bytes, rules: &Rules, now_ms: i64) -> Result<ValidBatch, Invalid> {
        if set.get(CRC_END) == Some(&2) {
            return ValidBatch::check(set, rules, now_ms);
        }
        let mut source = Compression::None;
        for message in Messages::new(&set) {
            let message = message?;
            check_size(message.len, rules)?;
            if message.codec()? != Compression::None {
                source = message.codec()?;
            }
        }
        let (codec, level) = match rules.compression {
            Some((codec, level)) => (codec, Some(level)),
            None => (source, None),
        };
        let mut builder = BatchBuilder::new(codec).level(level);
        convert_up(&set, rules.decompressed_max(), &mut builder)?;
        if builder.is_empty() {
            return Err(Invalid::record(
                "a produce request must hold at least one message per partition",
            ));
        }
        // The codec is now the topic's choice, or one that needs no newer version.
        let rules = Rules {
            produce_version: i16::MAX,
            ..rules.clone()
        };
        ValidBatch::check(builder.build(), &rules, now_ms)
    }
}

/// What an old client is sent for v2 `batches`: the records from `fetch_offset` on, as messages of `format`, up to
/// `max_bytes` but at least one. Headers have no place in these formats, and control batches no meaning to such clients.
///
/// The messages are not compressed, whatever the batches are: so a response ends at any message, and a small
/// `max_bytes` cannot strand a client before a large wrapper. A batch that the end of `batches` cuts is left out.
pub fn convert_down(
    mut batches: Bytes,
    format: OldFormat,
    fetch_offset: i64,
    max_bytes: usize,
) -> Result<Vec<u8>, BatchError> {
    let mut set = Vec::new();
    while let Some((header, batch)) = next_batch(&mut batches)? {
        if header.is_control() {
            continue;
        }
        for record in Records::of(&header, batch, DECOMPRESSED_BYTES_MAX)? {
            let record = record?;
            // These clients take the first message for the one at the offset that they asked for.
            if record.offset < fetch_offset {
                continue;
            }
            let end = set.len();
            put_message(&mut set, format, &header, &record);
            if set.len() > max_bytes && end > 0 {
                set.truncate(end);
                return Ok(set);
            }
        }
    }
    Ok(set)
}

fn next_batch(batches: &mut Bytes) -> Result<Option<(BatchHeader, Bytes)>, BatchError> {
    match BatchHeader::parse(batches) {
        Ok(header) if header.total_len() <= batches.len() => Ok(Some((header, batches.split_to(header.total_len())))),
        Ok(_) | Err(BatchError::Short) => Ok(None),
        Err(cause) => Err(cause),
    }
}

fn put_message(set: &mut Vec<u8>, format: OldFormat, header: &BatchHeader, record: &Record) {
    let start = set.len();
    set.extend_from_slice(&record.offset.to_be_bytes());
    set.extend_from_slice(&[0; CRC_END - 8]); // size and checksum, known at the end
    match format {
        OldFormat::V0 => set.extend_from_slice(&[0, 0]),
        OldFormat::V1 => {
            let attributes = if header.is_log_append_time() {
                LOG_APPEND_TIME_FLAG
            } else {
                0
            };
            set.extend_from_slice(&[1, attributes]);
            set.extend_from_slice(&record.timestamp.to_be_bytes());
        }
    }
    put_nullable(set, record.key.as_deref());
    put_nullable(set, record.value.as_deref());
    let message = &mut set[start..];
    let size = (message.len() - SIZE_END) as i32;
    let crc = crc32(&message[CRC_END..]);
    message[8..SIZE_END].copy_from_slice(&size.to_be_bytes());
    message[SIZE_END..CRC_END].copy_from_slice(&crc.to_be_bytes());
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let len = bytes.map_or(-1, |bytes| bytes.len() as i32);
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes.unwrap_or_default());
}

/// Pushes the messages of `set`, and those inside its wrappers; `open_max` bounds all that is opened.
fn convert_up(set: &[u8], open_max: usize, builder: &mut BatchBuilder) -> Result<(), Invalid> {
    let mut open_left = open_max;
    for message in Messages::new(set) {
        let message = message?;
        match message.codec()? {
            Compression::None => push(&message, builder),
            codec => {
                let plain = message.open(codec, open_left).map_err(refuse_packed)?;
                open_left -= plain.len();
                push_inner(&plain, message.magic, builder)?;
            }
        }
    }
    Ok(())
}

fn push_inner(plain: &[u8], magic: u8, builder: &mut BatchBuilder) -> Result<(), Invalid> {
    for message in Messages::new(plain) {
        let message = message?;
        if message.magic != magic || message.codec()? != Compression::None {
            return Err(Invalid::record(
                "a compressed message holds one of another format, or a compressed one",
            ));
        }
        push(&message, builder);
    }
    Ok(())
}

fn push(message: &Message<'_>, builder: &mut BatchBuilder) {
    builder.push(message.timestamp, message.key, message.value, &[]);
}

/// One message, its checksum checked, its attributes those that a producer may set.
struct Message<'a> {
    /// Bytes of the whole message.
    len: usize,
    magic: u8,
    attributes: u8,
    timestamp: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

impl Message<'_> {
    fn codec(&self) -> Result<Compression, Invalid> {
        match Compression::from_bits(self.attributes & COMPRESSION_MASK) {
            Ok(Compression::Zstd) => Err(Invalid::UnsupportedCompression(
                "zstd needs batches of magic 2".to_string(),
            )),
            codec => codec.map_err(|cause| Invalid::UnsupportedCompression(cause.to_string())),
        }
    }

    fn open(&self, codec: Compression, max_len: usize) -> Result<Vec<u8>, CodecError> {
        let packed = self.value.unwrap_or_default();
        match (codec, self.magic) {
            (Compression::Lz4, 0) => codec.decompress(&with_sound_lz4_checksum(packed), max_len),
            _ => codec.decompress(packed, max_len),
        }
    }
}

/// Iterates over the messages of a set; ends after the first error.
struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    fn new(set: &'a [u8]) -> Messages<'a> {
        Messages { rest: set }
    }

    fn read(&mut self) -> Result<Message<'a>, Invalid> {
        let cut_short = || Invalid::record("a message is cut short");
        let size = self
            .rest
            .get(8..)
            .and_then(|mut at| at.try_get_i32().ok())
            .ok_or_else(cut_short)?;
        let len = usize::try_from(size).map_err(|_| Invalid::Corrupt(format!("message size {size} is impossible")))?;
        let (bytes, rest) = self
            .rest
            .split_at_checked(SIZE_END.saturating_add(len))
            .ok_or_else(cut_short)?;
        self.rest = rest;
        read_message(bytes)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Invalid>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let message = self.read();
        if message.is_err() {
            self.rest = &[];
        }
        Some(message)
    }
}

/// Reads exactly one message, whose size fits `bytes`.
fn read_message(bytes: &[u8]) -> Result<Message<'_>, Invalid> {
    let malformed = || Invalid::record("a message is malformed");
    let (head, covered) = bytes.split_first_chunk::<CRC_END>().ok_or_else(malformed)?;
    if crc32(covered).to_be_bytes() != head[SIZE_END..] {
        return Err(Invalid::Corrupt("checksum of a message does not match".to_string()));
    }
    let mut body = covered;
    let magic = body.try_get_u8().map_err(|_| malformed())?;
    let attributes = body.try_get_u8().map_err(|_| malformed())?;
    let timestamp = match magic {
        0 => NO_TIMESTAMP,
        1 => body.try_get_i64().map_err(|_| malformed())?,
        _ => {
            return Err(Invalid::record(format!(
                "magic {magic} among messages of an old format"
            )));
        }
    };
    if magic == 1 && attributes & LOG_APPEND_TIME_FLAG != 0 {
        let message = "producers may not set the timestamp type LogAppendTime".to_string();
        return Err(Invalid::InvalidTimestamp {
            message,
            records: Vec::new(),
        });
    }
    let key = take_nullable(&mut body).ok_or_else(malformed)?;
    let value = take_nullable(&mut body).ok_or_else(malformed)?;
    match body {
        [] => Ok(Message {
            len: bytes.len(),
            magic,
            attributes,
            timestamp,
            key,
            value,
        }),
        _ => Err(malformed()),
    }
}

/// Bytes after their length, where -1 stands for null; `None` if they are not there.
fn take_nullable<'a>(body: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    match body.try_get_i32().ok()? {
        -1 => Some(None),
        len => {
            let (bytes, rest) = body.split_at_checked(usize::try_from(len).ok()?)?;
            *body = rest;
            Some(Some(bytes))
        }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// With magic 0, Kafka's own clients computed the checksum of the lz4 frame's descriptor over the wrong bytes (KIP-57),
/// so it says nothing there, and the message has its own. Gives the frame the one that the decoder expects.
fn with_sound_lz4_checksum(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let start = LZ4_FRAME_MAGIC.len();
    let Some(&flags) = frame.get(start) else { return frame };
    let content_size_len = if flags & 0x08 != 0 { 8 } else { 0 };
    let dictionary_id_len = if flags & 0x01 != 0 { 4 } else { 0 };
    let end = start + 2 + content_size_len + dictionary_id_len;
    if let Some(descriptor) = frame.get(start..end) {
        let checksum = (xxh32_of_few(descriptor) >> 8) as u8;
        if let Some(place) = frame.get_mut(end) {
            *place = checksum;
        }
    }
    frame
}

/// XXH32 with seed 0 of fewer than 16 bytes, for which the algorithm is its tail only.
fn xxh32_of_few(bytes: &[u8]) -> u32 {
    const PRIMES: [u32; 5] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f, 0x1656_67b1];
    let mut hash = PRIMES[4].wrapping_add(bytes.len() as u32);
    let (words, tail) = bytes.as_chunks::<4>();
    for word in words {
        hash = hash.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(PRIMES[2]));
        hash = hash.rotate_left(17).wrapping_mul(PRIMES[3]);
    }
    for byte in tail {
        hash = hash.wrapping_add(u32::from(*byte).wrapping_mul(PRIMES[4]));
        hash = hash.rotate_left(11).wrapping_mul(PRIMES[0]);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(PRIMES[1]);
    hash = (hash ^ (hash >> 13)).wrapping_mul(PRIMES[2]);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::tests::unhex;
    use crate::record::{Header, TimestampType};

    const NOW_MS: i64 = 2000;

    // Written by kafka-python 2.0.2: (k0, v0), (null, v1), (k2, null), with magic 1 at times 1000, 1001, 1002.
    const V0_PLAIN: &str = "\
        0000000000000000000000128697724c0000000000026b300000000276300000000000000001000000104c9f5bc20000ffff\
        ffff0000000276310000000000000002000000108b23e3da0000000000026b32ffffffff";
    const V0_GZIP: &str = "\
        000000000000000000000052400b79ba0001ffffffff000000441f8b08002303046b02ff63608003a1b6e9453e601653b601\
        882c3380ca3002b180cffce8430c0cff81002c6708956302c9752b3fbe05d56904520100fc51f9c756000000";
    const V0_SNAPPY: &str = "\
        000000000000000000000067c963a8e90002ffffffff0000005982534e415050590000000001000000010000004556000019\
        0110128697724c050f1c026b300000000276010601013801000000104c9f5bc20000ffffffff051c00310119010a011c3c8b\
        23e3da0000000000026b32ffffffff";
    const V1_PLAIN: &str = "\
        00000000000000000000001a60d6d754010000000000000003e8000000026b30000000027630000000000000000100000018\
        761e72b4010000000000000003e9ffffffff0000000276310000000000000002000000182840acad010000000000000003ea\
        000000026b32ffffffff";
    const V1_GZIP: &str = "\
        0000000000000000000000633cac685501010000000000000000ffffffff0000004d1f8b08002303046b02ff63608003a984\
        6bd74318a11ce617408229db0044961940054192126572455be0aa5efe0702b01a43a81013488d86c39ab57035afc0261981\
        540200c05e34706e000000";
    const V1_SNAPPY: &str = "\
        00000000000000000000007b0576df5f01020000000000000000ffffffff0000006582534e41505059000000000100000001\
        000000516e00001901141a60d6d754010d101c03e8000000026b300106007601060101011d1018761e72b4010901011403e9\
        ffffffff052400310110010a1c000000182840acad152428ea000000026b32ffffffff";
    const V1_LZ4: &str = "\
        0000000000000000000000815a16c7fc01030000000000000000ffffffff0000006b04224d1868406e000000000000001554\
        00000016000100631a60d6d7540110008003e8000000026b30060010760600000200001d005018761e72b409000002006103\
        e9ffffffff240010311000000a0085000000182840acad2400b0ea000000026b32ffffffff00000000";

    fn rules() -> Rules {
        Rules {
            max_message_bytes: 1_000_000,
            segment_bytes: 1 << 30,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 0,
            compacted: false,
            compression: None,
            produce_version: 2,
        }
    }

    fn check(set: &Bytes, rules: &Rules) -> Result<ValidBatch, Invalid> {
        ValidBatch::check_old(set.clone(), rules, NOW_MS)
    }

    fn records(valid: &ValidBatch) -> Vec<Record> {
        let records = Records::of(&valid.header, valid.bytes.clone(), 1 << 20).unwrap();
        records.collect::<Result<_, _>>().unwrap()
    }

    fn expected(with_time: bool) -> Vec<Record> {
        let pairs = [(Some("k0"), Some("v0")), (None, Some("v1")), (Some("k2"), None)];
        let record = |(offset, (key, value)): (i64, (Option<&'static str>, Option<&'static str>))| Record {
            offset,
            timestamp: if with_time { 1000 + offset } else { -1 },
            key: key.map(Bytes::from),
            value: value.map(Bytes::from),
            headers: Vec::new(),
        };
        (0..).zip(pairs).map(record).collect()
    }

    /// A wrapper around `value`, as a producer makes it.
    fn wrapper(magic: u8, codec: u8, value: &[u8]) -> Bytes {
        let mut body = vec![magic, codec];
        if magic == 1 {
            body.extend_from_slice(&NO_TIMESTAMP.to_be_bytes());
        }
        put_nullable(&mut body, None);
        put_nullable(&mut body, Some(value));
        let size = (body.len() + 4) as i32;
        [&[0; 8][..], &size.to_be_bytes(), &crc32(&body).to_be_bytes(), &body]
            .concat()
            .into()
    }

    // Goal: what an independent old producer sends becomes the v2 batch that it means, in its own codec (behaviour 16).
    #[test]
    fn old_sets_become_v2_batches() {
        let sets = [
            (V0_PLAIN, Compression::None, false),
            (V0_GZIP, Compression::Gzip, false),
            (V0_SNAPPY, Compression::Snappy, false),
            (V1_PLAIN, Compression::None, true),
            (V1_GZIP, Compression::Gzip, true),
            (V1_SNAPPY, Compression::Snappy, true),
            (V1_LZ4, Compression::Lz4, true),
        ];
        for (set, codec, with_time) in sets {
            let set = unhex(set);
            let valid = check(&set, &rules()).unwrap();
            assert_eq!(valid.header.compression(), Ok(codec));
            assert_eq!(valid.header.check_crc(&valid.bytes), Ok(()));
            assert_eq!(valid.header.max_timestamp, if with_time { 1002 } else { -1 });
            assert_eq!(records(&valid), expected(with_time));
            let zstd = check(
                &set,
                &Rules {
                    compression: Some((Compression::Zstd, 3)),
                    ..rules()
                },
            )
            .unwrap();
            assert_eq!(zstd.header.compression(), Ok(Compression::Zstd));
            assert_eq!(records(&zstd), expected(with_time));
        }
    }

    // Goal: the wrong lz4 checksum that clients wrote with magic 0 is no obstacle there, and one with magic 1.
    #[test]
    fn lz4_of_magic_0_is_read_with_its_wrong_checksum() {
        let mut frame = Compression::Lz4.compress(None, &unhex(V0_PLAIN)).unwrap();
        let sound = frame[6];
        frame[6] ^= 0xff;
        assert_eq!(with_sound_lz4_checksum(&frame)[6], sound);
        assert_eq!(
            records(&check(&wrapper(0, 3, &frame), &rules()).unwrap()),
            expected(false)
        );
        assert!(check(&wrapper(1, 3, &frame), &rules()).is_err());
    }

    // Goal: a client of the old formats gets byte for byte what an independent producer of them writes (behaviour 40).
    #[test]
    fn v2_batches_become_old_sets() {
        for codec in [Compression::None, Compression::Zstd] {
            let mut builder = BatchBuilder::new(codec);
            for record in expected(true) {
                let header = Header {
                    key: Bytes::from_static(b"dropped"),
                    value: None,
                };
                builder.push(
                    record.timestamp,
                    record.key.as_deref(),
                    record.value.as_deref(),
                    &[header],
                );
            }
            let batch = builder.build();
            let [v0, v1] = [OldFormat::V0, OldFormat::V1]
                .map(|format| Bytes::from(convert_down(batch.clone(), format, 0, usize::MAX).unwrap()));
            assert_eq!(v0, unhex(V0_PLAIN));
            assert_eq!(v1, unhex(V1_PLAIN));
        }
    }

    // Goal: conversion starts at the fetch offset, ends at a message, gives at least one, and leaves control and cut
    // batches out.
    #[test]
    fn old_sets_are_cut_at_messages() {
        let mut builder = BatchBuilder::new(Compression::None);
        expected(true)
            .iter()
            .for_each(|record| builder.push(record.timestamp, None, record.value.as_deref(), &[]));
        let batch = builder.build();
        let mut control = batch.to_vec();
        let mut header = BatchHeader::parse(&batch).unwrap();
        header.attributes |= 0x20;
        header.seal(&mut control);
        let mut second = batch.to_vec();
        crate::record::patch(&mut second, 3, 0);
        let log: Bytes = [&batch[..], &control, &second, &second[..80]].concat().into();

        let offsets = |fetch_offset, max_bytes| -> Vec<i64> {
            let set = convert_down(log.clone(), OldFormat::V0, fetch_offset, max_bytes).unwrap();
            let mut rest = &set[..];
            let mut offsets = Vec::new();
            while rest.has_remaining() {
                offsets.push(rest.get_i64());
                let size = rest.get_i32();
                rest.advance(size as usize);
            }
            offsets
        };
        assert_eq!(offsets(0, usize::MAX), [0, 1, 2, 3, 4, 5]);
        assert_eq!(offsets(2, usize::MAX), [2, 3, 4, 5]);
        assert_eq!(offsets(1, 0), [1]);
        assert_eq!(offsets(0, 28 + 28), [0, 1]);
        assert_eq!(offsets(0, 28 + 27), [0]);
        assert!(offsets(6, usize::MAX).is_empty());
    }

    // Goal: each rule about old sets refuses what breaks it.
    #[test]
    fn old_sets_are_checked() {
        let set = unhex(V1_PLAIN);
        let invalid_record = |set: &Bytes| matches!(check(set, &rules()), Err(Invalid::InvalidRecord { .. }));
        assert!(invalid_record(&Bytes::new()));
        assert!(invalid_record(&set.slice(..set.len() - 1)));
        assert!(invalid_record(&set.slice(..11)));
        assert!(invalid_record(&wrapper(1, 1, b"not gzip")));
        assert!(invalid_record(&wrapper(3, 0, b"")));
        let gzip = |plain: &[u8]| Compression::Gzip.compress(None, plain).unwrap();
        assert!(invalid_record(&wrapper(1, 1, &gzip(&unhex(V1_GZIP)))), "nested");
        assert!(invalid_record(&wrapper(0, 1, &gzip(&set))), "mixed formats");
        assert!(invalid_record(&wrapper(1, 1, &gzip(b""))), "no message");
        let mut flipped = set.to_vec();
        flipped[20] ^= 1;
        assert!(matches!(check(&flipped.into(), &rules()), Err(Invalid::Corrupt(_))));
        let unsupported = |codec| check(&wrapper(1, codec, b""), &rules());
        assert!(matches!(unsupported(4), Err(Invalid::UnsupportedCompression(_))));
        assert!(matches!(unsupported(7), Err(Invalid::UnsupportedCompression(_))));
        assert!(matches!(unsupported(8), Err(Invalid::InvalidTimestamp { .. })));
        let small = Rules {
            max_message_bytes: 37,
            ..rules()
        };
        assert!(matches!(check(&set, &small), Err(Invalid::MessageTooLarge(_))));
        let compacted = Rules {
            compacted: true,
            ..rules()
        };
        assert!(matches!(check(&set, &compacted), Err(Invalid::InvalidRecord { .. })));
        assert!(matches!(
            ValidBatch::check_old(set, &rules(), 900),
            Err(Invalid::InvalidTimestamp { .. })
        ));
    }

    // Goal: sizes are those of the messages as sent, and what all wrappers together grow to is bounded.
    #[test]
    fn old_sets_are_limited() {
        let large = wrapper(1, 0, &[0; 1000]);
        let gzip = Rules {
            compression: Some((Compression::Gzip, 9)),
            max_message_bytes: large.len(),
            ..rules()
        };
        assert!(check(&large, &gzip).unwrap().bytes.len() < 200);
        let smaller = Rules {
            max_message_bytes: large.len() - 1,
            ..gzip
        };
        assert!(matches!(check(&large, &smaller), Err(Invalid::MessageTooLarge(_))));

        let twice = unhex(V1_GZIP).repeat(2);
        let convert = |open_max| convert_up(&twice, open_max, &mut BatchBuilder::new(Compression::None));
        let open_len = unhex(V1_PLAIN).len() * 2;
        assert_eq!(convert(open_len), Ok(()));
        assert!(matches!(convert(open_len - 1), Err(Invalid::MessageTooLarge(_))));
    }

    // Goal: magic 1 tells its readers that the time is the append's.
    #[test]
    fn append_times_reach_old_clients() {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(1000, None, None, &[]);
        let mut batch = builder.build().to_vec();
        BatchHeader::parse(&batch)
            .unwrap()
            .with_log_append_time(NOW_MS)
            .seal(&mut batch);
        let set = convert_down(batch.into(), OldFormat::V1, 0, usize::MAX).unwrap();
        assert_eq!(set[CRC_END..CRC_END + 2], [1, LOG_APPEND_TIME_FLAG]);
        assert_eq!(set[CRC_END + 2..CRC_END + 10], NOW_MS.to_be_bytes());
    }

    // Goal: a v2 batch in an old request is checked as what it is.
    #[test]
    fn v2_batches_in_old_requests_pass() {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(1000, None, None, &[]);
        let batch = builder.build();
        assert_eq!(check(&batch, &rules()).unwrap().bytes, batch);
    }

    proptest! {
        // Goal: arbitrary and damaged sets never panic, in either direction.
        #[test]
        fn damaged_old_sets_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>()) {
            let _ = check(&bytes.clone().into(), &rules());
            for (magic, codec) in [(0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)] {
                let _ = check(&wrapper(magic, codec, &bytes), &rules());
                let mut set = unhex(V1_LZ4).to_vec();
                *at.get_mut(&mut set) ^= bytes.first().copied().unwrap_or(1);
                let _ = check(&set.into(), &rules());
            }
            let _ = convert_down(bytes.into(), OldFormat::V1, 0, 1000);
        }
    }
}
