//! The log against a real disk: what is written comes back, whatever happens in between.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::layout::{CORRUPT, INDEX, LEADER_EPOCHS, LOG, PARTITION_METADATA, SNAPSHOT, TIME_INDEX, segment_path};
use super::testing::{Recorder, Rig, batch, batch_of_len, config, log_path, scratch, split};
use super::{Log, PartitionCheckpoint, ReadError, StageError, StorageError, Syncs};
use crate::config::TopicConfig;
use crate::model::{LeaderEpoch, TopicId};
use crate::record::BatchHeader;
use crate::rt::testing::on_shard;
use crate::rt::{blocking, oneshot, sleep, spawn};

mod journal;
mod transactions;
mod truncation;

/// What a disk holds in a file.
fn content(root: &Path, base_offset: i64, suffix: &str) -> Vec<u8> {
    blocking::read_file(&segment_path(&log_path(root), base_offset, suffix)).expect("file")
}

fn names(root: &Path) -> Vec<String> {
    let mut names: Vec<String> = blocking::list_dir(&log_path(root))
        .expect("directory")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    names.sort();
    names
}

/// Replaces a file's content by what `change` makes of it.
fn damage(root: &Path, base_offset: i64, suffix: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = segment_path(&log_path(root), base_offset, suffix);
    let mut bytes = blocking::read_file(&path).expect("file");
    change(&mut bytes);
    blocking::write_file_atomic(&path, &bytes).expect("written");
}

fn small_segments() -> TopicConfig {
    TopicConfig {
        segment_bytes: 64 << 10,
        ..config()
    }
}

#[test] // Goal: an open log takes batches, gives them back from memory and from the disk, and again after a clean stop.
fn batches_come_back_after_a_clean_stop() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = Rig::open(root, config(), None).await;
        assert_eq!(names(root), [PARTITION_METADATA]);
        for at in 0..50 {
            assert_eq!(rig.append(&batch(3, 900, at)).await, 3 * at);
        }
        let all = rig.read_all(0).await;
        assert_eq!(all.len(), 50);
        rig.drop_cache();
        assert_eq!(rig.read_all(0).await, all);
        let checkpoint = rig
            .log
            .close(b"producers".to_vec(), &Syncs::Each)
            .await
            .expect("closed");
        assert_eq!(
            checkpoint,
            PartitionCheckpoint {
                recovery_point: 150,
                log_start: 0,
                ..PartitionCheckpoint::default()
            }
        );
        let file_bytes: Vec<u8> = all.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        assert_eq!(content(root, 0, LOG), file_bytes);

        let mut rig = Rig::open(root, config(), Some(checkpoint)).await;
        assert_eq!((rig.log.staged(), rig.log.written(), rig.log.synced()), (150, 150, 150));
        assert_eq!(rig.producer_snapshot, Some((150, b"producers".to_vec())));
        assert!(rig.observed.is_empty());
        assert_eq!(rig.read_all(0).await, all);
        assert_eq!(rig.append(&batch(1, 10, 99)).await, 150);
        assert_eq!(rig.read_all(0).await[50].0, 150);
        assert_eq!(rig.log.end_offset_for_epoch(3), Some((3, 151)));
    });
}

#[test] // Goal: a log that is dropped without a close (a killed process) has every written batch, and nothing staged.
fn killed_log_ends_at_the_written_cursor() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), small_segments(), None).await;
        for at in 0..40 {
            rig.append(&batch(2, 5000, at)).await;
        }
        let all = rig.read_all(0).await;
        rig.stage(&batch(2, 5000, 41));
        let checkpoint = rig.log.checkpoint();
        drop(rig);
        let mut rig = Rig::open(scratch.path(), small_segments(), Some(checkpoint)).await;
        assert_eq!(rig.log.written(), 80);
        assert_eq!(rig.cut_bytes, 0);
        assert_eq!(rig.observed.len(), 40);
        assert_eq!(rig.read_all(0).await, all);
        assert_eq!(rig.log.latest_epoch(), Some(3));
        assert_eq!(rig.append(&batch(1, 10, 0)).await, 80);
        drop(rig);
        let rig = Rig::open(scratch.path(), small_segments(), None).await;
        assert_eq!(rig.log.written(), 81);
    });
}

#[test] // Goal: batches that end just before, at and behind a block's edge are all written and read back.
fn block_edges_hold() {
    on_shard(|| async {
        for len in [
            4095,
            4096,
            4097,
            4096 - 61,
            4096 - 60,
            8192,
            262_144,
            1 << 20,
            (1 << 20) + 1,
        ] {
            let scratch = scratch();
            let config = TopicConfig {
                segment_bytes: 16 << 20,
                ..config()
            };
            let mut rig = Rig::open(scratch.path(), config.clone(), None).await;
            rig.append(&batch_of_len(len)).await;
            rig.append(&batch_of_len(200)).await;
            rig.stage(&batch_of_len(len));
            rig.append(&batch_of_len(len)).await;
            let all = rig.read_all(0).await;
            assert_eq!(
                all.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>(),
                [len, 200, len, len]
            );
            rig.drop_cache();
            assert_eq!(rig.read_all(0).await, all);
            drop(rig);
            let mut rig = Rig::open(scratch.path(), config, None).await;
            assert_eq!(rig.read_all(0).await, all, "length {len}");
        }
    });
}

/// What is being written is read already, and nothing behind it.
async fn check_submitted(rig: &mut Rig) {
    let (written, submitted) = (rig.log.written(), rig.log.submitted());
    assert!(written < submitted);
    let bytes = rig.try_read(written, 1 << 20, i64::MAX).await.expect("read");
    let batches = split(&bytes);
    assert_eq!(batches.first().map(|(offset, _)| *offset), Some(written));
    let last = &batches.last().expect("a batch").1;
    assert_eq!(BatchHeader::parse(last).expect("a batch").next_offset(), submitted);
}

