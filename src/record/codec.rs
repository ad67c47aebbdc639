//! Compression codecs of record batches, with a bound on what a batch may grow to.
//!
//! A few bytes can announce gigabytes, so every decoder stops at the caller's `max_len`. Beside the output, a decoder
//! holds at most its own fixed windows: none for snappy and zstd (both decode in place), 32 KiB for gzip, 12 MiB for
//! lz4 frames with the largest blocks.

use std::io::{Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use zstd::zstd_safe;

/// How the records of a batch are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("unknown compression type {0}")]
    Unknown(u8),
    #[error("{0} data is broken: {1}")]
    Broken(&'static str, String),
    #[error("decompressed data exceeds {0} bytes")]
    TooLarge(usize),
}

impl Compression {
    pub fn from_bits(bits: u8) -> Result<Compression, CodecError> {
        match bits {
            0 => Ok(Compression::None),
            1 => Ok(Compression::Gzip),
            2 => Ok(Compression::Snappy),
            3 => Ok(Compression::Lz4),
            4 => Ok(Compression::Zstd),
            _ => Err(CodecError::Unknown(bits)),
        }
    }

    /// As in compression.type: none/uncompressed, gzip, snappy, lz4, zstd.
    pub fn from_name(name: &str) -> Option<Compression> {
        match name {
            "none" | "uncompressed" => Some(Compression::None),
            "gzip" => Some(Compression::Gzip),
            "snappy" => Some(Compression::Snappy),
            "lz4" => Some(Compression::Lz4),
            "zstd" => Some(Compression::Zstd),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Snappy => "snappy",
            Compression::Lz4 => "lz4",
            Compression::Zstd => "zstd",
        }
    }

    pub fn bits(self) -> u8 {
        match self {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Snappy => 2,
            Compression::Lz4 => 3,
            Compression::Zstd => 4,
        }
    }

    /// `level` is the codec's own scale, `None` its default; snappy has no levels, and our lz4 knows only its fast one.
    pub fn compress(self, level: Option<i32>, plain: &[u8]) -> Result<Vec<u8>, CodecError> {
        match self {
            Compression::None => Ok(plain.to_vec()),
            Compression::Gzip => compress_gzip(level, plain),
            Compression::Snappy => compress_snappy(plain),
            Compression::Lz4 => compress_lz4(plain),
            Compression::Zstd => {
                zstd::bulk::compress(plain, level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL)).map_err(broken("zstd"))
            }
        }
    }

    /// Never returns, nor allocates for its output, more than `max_len` bytes.
    pub fn decompress(self, packed: &[u8], max_len: usize) -> Result<Vec<u8>, CodecError> {
        match self {
            Compression::None if packed.len() > max_len => Err(CodecError::TooLarge(max_len)),
            Compression::None => Ok(packed.to_vec()),
            Compression::Gzip => read_bounded("gzip", MultiGzDecoder::new(packed), packed.len(), max_len),
            Compression::Snappy => decompress_snappy(packed, max_len),
            Compression::Lz4 => decompress_lz4(packed, max_len),
            Compression::Zstd => decompress_zstd(packed, max_len),
        }
    }
}

fn broken<E: ToString>(codec: &'static str) -> impl Fn(E) -> CodecError {
    move |cause| CodecError::Broken(codec, cause.to_string())
}

/// How much larger than its packed form the output is first assumed to be; a wrong guess costs a reallocation.
const GROWTH_GUESS: usize = 4;
/// The smallest first allocation: below this, guessing is not worth a second attempt.
const GUESS_BYTES_MIN: usize = 16 * 1024;

fn first_guess(packed_len: usize, max_len: usize) -> usize {
    packed_len
        .saturating_mul(GROWTH_GUESS)
        .max(GUESS_BYTES_MIN)
        .min(max_len)
}

/// Reads to the end; unlike `Read::read_to_end`, the buffer never grows past `max_len`.
fn read_bounded(
    codec: &'static str,
    mut reader: impl Read,
    packed_len: usize,
    max_len: usize,
) -> Result<Vec<u8>, CodecError> {
    let mut plain = vec![0; first_guess(packed_len, max_len)];
    let mut filled = 0;
    loop {
        if filled == plain.len() {
            if filled == max_len {
                return match reader.read(&mut [0]).map_err(broken(codec))? {
                    0 => Ok(plain),
                    _ => Err(CodecError::TooLarge(max_len)),
                };
            }
            let grown = plain.len().saturating_mul(2).min(max_len);
            plain.reserve_exact(grown - filled);
            plain.resize(grown, 0);
        }
        match reader.read(&mut plain[filled..]).map_err(broken(codec))? {
            0 => break,
            read => filled += read,
        }
    }
    plain.truncate(filled);
    Ok(plain)
}

