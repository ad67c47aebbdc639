//! A segment's sparse indexes: offset to position, and timestamp to offset, in Kafka's file formats.
//!
//! An index is a hint: a lookup gives a place at or before what is looked for, and the reader walks on from there. So
//! entries may be left out, which bounds an index in memory: at [`ENTRIES_MAX`] every second one goes and the interval
//! doubles. A 1 GiB segment then costs some 160 KiB at most, and a walk at most 256 KiB.

/// The most entries of one index.
pub(super) const ENTRIES_MAX: usize = 8192;

const OFFSET_ENTRY_LEN: usize = 8;
const TIME_ENTRY_LEN: usize = 12;

/// Both indexes of one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes {
    base_offset: i64,
    /// (last offset of a batch relative to the base offset, position of that batch).
    offsets: Vec<(u32, u32)>,
    /// (largest timestamp so far, last offset of its batch relative to the base offset).
    times: Vec<(i64, u32)>,
    largest: Option<(i64, u32)>,
    bytes_since_entry: u64,
    /// How often the interval was doubled.
    doublings: u32,
}

/// Where a batch lies in its segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchPlace {
    pub position: u64,
    pub len: usize,
    pub last_offset: i64,
    pub max_timestamp: i64,
}

impl Indexes {
    pub fn new(base_offset: i64) -> Indexes {
        Indexes {
            base_offset,
            ..Indexes::default()
        }
    }

    /// Notes a batch; it gets an entry where `interval_bytes` have gone by since the last one, as in Kafka.
    pub fn note(&mut self, batch: BatchPlace, interval_bytes: u64) {
        let relative = (batch.last_offset - self.base_offset) as u32;
        if self
            .largest
            .is_none_or(|(timestamp, _)| batch.max_timestamp > timestamp)
        {
            self.largest = Some((batch.max_timestamp, relative));
        }
        if self.bytes_since_entry > interval_bytes << self.doublings {
            self.offsets.push((relative, batch.position as u32));
            self.push_largest_time();
            self.bytes_since_entry = 0;
            self.thin();
        }
        self.bytes_since_entry += batch.len as u64;
    }

    /// The position of a batch at or before the one that holds `offset`.
    pub fn position(&self, offset: i64) -> u64 {
        let entries = &self.offsets;
        let after = entries.partition_point(|(relative, _)| self.base_offset + i64::from(*relative) <= offset);
        after
            .checked_sub(1)
            .and_then(|at| entries.get(at))
            .map_or(0, |(_, position)| u64::from(*position))
    }

    /// The position from which the first record at or after `timestamp` is to be looked for.
    pub fn position_for_time(&self, timestamp: i64) -> u64 {
        let after = self.times.partition_point(|(at, _)| *at <= timestamp);
        match after.checked_sub(1).and_then(|at| self.times.get(at)) {
            Some((_, relative)) => self.position(self.base_offset + i64::from(*relative)),
            None => 0,
        }
    }

    /// The position from which the largest timestamp below `limit` is to be looked for.
    pub fn position_of_largest_below(&self, limit: i64) -> u64 {
        let after = self
            .times
            .partition_point(|(_, relative)| self.base_offset + i64::from(*relative) < limit);
        match after.checked_sub(1).and_then(|at| self.times.get(at)) {
            Some((_, relative)) => self.position(self.base_offset + i64::from(*relative)),
            None => 0,
        }
    }

    /// The largest timestamp of the segment; `None` while it is empty.
    pub fn max_timestamp(&self) -> Option<i64> {
        self.largest.map(|(timestamp, _)| timestamp)
    }

    /// The segment must be rolled: no entry more fits into a file of `file_bytes_max` (segment.index.bytes).
    pub fn is_full(&self, file_bytes_max: usize) -> bool {
        let fits = (file_bytes_max / OFFSET_ENTRY_LEN).min((file_bytes_max / TIME_ENTRY_LEN).saturating_sub(1));
        self.offsets.len().max(self.times.len()) >= fits
    }

    /// The content of the `.index` file.
    pub fn offset_file(&self) -> Vec<u8> {
        let entry = |(relative, position): &(u32, u32)| [relative.to_be_bytes(), position.to_be_bytes()].concat();
        self.offsets.iter().flat_map(entry).collect()
    }

    /// The content of the `.timeindex` file; its last entry is the segment's largest timestamp.
    pub fn time_file(&self) -> Vec<u8> {
        let mut whole = self.clone();
        whole.push_largest_time();
        let mut file = Vec::with_capacity(whole.times.len() * TIME_ENTRY_LEN);
        for (timestamp, relative) in &whole.times {
            file.extend_from_slice(&timestamp.to_be_bytes());
            file.extend_from_slice(&relative.to_be_bytes());
        }
        file
    }

