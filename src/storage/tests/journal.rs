//! The log with a journal: what is there only is read like everything else, and comes back after a crash.

use std::sync::Arc;

use super::*;
use crate::model::{PartitionId, ShardId};
use crate::storage::layout::JOURNAL_LIFE;
use crate::storage::testing::options;
use crate::storage::{Journal, LogDir, LogDirs, LogOptions, MakeJournal};

fn log_dir(root: &Path) -> Arc<LogDir> {
    let (dirs, _) = LogDirs::open(&[root.to_owned()], 1).expect("opens");
    dirs.dirs[0].clone()
}

/// A process opens the directory, and the log in it.
pub(super) async fn open(root: &Path) -> (Rig, Arc<LogDir>) {
    let dir = log_dir(root);
    let options = LogOptions {
        log_dir: dir.clone(),
        ..options(root, config(), None)
    };
    (Rig::with(options).await, dir)
}

pub(super) async fn journal(dir: &Arc<LogDir>) -> Journal {
    let make = MakeJournal {
        dir: dir.clone(),
        shard: ShardId(0),
        bytes: 1 << 20,
    };
    make.run().await.expect("made")
}

/// A partition of a topic that is never opened.
fn stranger() -> PartitionId {
    PartitionId {
        topic: TopicId([8; 16]),
        index: 0,
    }
}

/// Appends through the journal; a stranger has an entry in each frame.
pub(super) async fn append_journaled(rig: &mut Rig, journal: &mut Journal, batch: &[u8]) -> i64 {
    let offset = rig.stage(batch);
    while let Some(job) = rig.log.take_prepare(rig.now_ms) {
        let done = job.run().await;
        rig.log.on_prepared(done).expect("prepared");
    }
    let bytes = rig.log.journal_bytes().expect("fit for the journal");
    let mut frame = journal.begin(2 * bytes).expect("room");
    frame.push(stranger(), 0, 0, batch);
    rig.log.take_entry(&mut frame);
    assert!(rig.log.take_write().is_none(), "one write at a time");
    check_submitted(rig).await;
    let done = journal.write(frame, Vec::new()).run().await;
    let frame = journal.on_written(done).expect("written");
    rig.log.on_journaled(Some(&frame)).expect("told");
    offset
}

fn journals(root: &Path) -> usize {
    let names = blocking::list_dir(root).expect("directory");
    names
        .iter()
        .filter(|(name, _)| name.starts_with(".corelane-journal-"))
        .count()
}

#[test] // Goal: batches that only the journal has are read, also by time, before, while and after they go to the segment.
fn unplaced_batches_are_read() {
    on_shard(|| async {
        let scratch = scratch();
        let (mut rig, dir) = open(scratch.path()).await;
        let mut journal = journal(&dir).await;
        rig.append(&batch(2, 100, 10)).await;
        for at in 2..6 {
            append_journaled(&mut rig, &mut journal, &batch(2, 100, 10 * at)).await;
        }
        rig.stage(&batch(2, 100, 99));
        assert_eq!((rig.log.placed(), rig.log.written(), rig.log.staged()), (2, 10, 12));
        let all = rig.read_all(0).await;
        assert_eq!(
            all.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(),
            [0, 2, 4, 6, 8]
        );
        assert!(!journal.is_empty());

        rig.log.place_soon();
        let write = rig.log.take_write().expect("due");
        rig.drop_cache();
        check_reads(&mut rig, &all).await;
        let done = write.run().await;
        rig.log.on_written(done, &mut rig.cache).expect("written");
        assert_eq!((rig.log.placed(), rig.log.written()), (12, 12));
        rig.drop_cache();
        check_reads(&mut rig, &all).await;
        assert!(journal.is_empty());
    });
}

async fn check_reads(rig: &mut Rig, all: &[(i64, Vec<u8>)]) {
    assert_eq!(rig.read_all(0).await[..all.len()], *all);
    assert_eq!(rig.read(5, 1).await, all[2..3]);
    let limit = 10;
    let found = rig.log.plan_offset_for_time(41, limit).run().await.expect("searched");
    assert_eq!(found, Some((7, 41)));
    let largest = rig.log.plan_max_timestamp(limit).run().await.expect("searched");
    assert_eq!(largest, Some((9, 51)));
}