#[test] // Goal: batches staged together go out as one write; a second write waits for the first.
fn one_write_is_in_flight() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), config(), None).await;
        for at in 0..10 {
            rig.stage(&batch(1, 1000, at));
        }
        assert!(rig.log.take_write().is_none(), "no file yet");
        let opened = rig.log.take_prepare(0).expect("to be opened").run().await;
        rig.log.on_prepared(opened).expect("opened");
        let job = rig.log.take_write().expect("a write");
        assert_eq!(job.bytes() % 4096, 0);
        rig.stage(&batch(1, 1000, 10));
        assert!(rig.log.take_write().is_none(), "one is in flight");
        assert_eq!((rig.log.staged(), rig.log.written()), (11, 0));
        check_submitted(&mut rig).await;
        let done = job.run().await;
        rig.log.on_written(done, &mut rig.cache).expect("written");
        assert_eq!(rig.log.written(), 10);
        rig.settle().await;
        assert_eq!(rig.read_all(0).await.len(), 11);
    });
}

#[test] // Goal: a segment that is full is sealed: exact size, index files; the next begins at its end.
fn full_segments_are_sealed() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = Rig::open(root, small_segments(), None).await;
        let mut due = Vec::new();
        for at in 0..40 {
            rig.stage(&batch(1, 5000, at));
            if let Some(offset) = rig.log.take_snapshot_due() {
                rig.log.put_producer_snapshot(offset, offset.to_string().into_bytes());
                due.push(offset);
            }
            rig.settle().await;
        }
        assert_eq!(due, [12, 24, 36]);
        assert_eq!(rig.log.synced(), 36);
        let one_len = batch(1, 5000, 0).len();
        for base_offset in [0, 12, 24] {
            assert_eq!(content(root, base_offset, LOG).len(), 12 * one_len);
            assert!(content(root, base_offset, INDEX).len() >= 8 * 8);
            assert_eq!(content(root, base_offset, TIME_INDEX).len() % 12, 0);
        }
        assert_eq!(content(root, 36, SNAPSHOT), b"36");
        assert_eq!(content(root, 24, SNAPSHOT), b"24");
        assert!(!names(root).contains(&"00000000000000000012.snapshot".to_owned()));
        rig.drop_cache();
        assert_eq!(rig.read_all(0).await.len(), 40);
        assert_eq!(rig.read(13, 1).await[0].0, 13);
    });
}

#[test] // Goal: reads keep to their bounds: whole batches, max_bytes, the limit, the first batch however large.
fn reads_keep_to_their_bounds() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), small_segments(), None).await;
        for at in 0..30 {
            rig.append(&batch(2, 3000, at)).await;
        }
        let len = batch(2, 3000, 0).len();
        for on_disk in [false, true] {
            let mut check = async |offset, max_bytes, limit, expected: &[i64]| {
                if on_disk {
                    rig.drop_cache();
                }
                let bytes = rig.try_read(offset, max_bytes, limit).await.expect("read");
                let bases: Vec<i64> = super::testing::split(&bytes).iter().map(|(base, _)| *base).collect();
                assert_eq!(bases, expected, "{offset} {max_bytes} {limit} {on_disk}");
            };
            check(5, 3 * len, 60, &[4, 6, 8]).await;
            check(5, 3 * len + 100, 60, &[4, 6, 8]).await;
            check(5, 1, 60, &[4]).await;
            check(5, 1 << 20, 8, &[4, 6]).await;
            check(5, 1 << 20, 9, &[4, 6]).await;
            check(5, 1 << 20, 5, &[]).await;
            check(60, 1 << 20, 60, &[]).await;
        }
        let mut plan = |offset| rig.log.plan_read(offset, 1, 60, true, &mut rig.cache).err();
        assert!(matches!(plan(61), Some(ReadError::OutOfRange)));
        assert!(matches!(plan(-1), Some(ReadError::OutOfRange)));
        rig.drop_cache();
        let nothing = rig.log.plan_read(5, 0, 60, false, &mut rig.cache).expect("in range");
        let read = nothing.ready().ok().expect("the disk is not asked for nothing");
        assert!(read.batches.is_empty() && read.next_offset == 5);
    });
}

#[test] // Goal: a read in pieces gives whole batches up to one, and a larger batch all the same.
fn a_read_in_pieces_gives_one_at_a_time() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), config(), None).await;
        for bytes in [60_000, 60_000, 60_000, 60_000, 300_000, 60_000] {
            rig.append(&batch(1, bytes, 0)).await;
        }
        let limit = rig.log.written();
        for (offset, next) in [(0, 4), (4, 5), (5, 6)] {
            rig.drop_cache();
            let plan = rig.log.plan_read(offset, 1 << 20, limit, false, &mut rig.cache);
            let plan = plan.expect("in range").in_pieces_of(256 << 10);
            let read = plan.run().await.expect("read");
            assert_eq!(read.next_offset, next, "from {offset}");
        }
    });
}

#[test] // Goal: who reads on from the disk does not read again what the index leads to before it.
fn a_read_goes_on_where_the_last_one_ended() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), config(), None).await;
        for at in 0..6 {
            rig.append(&batch(10, 100_000, at)).await;
        }
        let limit = rig.log.written();
        for offset in [0, 20, 40] {
            rig.drop_cache();
            let plan = rig.log.plan_read(offset, 256 << 10, limit, false, &mut rig.cache);
            let read = plan.expect("in range").run().await.expect("read");
            assert_eq!(read.next_offset, offset + 20);
            assert!(read.disk_bytes <= 256 << 10, "{} bytes", read.disk_bytes);
        }
    });
}

