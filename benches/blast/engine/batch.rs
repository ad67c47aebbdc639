//! A record batch, encoded once and replayed for ever.

use corelane::record::{BatchBuilder, Compression};

use super::clock::wall_ms;
use super::random::Random;
use super::stamp::{STAMP_LEN, Stamper};

/// What goes into a batch.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The value of each record in bytes. The first is never smaller than a stamp.
    pub sizes: Vec<usize>,
    /// `None`: records without keys.
    pub key_bytes: Option<usize>,
    pub compression: Compression,
    pub seed: u64,
}

pub struct Batch {
    pub bytes: Vec<u8>,
    /// `None` for a compressed batch: its first record cannot be changed in place.
    pub stamper: Option<Stamper>,
    pub records: u32,
    /// Keys and values: what a user would say that was sent.
    pub payload_bytes: u64,
}

pub fn build(recipe: &Recipe) -> Batch {
    let mut random = Random::new(recipe.seed);
    let mut builder = BatchBuilder::new(recipe.compression);
    let (now, mut payload_bytes) = (wall_ms(), 0);
    let mut marker = [0; STAMP_LEN];
    random.fill(&mut marker);
    for (index, size) in recipe.sizes.iter().enumerate() {
        let key = recipe.key_bytes.map(|len| filling(&mut random, len, Compression::None));
        let mut value = filling(
            &mut random,
            (*size).max(if index == 0 { STAMP_LEN } else { 0 }),
            recipe.compression,
        );
        if index == 0 {
            value[..STAMP_LEN].copy_from_slice(&marker);
        }
        payload_bytes += (value.len() + key.as_ref().map_or(0, Vec::len)) as u64;
        builder.push(now, key.as_deref(), Some(&value), &[]);
    }
    let mut bytes = builder.build().to_vec();
    let stamper = (recipe.compression == Compression::None).then(|| {
        let at = bytes
            .windows(STAMP_LEN)
            .position(|window| window == marker)
            .expect("an uncompressed batch holds its records as they are");
        Stamper::new(&mut bytes, at)
    });
    Batch {
        bytes,
        stamper,
        records: recipe.sizes.len() as u32,
        payload_bytes,
    }
}

/// Random bytes; for a codec words, which compress about as well as log lines do.
fn filling(random: &mut Random, len: usize, compression: Compression) -> Vec<u8> {
    let mut bytes = vec![0; len];
    if compression == Compression::None {
        random.fill(&mut bytes);
        return bytes;
    }
    let mut at = 0;
    while at < len {
        let word = WORDS[random.below(WORDS.len() as u64) as usize];
        let number = format!("{word}={} ", random.below(10_000));
        let part = &number.as_bytes()[..number.len().min(len - at)];
        bytes[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    bytes
}

const WORDS: &[&str] = &[
    "user",
    "order",
    "status",
    "latency_ms",
    "region",
    "service",
    "trace",
    "amount",
];