fn compress_gzip(level: Option<i32>, plain: &[u8]) -> Result<Vec<u8>, CodecError> {
    let level = match level {
        // Kafka's "-1" is zlib's default, as is saying nothing.
        None | Some(..0) => flate2::Compression::default(),
        Some(level) => flate2::Compression::new(level.min(9) as u32),
    };
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(plain).map_err(broken("gzip"))?;
    encoder.finish().map_err(broken("gzip"))
}

/// The frame that snappy-java puts around raw blocks, which Java clients write, and expect of what they read:
/// this header (two versions, both 1), then per block its packed length (u32, big-endian) and its bytes.
const XERIAL_HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
const XERIAL_MAGIC_LEN: usize = 8;
/// Plain bytes per block; snappy-java's default.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;

fn compress_snappy(plain: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut encoder = snap::raw::Encoder::new();
    let mut packed = XERIAL_HEADER.to_vec();
    for block in plain.chunks(XERIAL_BLOCK_BYTES) {
        let block = encoder.compress_vec(block).map_err(broken("snappy"))?;
        packed.extend_from_slice(&(block.len() as u32).to_be_bytes());
        packed.extend_from_slice(&block);
    }
    Ok(packed)
}

/// Reads both forms in use: framed as above (Java), and one raw block (librdkafka).
fn decompress_snappy(packed: &[u8], max_len: usize) -> Result<Vec<u8>, CodecError> {
    let mut plain = Vec::new();
    if !packed.starts_with(&XERIAL_HEADER[..XERIAL_MAGIC_LEN]) {
        append_snappy_block(packed, max_len, &mut plain)?;
        return Ok(plain);
    }
    let mut rest = packed;
    while !rest.is_empty() {
        // Concatenated streams repeat the header; read as a length, it would be far too long.
        if rest.starts_with(&XERIAL_HEADER[..XERIAL_MAGIC_LEN]) {
            rest = rest.get(XERIAL_HEADER.len()..).ok_or_else(|| cut_short("snappy"))?;
            continue;
        }
        let (len, after) = rest.split_first_chunk::<4>().ok_or_else(|| cut_short("snappy"))?;
        let len = u32::from_be_bytes(*len) as usize;
        let (block, after) = after.split_at_checked(len).ok_or_else(|| cut_short("snappy"))?;
        append_snappy_block(block, max_len, &mut plain)?;
        rest = after;
    }
    Ok(plain)
}

fn append_snappy_block(block: &[u8], max_len: usize, plain: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = plain.len();
    let len = snap::raw::decompress_len(block).map_err(broken("snappy"))?;
    let end = start
        .checked_add(len)
        .filter(|end| *end <= max_len)
        .ok_or(CodecError::TooLarge(max_len))?;
    if plain.capacity() < end {
        // Doubling, but not past the bound: as `read_bounded` does.
        plain.reserve_exact(end.max(plain.capacity().saturating_mul(2).min(max_len)) - start);
    }
    plain.resize(end, 0);
    snap::raw::Decoder::new()
        .decompress(block, &mut plain[start..])
        .map_err(broken("snappy"))?;
    Ok(())
}

fn cut_short(codec: &'static str) -> CodecError {
    CodecError::Broken(codec, "it is cut short".to_string())
}

pub(super) const LZ4_FRAME_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// Kafka's Java reader refuses blocks that depend on each other; 64 KiB blocks are what its writer makes.
fn compress_lz4(plain: &[u8]) -> Result<Vec<u8>, CodecError> {
    let frame = FrameInfo::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(frame, Vec::new());
    encoder.write_all(plain).map_err(broken("lz4"))?;
    encoder.finish().map_err(broken("lz4"))
}

fn decompress_lz4(packed: &[u8], max_len: usize) -> Result<Vec<u8>, CodecError> {
    // The library also reads lz4's legacy frames; no Kafka client writes them, and their blocks take 16 MiB.
    if !packed.starts_with(&LZ4_FRAME_MAGIC) {
        return Err(CodecError::Broken("lz4", "it does not begin with a frame".to_string()));
    }
    read_bounded("lz4", FrameDecoder::new(packed), packed.len(), max_len)
}