#[test] // Goal: what a disk read took beyond the request answers the next one without the disk.
fn read_ahead_answers_the_next_read() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), config(), None).await;
        for at in 0..30 {
            rig.append(&batch(1, 2000, at)).await;
        }
        rig.drop_cache();
        assert_eq!(rig.read(0, 2100).await.len(), 1);
        let limit = rig.log.written();
        let plan = rig
            .log
            .plan_read(1, 5000, limit, true, &mut rig.cache)
            .expect("in range");
        assert!(plan.ready().is_ok());
    });
}

#[test] // Goal: a write that the disk took half of is cut at the last good batch, and what it left is never met again.
fn torn_tail_is_cut_at_the_last_good_batch() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = Rig::open(root, config(), None).await;
        for at in 0..5 {
            rig.append(&batch(1, 3000, at)).await;
        }
        let checkpoint = rig.log.checkpoint();
        drop(rig);
        let len = batch(1, 3000, 0).len();
        damage(root, 0, LOG, |bytes| bytes[4 * len + 500..5 * len].fill(0xee));
        let mut rig = Rig::open(root, config(), Some(checkpoint)).await;
        assert_eq!(rig.log.written(), 4);
        assert_eq!(rig.cut_bytes, len as u64);
        assert_eq!(content(root, 0, LOG).len(), 4 * len);
        assert_eq!(rig.append(&batch(1, 10, 9)).await, 4);
        drop(rig);
        let mut rig = Rig::open(root, config(), None).await;
        assert_eq!((rig.log.written(), rig.cut_bytes), (5, 0));
        assert_eq!(rig.read_all(0).await.len(), 5);
    });
}

#[test] // Goal: garbage in the preallocated space behind the end is cut; a zero header is a normal end.
fn garbage_tail_is_cut() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = Rig::open(root, config(), None).await;
        rig.append(&batch(1, 3000, 0)).await;
        let len = batch(1, 3000, 0).len();
        drop(rig);
        damage(root, 0, LOG, |bytes| bytes[len..len + 10].fill(0x55));
        let rig = Rig::open(root, config(), None).await;
        assert_eq!((rig.log.written(), rig.cut_bytes), (1, 10));
        drop(rig);
        damage(root, 0, LOG, |bytes| bytes.extend([0; 70]));
        damage(root, 0, LOG, |bytes| bytes.extend([0x55; 70]));
        let rig = Rig::open(root, config(), None).await;
        assert_eq!((rig.log.written(), rig.cut_bytes), (1, 0));
        assert_eq!(content(root, 0, LOG).len(), len);
    });
}

#[test] // Goal: a batch with a leader epoch or an offset that goes back is none of this log's.
fn batches_out_of_order_end_the_log() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = Rig::open(root, config(), None).await;
        rig.append(&batch(1, 100, 0)).await;
        rig.append(&batch(1, 100, 0)).await;
        let len = batch(1, 100, 0).len();
        drop(rig);
        let whole = content(root, 0, LOG);
        damage(root, 0, LOG, |bytes| crate::record::patch(&mut bytes[len..], 1, 2));
        let rig = Rig::open(root, config(), None).await;
        // A batch without record headers ends in a zero, which cannot be told from the space behind it.
        assert_eq!((rig.log.written(), rig.cut_bytes), (1, len as u64 - 1));
        drop(rig);
        damage(root, 0, LOG, |bytes| *bytes = whole);
        damage(root, 0, LOG, |bytes| crate::record::patch(&mut bytes[len..], 0, 3));
        let rig = Rig::open(root, config(), None).await;
        assert_eq!(rig.log.written(), 1);
    });
}

#[test] // Goal: index files that are missing or broken are made again, and lookups work.
fn lost_indexes_are_made_again() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = Rig::open(root, small_segments(), None).await;
        for at in 0..40 {
            rig.append(&batch(1, 5000, at)).await;
        }
        let all = rig.read_all(0).await;
        let checkpoint = rig.log.close(Vec::new(), &Syncs::Each).await.expect("closed");
        let good = (
            content(root, 0, INDEX),
            content(root, 12, TIME_INDEX),
            content(root, 36, INDEX),
        );
        blocking::remove_file(&segment_path(&log_path(root), 0, INDEX)).expect("removed");
        damage(root, 12, TIME_INDEX, |bytes| bytes.truncate(7));
        damage(root, 36, INDEX, |bytes| bytes.fill(0xff));
        let mut rig = Rig::open(root, small_segments(), Some(checkpoint)).await;
        assert_eq!(rig.log.written(), 40);
        assert_eq!(
            good,
            (
                content(root, 0, INDEX),
                content(root, 12, TIME_INDEX),
                content(root, 36, INDEX)
            )
        );
        assert_eq!(rig.read_all(0).await, all);
    });
}

#[test] // Goal: a flipped bit in a sealed segment fails the reads of that batch's place and nothing else.
fn broken_batch_in_a_sealed_segment_fails_its_reads_only() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = Rig::open(root, small_segments(), None).await;
        for at in 0..40 {
            rig.append(&batch(1, 5000, at)).await;
        }
        let checkpoint = rig.log.close(Vec::new(), &Syncs::Each).await.expect("closed");
        let len = batch(1, 5000, 0).len();
        damage(root, 12, LOG, |bytes| bytes[3 * len + 16] = 9);
        let mut rig = Rig::open(root, small_segments(), Some(checkpoint)).await;
        assert_eq!(rig.log.written(), 40);
        assert_eq!(rig.read(12, 1 << 20).await.len(), 3);
        let error = rig.try_read(15, 1 << 20, 40).await.expect_err("broken").to_string();
        assert!(
            error.contains("00000000000000000012.log") && error.contains(&format!("position {}", 3 * len)),
            "{error}"
        );
        assert_eq!(rig.read(24, 1).await[0].0, 24);
    });
}

