//! A log's lives: which one it is in, and what of the lives before still counts.
//!
//! A log that loses its end begins another life, so that its next batches, which get the same offsets again, are not taken
//! for the lost ones: by the journal, whose entries name their life, and by a checkpoint, whose offsets count only up to
//! where the life began unless they were noted in it.

use std::io;
use std::path::Path;

use crate::rt::{Dir, random_u64};
use crate::storage::layout::JOURNAL_LIFE;
use crate::storage::prepare::write_file;
use crate::storage::{PartitionCheckpoint, StorageError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    /// 0 is the first.
    pub number: u32,
    /// Where it began: what is below is older.
    since: i64,
}

impl Life {
    const FIRST: Life = Life { number: 0, since: 0 };

    /// `None`: the file cannot be understood, so nothing that is said of the log can be trusted.
    pub async fn load(dir: &Path) -> Result<Option<Life>, StorageError> {
        let path = dir.join(JOURNAL_LIFE);
        match Dir::read_file(&path).await {
            Ok(content) => Ok(Life::parse(&String::from_utf8_lossy(&content))),
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(Some(Life::FIRST)),
            Err(source) => Err(StorageError::io("read", &path, source)),
        }
    }

    /// Begins another one, and gives its number. Durable when it returns.
    pub async fn begin(dir: &Path, since: i64) -> Result<u32, StorageError> {
        let number = random_u64() as u32 | 1;
        let text = format!("{number} {since}");
        write_file(&dir.join(JOURNAL_LIFE), text.into_bytes()).await?;
        Ok(number)
    }

    /// Of a number alone nothing was cut when it was written.
    fn parse(text: &str) -> Option<Life> {
        let mut words = text.split_ascii_whitespace();
        let number = words.next()?.parse().ok()?;
        let since = words.next().map_or(Some(i64::MAX), |word| word.parse().ok())?;
        words.next().is_none().then_some(Life { number, since })
    }
}

/// What of a checkpoint counts.
pub(super) fn vouched(at: PartitionCheckpoint, life: Option<Life>) -> PartitionCheckpoint {
    match life {
        Some(life) if life.number == at.life => at,
        Some(life) => at.upto(life.since),
        None => PartitionCheckpoint {
            recovery_point: 0,
            ..at
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(life: u32) -> PartitionCheckpoint {
        PartitionCheckpoint {
            recovery_point: 100,
            log_start: 60,
            clean_upto: Some(90),
            high_watermark: Some(95),
            life,
        }
    }

    #[test] // Goal: both forms of the file are understood, and nothing else.
    fn lives_are_parsed() {
        let life = |number, since| Some(Life { number, since });
        assert_eq!(Life::parse("123\n"), life(123, i64::MAX));
        assert_eq!(Life::parse("123 50"), life(123, 50));
        for broken in ["", "x", "1 x", "1 2 3", "-1 5", "4294967296 0"] {
            assert_eq!(Life::parse(broken), None, "{broken:?}");
        }
    }

    #[test] // Goal: what a checkpoint says from an earlier life counts up to where this one began.
    fn an_earlier_life_vouches_for_what_is_below() {
        let life = Some(Life { number: 7, since: 70 });
        assert_eq!(vouched(checkpoint(7), life), checkpoint(7));
        let earlier = vouched(checkpoint(0), life);
        assert_eq!((earlier.recovery_point, earlier.log_start), (70, 60));
        assert_eq!((earlier.clean_upto, earlier.high_watermark), (Some(70), Some(70)));
        assert_eq!(vouched(checkpoint(0), None).recovery_point, 0);
        assert_eq!(vouched(checkpoint(0), Some(Life::FIRST)), checkpoint(0));
    }
}