/// How the library words the one error that a larger buffer cures; a test holds it to that.
const ZSTD_BUFFER_TOO_SMALL: &str = "Destination buffer is too small";

/// Decodes in one call rather than as a stream: a stream would allocate the window that the frame asks for, up to
/// 128 MiB, whatever the batch holds. Clients that stream do not state the content's size, so it has to be guessed.
fn decompress_zstd(packed: &[u8], max_len: usize) -> Result<Vec<u8>, CodecError> {
    let stated = match zstd_safe::get_frame_content_size(packed) {
        Ok(stated) => stated.map(|len| usize::try_from(len).unwrap_or(usize::MAX)),
        Err(_) => return Err(CodecError::Broken("zstd", "it does not begin with a frame".to_string())),
    };
    if stated.is_some_and(|len| len > max_len) {
        return Err(CodecError::TooLarge(max_len));
    }
    let mut capacity = stated.unwrap_or_else(|| first_guess(packed.len(), max_len));
    loop {
        let mut plain = Vec::with_capacity(capacity);
        let cause = match zstd_safe::decompress(&mut plain, packed) {
            Ok(_) if plain.len() > max_len => return Err(CodecError::TooLarge(max_len)),
            Ok(_) => return Ok(plain),
            Err(code) => zstd_safe::get_error_name(code),
        };
        if cause != ZSTD_BUFFER_TOO_SMALL {
            return Err(CodecError::Broken("zstd", cause.to_string()));
        }
        if capacity == max_len {
            return Err(CodecError::TooLarge(max_len));
        }
        capacity = capacity.saturating_mul(GROWTH_GUESS).max(GUESS_BYTES_MIN).min(max_len);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CODECS: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    fn sample(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i / 7 * 31 % 251) as u8).collect()
    }

    // Goal: what is compressed comes back, at sizes around the block boundaries, and exactly at the bound.
    #[test]
    fn every_codec_round_trips_up_to_the_bound() {
        for codec in CODECS {
            for len in [
                0,
                1,
                100,
                16 * 1024,
                32 * 1024 - 1,
                32 * 1024,
                32 * 1024 + 1,
                65_537,
                1 << 20,
            ] {
                let plain = sample(len);
                let packed = codec.compress(None, &plain).unwrap();
                let opened = codec.decompress(&packed, len).unwrap();
                assert_eq!(opened, plain, "{codec:?} {len}");
                assert!(
                    opened.capacity() <= len,
                    "{codec:?} {len} allocates {}",
                    opened.capacity()
                );
                assert_eq!(Compression::from_bits(codec.bits()), Ok(codec));
                assert_eq!(Compression::from_name(codec.name()), Some(codec));
            }
        }
        assert_eq!(Compression::from_bits(5), Err(CodecError::Unknown(5)));
    }

    // Goal: one byte beyond the bound is refused as too large, not as broken, and never returned.
    #[test]
    fn decompression_stops_at_the_bound() {
        for codec in CODECS {
            for len in [1, 20_000, 1 << 20] {
                let packed = codec.compress(None, &vec![0; len]).unwrap();
                for bound in [0, len / 2, len - 1] {
                    let result = codec.decompress(&packed, bound);
                    assert_eq!(result, Err(CodecError::TooLarge(bound)), "{codec:?} {len}");
                }
            }
        }
    }

    // Goal: zstd as Java clients stream it, without the content's size, also stops at the bound and grows up to it.
    #[test]
    fn streamed_zstd_is_bounded() {
        let plain = vec![b'x'; 3 << 20];
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.write_all(&plain).unwrap();
        let packed = encoder.finish().unwrap();
        assert_eq!(zstd_safe::get_frame_content_size(&packed).unwrap(), None);
        let opened = Compression::Zstd.decompress(&packed, plain.len()).unwrap();
        assert_eq!(opened, plain);
        assert!(opened.capacity() <= plain.len());
        let bound = plain.len() - 1;
        assert_eq!(
            Compression::Zstd.decompress(&packed, bound),
            Err(CodecError::TooLarge(bound))
        );
    }

    // Goal: snappy is read raw (librdkafka) and framed (Java), also when framed streams were concatenated.
    #[test]
    fn snappy_is_read_raw_and_framed() {
        let plain = sample(100_000);
        let raw = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
        assert_eq!(Compression::Snappy.decompress(&raw, plain.len()).as_ref(), Ok(&plain));

        // "abc" framed by hand: a raw block is its plain length, a literal tag ((3 - 1) << 2) and the literal.
        let framed = [&XERIAL_HEADER[..], &[0, 0, 0, 5, 3, 8, b'a', b'b', b'c']].concat();
        assert_eq!(Compression::Snappy.decompress(&framed, 3), Ok(b"abc".to_vec()));
        assert_eq!(Compression::Snappy.compress(None, b"abc"), Ok(framed.clone()));
        let twice = [&framed[..], &framed[..]].concat();
        assert_eq!(Compression::Snappy.decompress(&twice, 6), Ok(b"abcabc".to_vec()));
        assert_eq!(Compression::Snappy.decompress(&twice, 5), Err(CodecError::TooLarge(5)));
    }

    // Goal: lz4 leaves us in the form that Java's reader takes: a frame, version 1, independent blocks of 64 KiB.
    #[test]
    fn lz4_frames_suit_the_java_reader() {
        let packed = Compression::Lz4.compress(None, &sample(200_000)).unwrap();
        assert_eq!(packed[..4], LZ4_FRAME_MAGIC);
        assert_eq!(packed[4] & 0b1110_0000, 0b0110_0000, "version 01, blocks independent");
        assert_eq!(packed[5], 4 << 4, "64 KiB blocks");
    }

    // Goal: what the formats' own tools write is read: lz4 with dependent blocks and a content checksum, zstd, gzip.
    #[test]
    fn frames_of_reference_tools_are_read() {
        let lz4 = b"\x04\x22\x4d\x18\x64\x40\xa7\x13\0\0\0\x9f\x63orelane \x09\0\x4bPlane \0\0\0\0\x5f\xb3\x6c\x2f";
        let zstd = b"\x28\xb5\x2f\xfd\x04\x58\x85\0\0\x48corelane \x01\0\x80\x69\x39\x02\x96\x1c\x31\xba";
        let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\xce\x2f\x4a\xcd\x49\xcc\x4b\x55\x48\xa6\x3d\x03\0\x08\xa5\x74\xe4\x6c\0\0\0";
        let plain = b"corelane ".repeat(12);
        let frames: [(Compression, &[u8]); 3] = [
            (Compression::Lz4, lz4),
            (Compression::Zstd, zstd),
            (Compression::Gzip, gzip),
        ];
        for (codec, frame) in frames {
            assert_eq!(codec.decompress(frame, plain.len()).as_ref(), Ok(&plain), "{codec:?}");
        }
    }

    // Goal: levels outside a codec's scale are taken for the nearest one, never a panic.
    #[test]
    fn odd_levels_compress() {
        for codec in CODECS {
            for level in [i32::MIN, -1, 0, 9, 22, i32::MAX] {
                let packed = codec.compress(Some(level), b"corelane").unwrap();
                assert_eq!(
                    codec.decompress(&packed, 8),
                    Ok(b"corelane".to_vec()),
                    "{codec:?} {level}"
                );
            }
        }
    }

    proptest! {
        // Goal: arbitrary bytes never panic, nor yield more than the bound.
        #[test]
        fn arbitrary_bytes_stay_within_the_bound(bytes in prop::collection::vec(any::<u8>(), 0..400), bound in 0usize..5000) {
            for codec in CODECS {
                if let Ok(plain) = codec.decompress(&bytes, bound) {
                    prop_assert!(plain.len() <= bound);
                }
            }
        }

        // Goal: neither do bytes that begin well and were damaged on the way.
        #[test]
        fn damaged_bytes_stay_within_the_bound(len in 0usize..3000, at in any::<prop::sample::Index>(), flip in 1u8.., cut in any::<prop::sample::Index>()) {
            for codec in CODECS {
                let mut packed = codec.compress(None, &sample(len)).unwrap();
                if !packed.is_empty() {
                    *at.get_mut(&mut packed) ^= flip;
                    packed.truncate(cut.index(packed.len()) + 1);
                }
                if let Ok(plain) = codec.decompress(&packed, 4000) {
                    prop_assert!(plain.capacity() <= 4000);
                }
            }
        }
    }
}