/// A segment made of these batches, as a compaction leaves it.
fn write_segment(root: &Path, bases: &[i64]) {
    let batches = bases.iter().flat_map(|base| {
        let mut bytes = batch(2, 300, *base).to_vec();
        crate::record::patch(&mut bytes, *base, 3);
        bytes
    });
    let path = segment_path(&log_path(root), bases[0], LOG);
    blocking::create_dir_all(&log_path(root)).expect("made");
    blocking::write_file_atomic(&path, &batches.collect::<Vec<u8>>()).expect("written");
}

#[test] // Goal: offsets only have to rise: what compaction took out, also between segments, cuts nothing.
fn gaps_above_the_recovery_point_cut_nothing() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let segments: [&[i64]; 4] = [&[0, 2, 10], &[40, 42, 50], &[60], &[100, 107]];
        segments.iter().for_each(|bases| write_segment(root, bases));
        let expected = segments.concat();
        // From a carried-over directory without index files or checkpoints, then as recovery left it.
        let points = [None, Some(0), Some(40), Some(45), Some(109), None];
        for checkpoint in points.map(|at| {
            at.map(|recovery_point| PartitionCheckpoint {
                recovery_point,
                log_start: 0,
                ..PartitionCheckpoint::default()
            })
        }) {
            let mut rig = Rig::open(root, config(), checkpoint).await;
            assert_eq!((rig.cut_bytes, rig.log.written()), (0, 109), "{checkpoint:?}");
            let bases: Vec<i64> = rig.read_all(0).await.into_iter().map(|(base, _)| base).collect();
            assert_eq!(bases, expected);
            assert!(names(root).iter().all(|name| !name.ends_with(CORRUPT)));
        }
        assert_eq!(
            Rig::open(root, config(), None).await.append(&batch(1, 10, 0)).await,
            109
        );
    });
}

#[test] // Goal: a segment that lost its end is not taken for one that ends in a gap.
fn holes_above_the_recovery_point_cut_the_log() {
    on_shard(|| async {
        for lost in [
            |bytes: &mut Vec<u8>| bytes.truncate(0),
            |bytes: &mut Vec<u8>| {
                let len = bytes.len();
                bytes[len / 2..].fill(0);
            },
        ] {
            let scratch = scratch();
            let root = scratch.path();
            write_segment(root, &[0, 2, 4, 6]);
            write_segment(root, &[8, 10]);
            damage(root, 0, LOG, lost);
            let rig = Rig::open(root, config(), None).await;
            assert!(rig.cut_bytes > 0 && rig.log.written() < 8);
        }
    });
}

#[test] // Goal: behind a cut nothing is deleted: later segments stay under another name.
fn segments_behind_a_cut_are_set_aside() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = Rig::open(root, small_segments(), None).await;
        for at in 0..40 {
            rig.append(&batch(1, 5000, at)).await;
        }
        drop(rig);
        let later = content(root, 24, LOG);
        let len = batch(1, 5000, 0).len();
        damage(root, 12, LOG, |bytes| bytes[2 * len + 100] ^= 1);
        let mut rig = Rig::open(root, small_segments(), None).await;
        assert_eq!(rig.log.written(), 14);
        assert!(rig.cut_bytes as usize > 25 * len);
        assert_eq!(content(root, 24, &format!("{LOG}{CORRUPT}")), later);
        assert_eq!(rig.append(&batch(1, 10, 0)).await, 14);
        assert_eq!(rig.read_all(0).await.len(), 15);
    });
}

#[test] // Goal: a file that holds no batch at all is kept under another name.
fn files_that_cannot_be_understood_are_set_aside() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        drop(Rig::open(root, config(), None).await);
        let garbage = vec![0x77; 5000];
        blocking::write_file_atomic(&segment_path(&log_path(root), 0, LOG), &garbage).expect("written");
        blocking::write_file_atomic(&log_path(root).join(LEADER_EPOCHS), b"garbage").expect("written");
        let mut rig = Rig::open(root, config(), None).await;
        assert_eq!(rig.log.written(), 0);
        assert_eq!(content(root, 0, &format!("{LOG}{CORRUPT}")), garbage);
        assert!(names(root).contains(&format!("{LEADER_EPOCHS}{CORRUPT}")));
        assert_eq!(rig.append(&batch(1, 10, 0)).await, 0);
    });
}

#[test] // Goal: only headers behind the producer snapshot are shown, wherever they lie.
fn headers_behind_the_snapshot_are_observed() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = Rig::open(root, small_segments(), None).await;
        for at in 0..20 {
            rig.append(&batch(1, 5000, at)).await;
        }
        rig.log.put_producer_snapshot(5, b"five".to_vec());
        rig.settle().await;
        let checkpoint = rig.log.checkpoint();
        drop(rig);
        let rig = Rig::open(root, small_segments(), Some(checkpoint)).await;
        assert_eq!(rig.producer_snapshot, Some((5, b"five".to_vec())));
        let seen: Vec<i64> = rig.observed.iter().map(|header| header.base_offset).collect();
        assert_eq!(seen, (5..20).collect::<Vec<i64>>());
        // A snapshot above the end belongs to batches that were lost.
        drop(rig);
        blocking::write_file_atomic(&segment_path(&log_path(root), 99, SNAPSHOT), b"late").expect("written");
        let rig = Rig::open(root, small_segments(), None).await;
        assert_eq!(rig.log.written(), 20);
        assert!(!names(root).contains(&"00000000000000000099.snapshot".to_owned()));
    });
}