#[test] // Goal: a log goes its own way once a good piece waits, and takes along what the journal has of it.
fn a_good_piece_is_placed() {
    on_shard(|| async {
        let scratch = scratch();
        let (mut rig, dir) = open(scratch.path()).await;
        let mut journal = journal(&dir).await;
        for at in 0..7 {
            append_journaled(&mut rig, &mut journal, &batch(1, 4000, at)).await;
        }
        let size = rig.log.size_bytes();
        rig.stage(&batch(1, 6000, 7));
        assert_eq!(rig.log.journal_bytes(), None);
        rig.settle().await;
        assert_eq!((rig.log.placed(), rig.log.written()), (8, 8));
        assert!(rig.log.size_bytes() > size && journal.is_empty());
        // A log that gets nothing more does not stay unplaced.
        append_journaled(&mut rig, &mut journal, &batch(1, 100, 8)).await;
        rig.now_ms += 60_000;
        rig.settle().await;
        assert_eq!(rig.log.placed(), 9);
    });
}

#[test] // Goal: a killed log has what the journal had, with its producers; the journal goes once nobody needs it any more.
fn a_killed_log_takes_what_the_journal_has() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let (mut rig, dir) = open(root).await;
        let mut journal = journal(&dir).await;
        rig.append(&batch(2, 100, 0)).await;
        for at in 1..5 {
            append_journaled(&mut rig, &mut journal, &batch(2, 100, at)).await;
        }
        let all = rig.read_all(0).await;
        drop((rig, journal, dir));

        let (mut rig, dir) = open(root).await;
        assert_eq!(rig.log.written(), 10);
        assert_eq!(rig.observed.len(), 5);
        assert_eq!(rig.read_all(0).await, all);
        assert_eq!(rig.log.latest_epoch(), Some(3));
        // The stranger's entries keep it.
        assert_eq!(journals(root), 1);
        dir.retain_journaled(|partition| partition != stranger());
        assert_eq!(journals(root), 0);
        let checkpoint = rig.log.close(Vec::new(), &Syncs::Each).await.expect("closed");
        assert_eq!(checkpoint.recovery_point, 10);
        let rig = Rig::open(root, config(), Some(checkpoint)).await;
        assert!(rig.observed.is_empty(), "trusted");
    });
}

#[test] // Goal: another topic of the name gets nothing of the old one's.
fn a_namesake_takes_nothing() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let (mut rig, dir) = open(root).await;
        let mut journal = journal(&dir).await;
        append_journaled(&mut rig, &mut journal, &batch(2, 100, 0)).await;
        rig.log.delete().await.expect("deleted");
        assert!(journal.is_empty(), "what is deleted holds no space");
        drop((journal, dir));
        let dir = log_dir(root);
        let options = LogOptions {
            log_dir: dir.clone(),
            topic_id: TopicId([9; 16]),
            ..options(root, config(), None)
        };
        assert_eq!(Rig::with(options).await.log.written(), 0);
    });
}

#[test] // Goal: entries that follow what is lost are dropped for good: they never follow other batches with the same offsets.
fn entries_behind_a_gap_are_dropped_for_good() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let (mut rig, dir) = open(root).await;
        let mut journal = journal(&dir).await;
        for at in 0..3 {
            rig.append(&batch(1, 100, at)).await;
        }
        append_journaled(&mut rig, &mut journal, &batch(1, 100, 3)).await;
        drop((rig, journal, dir));
        damage(root, 0, LOG, |bytes| bytes.truncate(batch(1, 100, 0).len()));

        let (mut rig, dir) = open(root).await;
        assert_eq!(rig.log.written(), 1);
        for at in 1..3 {
            rig.append(&batch(1, 100, 10 + at)).await;
        }
        drop((rig, dir));
        let (rig, dir) = open(root).await;
        assert_eq!(rig.log.written(), 3);
        drop((rig, dir));
        // It is the log's new life that keeps them out.
        blocking::remove_file(&log_path(root).join(JOURNAL_LIFE)).expect("there");
        let (rig, _) = open(root).await;
        assert_eq!(rig.log.written(), 4);
    });
}
