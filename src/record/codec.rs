//! Compression codecs of record batches, with a bound on what a batch may grow to.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}
#[derive(Debug, thiserror::Error)]
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
        let _ = bits;
        todo!()
    }
    /// As in compression.type: none/uncompressed, gzip, snappy, lz4, zstd.
    pub fn from_name(name: &str) -> Option<Compression> {
        let _ = name;
        todo!()
    }
    pub fn bits(self) -> u8 {
        todo!()
    }
    pub fn compress(self, level: Option<i32>, plain: &[u8]) -> Result<Vec<u8>, CodecError> {
        let _ = (level, plain);
        todo!()
    }
    pub fn decompress(self, packed: &[u8], max_len: usize) -> Result<Vec<u8>, CodecError> {
        let _ = (packed, max_len);
        todo!()
    }
}