#[test] // Goal: flush.messages=1 syncs each write; the cursors never disagree.
fn synced_writes_move_the_synced_cursor() {
    on_shard(|| async {
        let scratch = scratch();
        let synced = TopicConfig {
            flush_messages: 1,
            ..config()
        };
        let mut rig = Rig::open(scratch.path(), config(), None).await;
        rig.append(&batch(1, 100, 0)).await;
        assert_eq!((rig.log.written(), rig.log.synced()), (1, 0));
        rig.log.set_config(synced.clone().into());
        rig.append(&batch(1, 100, 0)).await;
        assert_eq!((rig.log.written(), rig.log.synced()), (2, 2));
        drop(rig);
        let scratch = self::scratch();
        let mut rig = Rig::open(scratch.path(), synced, None).await;
        rig.stage(&batch(1, 100, 0));
        let opened = rig.log.take_prepare(0).expect("to be opened").run().await;
        rig.log.on_prepared(opened).expect("opened");
        let done = rig.log.take_write().expect("a write").run().await;
        rig.log.on_written(done, &mut rig.cache).expect("written");
        assert_eq!((rig.log.written(), rig.log.synced()), (1, 1));
    });
}

#[test] // Goal: retention takes whole segments by size, by time and by log start, and moves the log start.
fn retention_takes_whole_segments() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = Rig::open(root, small_segments(), None).await;
        for at in 0..60 {
            rig.append(&batch(1, 5000, at)).await;
        }
        let len = batch(1, 5000, 0).len() as i64;
        assert!(rig.log.take_retention(100, 60).is_none());
        rig.log.set_config(
            TopicConfig {
                retention_bytes: 36 * len,
                ..small_segments()
            }
            .into(),
        );
        assert!(rig.log.take_retention(100, 11).is_none(), "above the high watermark");
        rig.log
            .take_retention(100, 60)
            .expect("the oldest two")
            .run()
            .await
            .expect("deleted");
        assert_eq!(rig.log.log_start(), 24);
        assert!(
            names(root)
                .iter()
                .all(|name| !name.starts_with("00000000000000000000.log"))
        );
        rig.log.set_log_start(40);
        rig.log
            .take_retention(100, 60)
            .expect("one below the log start")
            .run()
            .await
            .expect("deleted");
        assert_eq!(rig.log.log_start(), 40);
        assert_eq!(rig.read_all(40).await.len(), 20);
        rig.log.set_config(
            TopicConfig {
                retention_ms: 50,
                ..small_segments()
            }
            .into(),
        );
        rig.log
            .take_retention(105, 60)
            .expect("36 to 48")
            .run()
            .await
            .expect("deleted");
        assert_eq!(rig.log.log_start(), 48);
        // The newest segment goes too once all of it has expired; the log goes on at its end, also after a restart.
        rig.log.take_retention(1000, 60);
        rig.settle().await;
        rig.log
            .take_retention(1000, 60)
            .expect("the newest")
            .run()
            .await
            .expect("deleted");
        assert_eq!((rig.log.log_start(), rig.log.size_bytes()), (60, 0));
        let checkpoint = rig.log.checkpoint();
        drop(rig);
        let mut rig = Rig::open(root, small_segments(), Some(checkpoint)).await;
        assert_eq!((rig.log.log_start(), rig.log.written()), (60, 60));
        assert_eq!(rig.append(&batch(1, 10, 0)).await, 60);
    });
}

#[test] // Goal: the files of removed segments stay for the delay, for reads that were planned before, and no longer.
fn removed_segments_stay_for_their_delay() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let delayed = TopicConfig {
            file_delete_delay_ms: 1000,
            ..small_segments()
        };
        let mut rig = Rig::open(root, delayed.clone(), None).await;
        for at in 0..30 {
            rig.append(&batch(1, 5000, at)).await;
        }
        let (log, checkpoint) = (
            rig.log,
            PartitionCheckpoint {
                recovery_point: 30,
                log_start: 0,
                ..PartitionCheckpoint::default()
            },
        );
        log.close(Vec::new(), &Syncs::Each).await.expect("closed");
        let mut rig = Rig::open(root, delayed, Some(checkpoint)).await;
        let deleted = || names(root).iter().filter(|name| name.ends_with(".deleted")).count();
        let limit = rig.log.written();
        let mut plan = || {
            rig.log
                .plan_read(3, 100, limit, true, &mut rig.cache)
                .expect("in range")
        };
        let (before, after) = (plan(), plan());
        rig.log.set_log_start(12);
        let removal = rig.log.take_retention(rig.now_ms, limit).expect("one segment");
        removal.run().await.expect("renamed");
        assert_eq!(deleted(), 3);
        let late = before.run().await.expect("read");
        assert_eq!(
            BatchHeader::parse(&late.batches.concat()).expect("a batch").base_offset,
            3
        );
        rig.now_ms += 999;
        rig.settle().await;
        assert_eq!(deleted(), 3);
        rig.now_ms += 1;
        rig.settle().await;
        assert_eq!(deleted(), 0);
        assert!(after.run().await.is_ok());
    });
}

#[test] // Goal: neither a full disk nor a clean stop keeps what was removed; a start clears what a kill left.
fn removed_segments_do_not_outstay() {
    on_shard(|| async {
        let deleted = |root: &Path| names(root).iter().filter(|name| name.ends_with(".deleted")).count();
        for end in ["full disk", "clean stop", "kill"] {
            let scratch = scratch();
            let root = scratch.path();
            let delayed = TopicConfig {
                file_delete_delay_ms: 60_000,
                ..small_segments()
            };
            let options = super::testing::options(root, delayed.clone(), None);
            let log_dir = options.log_dir.clone();
            let mut rig = Rig::with(options).await;
            for at in 0..30 {
                rig.append(&batch(1, 5000, at)).await;
            }
            rig.log.set_log_start(12);
            let removal = rig.log.take_retention(rig.now_ms, 30).expect("one segment");
            removal.run().await.expect("renamed");
            rig.settle().await;
            assert_eq!(deleted(root), 3, "{end}");
            match end {
                "full disk" => {
                    log_dir.set_full(true);
                    rig.settle().await;
                }
                "clean stop" => _ = rig.log.close(Vec::new(), &Syncs::Each).await.expect("closed"),
                _ => {
                    drop(rig);
                    Rig::open(root, delayed, None).await;
                }
            }
            assert_eq!(deleted(root), 0, "{end}");
        }
    });
}