    /// Reads both files of a segment of `segment_bytes`; `None` when they cannot be its indexes.
    pub fn from_files(base_offset: i64, offset_file: &[u8], time_file: &[u8], segment_bytes: u64) -> Option<Indexes> {
        let (offset_entries, offset_rest) = offset_file.as_chunks::<OFFSET_ENTRY_LEN>();
        let (time_entries, time_rest) = time_file.as_chunks::<TIME_ENTRY_LEN>();
        let offsets: Vec<(u32, u32)> = offset_entries.iter().map(parse_offset_entry).collect();
        let times: Vec<(i64, u32)> = time_entries.iter().map(parse_time_entry).collect();
        let sound = offset_rest.is_empty()
            && time_rest.is_empty()
            && offsets.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1)
            && times.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1)
            && offsets
                .last()
                .is_none_or(|(_, position)| u64::from(*position) < segment_bytes)
            && (segment_bytes == 0) == times.is_empty();
        let mut indexes = Indexes {
            base_offset,
            largest: times.last().copied(),
            offsets,
            times,
            ..Indexes::default()
        };
        indexes.thin();
        sound.then_some(indexes)
    }

    /// The bytes from the last entry's batch to the end of the segment count towards the next entry.
    pub fn resume(&mut self, segment_bytes: u64) {
        let last = self.offsets.last().map_or(0, |(_, position)| u64::from(*position));
        self.bytes_since_entry = segment_bytes.saturating_sub(last);
    }

    fn push_largest_time(&mut self) {
        let Some(largest) = self.largest else { return };
        if self.times.last().is_none_or(|last| largest.0 > last.0) {
            self.times.push(largest);
        }
    }

    /// Halves the entries when there are too many. The last time entry stays: it is the largest timestamp.
    fn thin(&mut self) {
        while self.offsets.len() > ENTRIES_MAX || self.times.len() > ENTRIES_MAX {
            keep_every_second(&mut self.offsets);
            keep_every_second(&mut self.times);
            self.doublings += 1;
        }
    }
}

fn keep_every_second<T>(entries: &mut Vec<T>) {
    let mut at = 0;
    let odd_is_kept = entries.len() % 2;
    entries.retain(|_| {
        at += 1;
        at % 2 == odd_is_kept
    });
}

fn parse_offset_entry(entry: &[u8; OFFSET_ENTRY_LEN]) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = *entry;
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

fn parse_time_entry(entry: &[u8; TIME_ENTRY_LEN]) -> (i64, u32) {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = *entry;
    (
        i64::from_be_bytes([a, b, c, d, e, f, g, h]),
        u32::from_be_bytes([i, j, k, l]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(batches: u64, len: usize, interval_bytes: u64) -> Indexes {
        let mut indexes = Indexes::new(100);
        for at in 0..batches {
            let batch = BatchPlace {
                position: at * len as u64,
                len,
                last_offset: 100 + at as i64,
                max_timestamp: 1000 + at as i64,
            };
            indexes.note(batch, interval_bytes);
        }
        indexes
    }

    #[test] // Goal: a lookup never gives a place behind what is looked for, and one close before it.
    fn lookups_give_a_place_at_or_before() {
        let indexes = filled(1000, 100, 400);
        for at in 0..1000u64 {
            let position = indexes.position(100 + at as i64);
            assert!(position <= at * 100 && at * 100 - position <= 600, "{at}: {position}");
            assert!(indexes.position_for_time(1000 + at as i64) <= at * 100);
        }
        assert_eq!(indexes.position_for_time(0), 0);
    }

    #[test] // Goal: an index stays small whatever the segment, and keeps its largest timestamp.
    fn entries_are_bounded() {
        let indexes = filled(100_000, 4096, 4096);
        assert!(indexes.offsets.len() <= ENTRIES_MAX && indexes.times.len() <= ENTRIES_MAX);
        assert!(indexes.offsets.len() > ENTRIES_MAX / 4);
        assert_eq!(indexes.max_timestamp(), Some(100_999));
        let files = (indexes.offset_file(), indexes.time_file());
        let loaded = Indexes::from_files(100, &files.0, &files.1, 100_000 * 4096).expect("sound");
        assert_eq!(loaded.max_timestamp(), Some(100_999));
    }

    #[test] // Goal: the files are Kafka's, byte for byte.
    fn golden_files() {
        let indexes = filled(4, 100, 150);
        assert_eq!(indexes.offset_file(), [0, 0, 0, 2, 0, 0, 0, 200]);
        let times = indexes.time_file();
        assert_eq!(times[..12], [0, 0, 0, 0, 0, 0, 3, 234, 0, 0, 0, 2]);
        assert_eq!(times[12..], [0, 0, 0, 0, 0, 0, 3, 235, 0, 0, 0, 3]);
    }

    #[test] // Goal: files that cannot be the segment's indexes are refused.
    fn broken_files_are_refused() {
        let (offsets, times) = (filled(100, 100, 150).offset_file(), filled(100, 100, 150).time_file());
        let load = |offsets: &[u8], times: &[u8], size| Indexes::from_files(100, offsets, times, size);
        assert!(load(&offsets, &times, 10_000).is_some());
        assert!(load(&offsets[1..], &times, 10_000).is_none());
        assert!(load(&offsets, &times[..5], 10_000).is_none());
        assert!(load(&offsets, &[], 10_000).is_none());
        assert!(load(&offsets, &times, 300).is_none());
        assert!(load(&[0; 16], &times, 10_000).is_none());
        assert!(load(&[], &[], 0).is_some());
        assert!(load(&[], &times, 0).is_none());
    }
}
