//! The newest offset of each key in the part of a log that is not compacted yet, in bounded memory.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use crate::rt::random_u64;

/// What a key may take in memory: its entry, the table's spare places, and the old table while it grows.
const ENTRY_BYTES: usize = 64;

/// Keys are known by 128 bits of two hashes that begin with random seeds, so that nobody can make two of them meet.
pub(super) struct Keys {
    seeds: [[u64; 2]; 2],
    newest: HashMap<[u64; 2], i64>,
    keys_max: usize,
    /// Everything at or below was looked at.
    upto: i64,
}

impl Keys {
    pub fn new(bytes_max: usize) -> Keys {
        Keys {
            seeds: [[random_u64(), random_u64()], [random_u64(), random_u64()]],
            newest: HashMap::new(),
            keys_max: (bytes_max / ENTRY_BYTES).max(1),
            upto: -1,
        }
    }

    /// False: there is no room for another key.
    pub fn note(&mut self, key: &[u8], offset: i64) -> bool {
        let hash = self.hash(key);
        if self.newest.len() >= self.keys_max && !self.newest.contains_key(&hash) {
            return false;
        }
        self.newest.insert(hash, offset);
        self.upto = self.upto.max(offset);
        true
    }

    pub fn looked_at(&mut self, last_offset: i64) {
        self.upto = self.upto.max(last_offset);
    }

    pub fn upto(&self) -> i64 {
        self.upto
    }

    /// Whether a record with this key and offset is the newest, or was not looked at.
    pub fn is_newest(&self, key: Option<&[u8]>, offset: i64) -> bool {
        if offset > self.upto {
            return true;
        }
        // A record without a key cannot be told from others: compaction has no use for it. Kafka drops it too.
        let Some(key) = key else { return false };
        self.newest.get(&self.hash(key)).is_none_or(|newest| offset >= *newest)
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        self.seeds.map(|seed| {
            let mut hasher = DefaultHasher::new();
            seed.into_iter().for_each(|word| hasher.write_u64(word));
            hasher.write(key);
            hasher.finish()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test] // Goal: the newest record of a key stays, and what was not looked at.
    fn newest_records_stay() {
        let mut keys = Keys::new(1 << 20);
        assert!(keys.note(b"a", 3) && keys.note(b"b", 4) && keys.note(b"a", 5));
        keys.looked_at(6);
        let is_newest = |key: &'static [u8], offset| keys.is_newest(Some(key), offset);
        assert_eq!((is_newest(b"a", 3), is_newest(b"a", 5)), (false, true));
        assert_eq!((is_newest(b"b", 4), is_newest(b"c", 0)), (true, true));
        assert_eq!((keys.is_newest(None, 6), keys.is_newest(None, 7)), (false, true));
    }

    #[test] // Goal: memory is bounded; known keys are still noted when it is full.
    fn number_of_keys_is_bounded() {
        let mut keys = Keys::new(2 * ENTRY_BYTES);
        assert!(keys.note(b"a", 0) && keys.note(b"b", 1));
        assert!(!keys.note(b"c", 2));
        assert!(keys.note(b"a", 3));
        keys.looked_at(3);
        assert!(!keys.is_newest(Some(b"a"), 0));
    }
}