#[test] // Goal: flush.ms syncs what was written so long ago, in the background, and what is written later after as long.
fn dirty_data_is_synced_after_its_time() {
    on_shard(|| async {
        let scratch = scratch();
        let flushed = TopicConfig {
            flush_ms: 100,
            ..config()
        };
        let mut rig = Rig::open(scratch.path(), flushed, None).await;
        for _ in 0..2 {
            let synced = rig.log.synced();
            rig.append(&batch(1, 100, 0)).await;
            rig.now_ms += 99;
            rig.settle().await;
            assert_eq!(rig.log.synced(), synced);
            rig.now_ms += 1;
            rig.settle().await;
            assert_eq!(rig.log.synced(), rig.log.written());
            rig.now_ms += 1000;
        }
        // A clock that was set back does not put it off.
        rig.append(&batch(1, 100, 0)).await;
        rig.now_ms -= 3_600_000;
        rig.settle().await;
        assert_eq!(rig.log.synced(), rig.log.written());
    });
}

#[test] // Goal: segments go one removal at a time: a later one that ended first would leave a hole at a crash.
fn one_removal_is_under_way_at_a_time() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), small_segments(), None).await;
        for at in 0..60 {
            rig.append(&batch(1, 5000, at)).await;
        }
        rig.log.set_log_start(12);
        let first = rig.log.take_retention(100, 60).expect("the oldest");
        rig.log.set_log_start(24);
        assert!(rig.log.is_removing() && rig.log.take_retention(100, 60).is_none());
        first.run().await.expect("deleted");
        assert!(rig.log.take_retention(100, 60).is_some());
    });
}

#[test] // Goal: a log start above everything that is left (lost in a power cut) is where the log goes on.
fn log_goes_on_at_a_log_start_above_its_end() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), config(), None).await;
        rig.append(&batch(1, 100, 0)).await;
        drop(rig);
        let checkpoint = PartitionCheckpoint {
            recovery_point: 50,
            log_start: 50,
            ..PartitionCheckpoint::default()
        };
        let mut rig = Rig::open(scratch.path(), config(), Some(checkpoint)).await;
        assert_eq!((rig.log.log_start(), rig.log.written()), (50, 50));
        assert_eq!(rig.append(&batch(1, 10, 0)).await, 50);
    });
}

#[test] // Goal: offsets by time are exact to the record, in memory-indexed and sealed segments alike.
fn offsets_are_found_by_time() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), small_segments(), None).await;
        for at in 0..40 {
            rig.append(&batch(4, 5000, 1000 + 10 * at)).await;
        }
        let limit = rig.log.written();
        for at in 0..40 {
            for delta in 0..4 {
                let expected = Some((4 * at + delta, 1000 + 10 * at + delta));
                assert_eq!(
                    rig.log
                        .plan_offset_for_time(1000 + 10 * at + delta, limit)
                        .run()
                        .await
                        .expect("found"),
                    expected
                );
            }
            let between = rig
                .log
                .plan_offset_for_time(1000 + 10 * at + 4, limit)
                .run()
                .await
                .expect("found");
            assert_eq!(between, (at < 39).then_some((4 * at + 4, 1010 + 10 * at)));
        }
        assert_eq!(rig.log.plan_offset_for_time(1393, 150).run().await.expect("read"), None);
        assert_eq!(
            rig.log.plan_max_timestamp(limit).run().await.expect("read"),
            Some((159, 1393))
        );
        assert_eq!(
            rig.log.plan_max_timestamp(150).run().await.expect("read"),
            Some((149, 1371))
        );
        assert_eq!(rig.log.plan_max_timestamp(0).run().await.expect("read"), None);
        rig.log.set_log_start(10);
        assert_eq!(
            rig.log.plan_offset_for_time(0, limit).run().await.expect("read"),
            Some((10, 1022))
        );
    });
}

#[test] // Goal: segments roll by age too, measured from their first batch.
fn old_segments_roll() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(
            scratch.path(),
            TopicConfig {
                segment_ms: 100,
                ..config()
            },
            None,
        )
        .await;
        for timestamp in [1000, 1050, 1100, 1101, 1200, 1300] {
            rig.append(&batch(1, 10, timestamp)).await;
        }
        let segments: Vec<String> = names(scratch.path())
            .into_iter()
            .filter(|name| name.ends_with(".log"))
            .collect();
        assert_eq!(segments.len(), 3, "{segments:?}");
    });
}

#[test] // Goal: what is refused changes nothing, and says why.
fn refused_batches_change_nothing() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), config(), None).await;
        let large = batch(1, 8 << 20, 0);
        let header = BatchHeader::parse(&large).expect("a batch");
        let stage = |rig: &mut Rig| rig.log.stage(&large, &header, LeaderEpoch(3), 0);
        for _ in 0..7 {
            stage(&mut rig).expect("staged");
        }
        assert!(matches!(stage(&mut rig), Err(StageError::Backlog(_))));
        assert_eq!(rig.log.staged(), 7);
        rig.settle().await;
        assert_eq!(stage(&mut rig).expect("staged"), 7);
    });
}

#[test] // Goal: a deleted log leaves nothing behind.
fn deleted_logs_are_gone() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), config(), None).await;
        rig.append(&batch(1, 100, 0)).await;
        rig.log.delete().await.expect("deleted");
        assert_eq!(blocking::list_dir(scratch.path()).expect("directory"), []);
    });
}

