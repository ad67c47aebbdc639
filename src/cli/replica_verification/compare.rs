//! Whether replicas hold the same batches, as far as all of them have answered. Pure.

use std::collections::BTreeMap;

use crate::record::{BatchError, BatchHeader};

/// What one replica gave of a partition.
pub(super) struct Copy {
    pub(super) high_watermark: i64,
    batches: Vec<Batch>,
}

#[derive(Clone, Copy)]
struct Batch {
    last_offset: i64,
    crc: u32,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Below it all replicas hold the same; `None`: nothing new was compared.
    pub(super) next_offset: Option<i64>,
    /// Where they differ, to be read after "partition".
    pub(super) mismatches: Vec<String>,
    /// Their offsets differ: nothing behind this can be compared.
    pub(super) is_fatal: bool,
}

impl Copy {
    /// The last batch may be cut off: it comes whole with the next answer.
    pub(super) fn read(high_watermark: i64, records: &[u8]) -> Result<Copy, BatchError> {
        let (mut rest, mut batches) = (records, Vec::new());
        while let Ok(header) = BatchHeader::parse(rest) {
            let Some(batch) = rest.get(..header.total_len()) else {
                break;
            };
            header.check_crc(batch)?;
            batches.push(Batch {
                last_offset: header.last_offset(),
                crc: header.crc,
            });
            rest = &rest[header.total_len()..];
        }
        Ok(Copy {
            high_watermark,
            batches,
        })
    }

    /// The batch at this place, if all that it holds is committed.
    fn batch(&self, at: usize) -> Option<Batch> {
        let batch = self.batches.get(at).copied();
        batch.filter(|batch| batch.last_offset < self.high_watermark)
    }
}

/// Batch by batch, as long as all `expected` replicas have one.
pub(super) fn compare(partition: &str, expected: usize, copies: &BTreeMap<i32, Copy>) -> Verdict {
    let mut verdict = Verdict::default();
    for at in 0.. {
        let batches: Vec<(i32, Batch)> = copies
            .iter()
            .filter_map(|(replica, copy)| Some((*replica, copy.batch(at)?)))
            .collect();
        let Some(((first, of_first), others)) = batches.split_first() else {
            break;
        };
        for (replica, batch) in others {
            if batch.last_offset != of_first.last_offset {
                verdict.is_fatal = true;
                verdict.mismatches.push(format!(
                    "{partition}: replica {first}'s offset {} doesn't match replica {replica}'s offset {}",
                    of_first.last_offset, batch.last_offset
                ));
                return verdict;
            }
            if batch.crc != of_first.crc {
                verdict.mismatches.push(format!(
                    "{partition} has unmatched checksum at offset {}; replica {first}'s checksum {}; \
                     replica {replica}'s checksum {}",
                    batch.last_offset, of_first.crc, batch.crc
                ));
            }
        }
        if batches.len() < expected {
            break;
        }
        verdict.next_offset = Some(of_first.last_offset + 1);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (last offset, checksum) of each batch
    fn copy(high_watermark: i64, batches: &[(i64, u32)]) -> Copy {
        let batch = |(last_offset, crc): &(i64, u32)| Batch {
            last_offset: *last_offset,
            crc: *crc,
        };
        Copy {
            high_watermark,
            batches: batches.iter().map(batch).collect(),
        }
    }

    fn verdict(copies: Vec<Copy>) -> Verdict {
        compare("foo-0", 3, &(1..).zip(copies).collect())
    }

    /// What is not committed on a replica, or has not come from it, is left for the next time.
    #[test]
    fn equal_replicas_are_verified_as_far_as_all_answered() {
        let all = [(4, 7), (9, 8), (12, 9)];
        let got = verdict(vec![copy(13, &all), copy(12, &all), copy(13, &all[..2])]);
        assert_eq!((got.next_offset, got.mismatches.len()), (Some(10), 0));
        let got = verdict(vec![copy(13, &all), copy(13, &all)]);
        assert_eq!(got, Verdict::default(), "one replica did not answer");
    }

    /// The sentences of Kafka 4.3.1's tool.
    #[test]
    fn differences_are_told_in_kafkas_sentences() {
        let good = [(4, 7), (9, 8)];
        let got = verdict(vec![copy(10, &good), copy(10, &[(4, 6), (9, 8)]), copy(10, &good)]);
        assert_eq!(
            got.mismatches,
            ["foo-0 has unmatched checksum at offset 4; replica 1's checksum 7; replica 2's checksum 6"]
        );
        assert_eq!((got.next_offset, got.is_fatal), (Some(10), false));
        let got = verdict(vec![copy(10, &good), copy(10, &[(5, 7)]), copy(10, &good)]);
        assert_eq!(
            got.mismatches,
            ["foo-0: replica 1's offset 4 doesn't match replica 2's offset 5"]
        );
        assert!(got.is_fatal);
    }
}