#[test] // Goal: the directory of another topic of the same name is not taken.
fn foreign_topic_ids_are_refused() {
    on_shard(|| async {
        let scratch = scratch();
        drop(Rig::open(scratch.path(), config(), None).await);
        let path = log_path(scratch.path()).join(PARTITION_METADATA);
        assert_eq!(
            blocking::read_file(&path).expect("file"),
            b"version: 0\ntopic_id: BwcHBwcHBwcHBwcHBwcHBw"
        );
        let mut options = super::testing::options(scratch.path(), config(), None);
        options.topic_id = TopicId([8; 16]);
        let error = Log::open(options, &mut Recorder::default())
            .await
            .err()
            .expect("refused")
            .to_string();
        assert!(error.contains("belongs to topic id BwcHBwcHBwcHBwcHBwcHBw"), "{error}");
    });
}

#[test] // Goal: a log that goes away waits for its late jobs, which could meet a new log of the same name.
fn deletion_waits_for_jobs_in_flight() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path().to_owned();
        let mut rig = Rig::open(&root, config(), None).await;
        rig.append(&batch(1, 100, 0)).await;
        rig.stage(&batch(1, 100, 0));
        let job = rig.log.take_write().expect("a write");
        let (ended, wait) = oneshot();
        let log = rig.log;
        spawn(async move {
            log.delete().await.expect("deleted");
            ended.send(());
        });
        sleep(Duration::from_millis(5)).await;
        assert!(
            log_path(&root).join("00000000000000000000.log").exists(),
            "the write is still in flight"
        );
        drop(job.run().await);
        wait.await.expect("deleted");
        assert_eq!(blocking::list_dir(&root).expect("directory"), []);
    });
}

#[test] // Goal: a late read of a deleted log never shows the batches of a new one of the same name.
fn late_reads_do_not_meet_a_new_log() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), config(), None).await;
        rig.append(&batch(1, 100, 0)).await;
        let checkpoint = rig.log.close(Vec::new(), &Syncs::Each).await.expect("closed");
        let mut rig = Rig::open(scratch.path(), config(), Some(checkpoint)).await;
        let late = rig.log.plan_read(0, 1, 1, true, &mut rig.cache).expect("in range");
        rig.log.delete().await.expect("deleted");
        let mut rig = Rig::open(scratch.path(), config(), None).await;
        rig.append(&batch(1, 200, 0)).await;
        assert!(late.run().await.expect("late").batches.is_empty());
    });
}

#[test] // Goal: a full directory refuses batches until it has space; an offline one refuses everything for good.
fn full_and_offline_directories_refuse_batches() {
    on_shard(|| async {
        let scratch = scratch();
        let options = super::testing::options(scratch.path(), config(), None);
        let log_dir = options.log_dir.clone();
        let mut rig = Rig::with(options).await;
        rig.append(&batch(1, 100, 0)).await;
        let one = batch(1, 100, 0);
        let header = BatchHeader::parse(&one).expect("a batch");
        log_dir.set_full(true);
        assert!(matches!(
            rig.log.stage(&one, &header, LeaderEpoch(3), 0),
            Err(StageError::DiskFull)
        ));
        assert_eq!(rig.read_all(0).await.len(), 1);
        log_dir.set_full(false);
        rig.append(&one).await;
        rig.stage(&one);
        let job = rig.log.take_write().expect("a write");
        log_dir.set_offline("test");
        let done = job.run().await;
        rig.log
            .on_written(done, &mut rig.cache)
            .expect("it was written all the same");
        assert!(matches!(
            rig.log.stage(&one, &header, LeaderEpoch(3), 0),
            Err(StageError::Offline)
        ));
        assert!(rig.log.take_write().is_none() && rig.log.take_prepare(0).is_none());
        assert!(matches!(
            rig.log.plan_read(0, 1, 1, true, &mut rig.cache),
            Err(ReadError::Offline)
        ));
        assert!(matches!(
            rig.log.close(Vec::new(), &Syncs::Each).await,
            Err(StorageError::Offline { .. })
        ));
    });
}

#[test] // Goal: an I/O error takes the whole log directory offline.
fn failed_jobs_take_the_directory_offline() {
    on_shard(|| async {
        let scratch = scratch();
        let options = super::testing::options(scratch.path(), config(), None);
        let log_dir = options.log_dir.clone();
        let mut rig = Rig::with(options).await;
        blocking::remove_dir_all(&log_path(scratch.path())).expect("removed");
        rig.stage(&batch(1, 100, 0));
        let done = rig.log.take_prepare(0).expect("to be opened").run().await;
        assert!(rig.log.on_prepared(done).is_err());
        assert!(log_dir.is_offline());
    });
}

#[test] // Goal: space is given in growing steps, ahead of need and never beyond the segment.
fn space_grows_with_the_log() {
    on_shard(|| async {
        let scratch = scratch();
        let config = TopicConfig {
            segment_bytes: 4 << 20,
            ..config()
        };
        let mut rig = Rig::open(scratch.path(), config, None).await;
        let mut sizes = Vec::new();
        for at in 0..200 {
            rig.append(&batch(1, 16_000, at)).await;
            let size = content(scratch.path(), 0, LOG).len();
            assert!(size as u64 >= rig.log.size_bytes() + 61);
            sizes.push(size);
        }
        sizes.dedup();
        assert_eq!(sizes[0], 64 << 10);
        assert!(sizes.len() <= 5, "{sizes:?}");
        assert_eq!(*sizes.last().expect("sizes"), (4 << 20) + 4096);
    });
}

/// What happens to a log, one after the other.
#[derive(Clone, Debug)]
enum Step {
    Stage { records: usize, bytes: usize },
    Settle,
    Read { offset: i64, max_bytes: usize },
    DropCache,
    FindTime { record: i64 },
    DeleteRecords { share: i64 },
    Retain { kept_bytes: i64 },
    Checkpoint,
    CloseAndOpen,
    KillAndOpen { lost_checkpoint: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..5usize, 1..9000usize).prop_map(|(records, bytes)| Step::Stage { records, bytes }),
        1 => (1..3usize, 9000..200_000usize).prop_map(|(records, bytes)| Step::Stage { records, bytes }),
        4 => Just(Step::Settle),
        4 => (0..500i64, 1..100_000usize).prop_map(|(offset, max_bytes)| Step::Read { offset, max_bytes }),
        2 => Just(Step::DropCache),
        2 => (0..500i64).prop_map(|record| Step::FindTime { record }),
        1 => (0..4i64).prop_map(|share| Step::DeleteRecords { share }),
        1 => (0..300_000i64).prop_map(|kept_bytes| Step::Retain { kept_bytes }),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::CloseAndOpen),
        1 => any::<bool>().prop_map(|lost_checkpoint| Step::KillAndOpen { lost_checkpoint }),
    ]
}

/// A log beside a plain list of what was written to it. Record n has timestamp 2 n.
struct Model {
    root: PathBuf,
    rig: Rig,
    /// Base offset and bytes of each batch since the log's birth.
    batches: Vec<(i64, Vec<u8>)>,
    staged: Vec<(i64, Vec<u8>)>,
    checkpoint: Option<PartitionCheckpoint>,
}

impl Model {
    async fn take(&mut self, step: Step) {
        match step {
            Step::Stage { records, bytes } => {
                let offset = self.rig.log.staged();
                let mut bytes = batch(records, bytes, 2 * offset).to_vec();
                assert_eq!(self.rig.stage(&bytes), offset);
                crate::record::patch(&mut bytes, offset, 3);
                self.staged.push((offset, bytes));
            }
            Step::Settle => {
                self.rig.settle().await;
                self.batches.append(&mut self.staged);
            }
            Step::Read { offset, max_bytes } => self.read(offset, max_bytes).await,
            Step::DropCache => self.rig.drop_cache(),
            Step::FindTime { record } => self.find_time(record).await,
            Step::DeleteRecords { share } => {
                let written = self.rig.log.written();
                self.rig.log.set_log_start(written * share / 4);
            }
            Step::Retain { kept_bytes } => {
                let config = TopicConfig {
                    retention_bytes: kept_bytes,
                    ..small_segments()
                };
                self.rig.log.set_config(config.into());
                let written = self.rig.log.written();
                if let Some(job) = self.rig.log.take_retention(0, written) {
                    job.run().await.expect("deleted");
                }
                self.rig.log.set_config(small_segments().into());
            }
            Step::Checkpoint => self.checkpoint = Some(self.rig.log.checkpoint()),
            Step::CloseAndOpen => {
                self.staged.clear();
                let log_start = self.rig.log.log_start();
                let empty = Rig::open(&self.root.join("other"), config(), None).await;
                let closed = std::mem::replace(&mut self.rig, empty)
                    .log
                    .close(b"state".to_vec(), &Syncs::Each)
                    .await;
                self.checkpoint = Some(closed.expect("closed"));
                self.open(self.checkpoint).await;
                assert_eq!(self.rig.log.log_start(), log_start);
                assert!(self.rig.observed.is_empty(), "a clean stop leaves nothing to look at");
            }
            Step::KillAndOpen { lost_checkpoint } => {
                self.staged.clear();
                let checkpoint = self.checkpoint.filter(|_| !lost_checkpoint);
                self.open(checkpoint).await;
                assert_eq!(self.rig.cut_bytes, 0);
            }
        }
        let expected_end = self.batches.last().map_or(0, |(_, bytes)| end_of(bytes));
        assert_eq!(self.rig.log.written(), expected_end);
    }

    async fn open(&mut self, checkpoint: Option<PartitionCheckpoint>) {
        self.rig = Rig::open(&self.root, small_segments(), checkpoint).await;
    }

    async fn read(&mut self, offset: i64, max_bytes: usize) {
        let (start, end) = (self.rig.log.log_start(), self.rig.log.written());
        let offset = start + offset % (end - start + 1);
        let expected: Vec<_> = self
            .batches
            .iter()
            .filter(|(_, bytes)| end_of(bytes) > offset)
            .collect();
        let got = self.rig.read(offset, max_bytes).await;
        assert_eq!(got.is_empty(), expected.is_empty());
        assert!(
            got.iter().eq(expected.into_iter().take(got.len())),
            "other batches at {offset}"
        );
        let total: usize = got.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(got.len() <= 1 || total <= max_bytes);
    }

    async fn find_time(&mut self, record: i64) {
        let (start, end) = (self.rig.log.log_start(), self.rig.log.written());
        let record = record % (end + 1);
        let all: Vec<(i64, i64)> = (start..end).map(|offset| (offset, self.timestamp_of(offset))).collect();
        let first = all.iter().find(|(_, timestamp)| *timestamp >= 2 * record);
        let found = self
            .rig
            .log
            .plan_offset_for_time(2 * record, end)
            .run()
            .await
            .expect("found");
        assert_eq!(found.as_ref(), first);
        let largest = self.rig.log.plan_max_timestamp(end).run().await.expect("found");
        assert_eq!(largest.as_ref(), all.last());
    }

    /// Of a batch's records, the first has twice its offset, the later ones each one more.
    fn timestamp_of(&self, offset: i64) -> i64 {
        let at = self.batches.partition_point(|(base, _)| *base <= offset) - 1;
        let base = self.batches[at].0;
        2 * base + (offset - base)
    }
}

fn end_of(batch: &[u8]) -> i64 {
    BatchHeader::parse(batch).expect("a batch").next_offset()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test] // Goal: whatever is done to a log, it holds what a list would hold.
    fn log_is_a_list_of_batches(steps in prop::collection::vec(step(), 1..120)) {
        on_shard(move || async move {
            let scratch = scratch();
            let root = scratch.path().to_owned();
            let rig = Rig::open(&root, small_segments(), None).await;
            let mut model = Model { root, rig, batches: Vec::new(), staged: Vec::new(), checkpoint: None };
            for step in steps {
                model.take(step).await;
            }
        });
    }
}
