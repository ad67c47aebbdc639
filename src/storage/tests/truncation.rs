//! The log with its end cut off: what is left is a log as any other, and what is gone never comes back.

use super::journal::{append_journaled, journal, open};
use super::*;
use crate::record::patch;
use crate::storage::Truncated;
use crate::storage::layout::JOURNAL_LIFE;

/// Batches of two records over several segments, in epochs of ten batches.
async fn filled(root: &Path) -> Rig {
    let mut rig = Rig::open(root, small_segments(), None).await;
    for at in 0..60 {
        fetch(&mut rig, &batch(2, 3000, 10 * at), 2 * at, at as i32 / 10);
        rig.settle().await;
    }
    assert!(names(root).iter().filter(|name| name.ends_with(".log")).count() > 2);
    rig
}

/// Stages a batch as a follower does.
fn fetch(rig: &mut Rig, batch: &[u8], offset: i64, epoch: i32) {
    let mut bytes = batch.to_vec();
    patch(&mut bytes, offset, epoch);
    let header = BatchHeader::parse(&bytes).expect("a batch");
    rig.log.stage_fetched(&bytes, &header, rig.now_ms).expect("staged");
}

#[test] // Goal: at every offset, be it within a batch, what is before it stays and nothing else, also after a restart.
fn what_is_before_the_cut_stays() {
    on_shard(|| async {
        for (offset, end) in [
            (119, 118),
            (118, 118),
            (90, 90),
            (61, 60),
            (44, 44),
            (2, 2),
            (1, 0),
            (0, 0),
        ] {
            let scratch = scratch();
            let mut rig = filled(scratch.path()).await;
            let all = rig.read_all(0).await;
            let kept = &all[..end as usize / 2];
            let replay = rig.truncate(offset).await;
            assert_eq!(
                (rig.log.written(), rig.log.staged(), rig.log.log_start()),
                (end, end, 0)
            );
            assert_eq!(replay.headers.len(), kept.len(), "the producers of all that is left");
            assert_eq!(rig.read_all(0).await, kept);
            rig.drop_cache();
            assert_eq!(rig.read_all(0).await, kept);
            let latest = (end > 0).then(|| (end as i32 / 2 - 1) / 10);
            assert_eq!(rig.log.latest_epoch(), latest);

            fetch(&mut rig, &batch(3, 500, 5000), end, 9);
            rig.settle().await;
            let all = rig.read_all(0).await;
            assert_eq!(all.len(), kept.len() + 1);
            let found = rig.log.plan_max_timestamp(end + 3).run().await.expect("searched");
            assert_eq!(found, Some((end + 2, 5002)));
            let at = rig
                .log
                .close(b"producers".to_vec(), &Syncs::Each)
                .await
                .expect("closed");
            let mut rig = Rig::open(scratch.path(), small_segments(), Some(at)).await;
            assert_eq!(rig.log.written(), end + 3);
            assert_eq!(rig.read_all(0).await, all);
        }
    });
}

#[test] // Goal: an end that is not reached cuts nothing, and drops what is only staged.
fn staged_batches_are_dropped() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), config(), None).await;
        rig.append(&batch(2, 100, 0)).await;
        rig.stage(&batch(2, 100, 1));
        rig.truncate(4).await;
        assert_eq!((rig.log.written(), rig.log.staged()), (2, 2));
        assert_eq!(rig.append(&batch(1, 100, 2)).await, 2);
    });
}

#[test] // Goal: nothing is staged, prepared or freed while a cut is due; it begins when the jobs under way have ended.
fn a_cut_waits_for_jobs() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), config(), None).await;
        rig.append(&batch(2, 100, 0)).await;
        rig.stage(&batch(2, 100, 1));
        let write = rig.log.take_write().expect("due");
        rig.log.truncate_to(2);
        let one = batch(1, 100, 2);
        let header = BatchHeader::parse(&one).expect("a batch");
        let refused = rig.log.stage(&one, &header, LeaderEpoch(3), 0);
        assert!(matches!(refused, Err(StageError::Truncating)));
        assert!(rig.log.take_prepare(rig.now_ms).is_none());
        assert!(rig.log.take_truncation(&mut rig.cache).is_none());
        let done = write.run().await;
        rig.log.on_written(done, &mut rig.cache).expect("written");
        assert!(rig.log.take_write().is_none());
        rig.cut().await;
        assert_eq!(rig.log.written(), 2);
        assert!(!rig.log.is_truncating());
        assert_eq!(rig.append(&one).await, 2);
    });
}

#[test] // Goal: a read that runs beside a cut does not keep what is gone for later readers.
fn what_is_read_ahead_beside_a_cut_is_forgotten() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), config(), None).await;
        rig.append(&batch(2, 100, 0)).await;
        rig.append(&batch(2, 100, 1)).await;
        rig.drop_cache();
        rig.log.truncate_to(2);
        let cut = rig.log.take_truncation(&mut rig.cache).expect("nothing else is due");
        let kept = rig.try_read(0, 1 << 20, 2).await.expect("read");
        let done = cut.run(&mut Recorder::default()).await;
        assert_eq!(rig.log.on_truncated(done).expect("cut"), Truncated::Done);
        assert_eq!(rig.append(&batch(2, 100, 7)).await, 2);
        let all = rig.read_all(0).await;
        let timestamps = all
            .iter()
            .map(|(_, bytes)| BatchHeader::parse(bytes).expect("a batch").base_timestamp);
        assert_eq!(timestamps.collect::<Vec<_>>(), [0, 7]);
        assert_eq!(all[0].1, kept);
    });
}

#[test] // Goal: a new leader keeps its end if the cut has not begun.
fn a_cut_that_has_not_begun_can_be_called_off() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), config(), None).await;
        rig.append(&batch(2, 100, 0)).await;
        rig.log.truncate_to(0);
        rig.log.keep_end();
        assert!(rig.log.take_truncation(&mut rig.cache).is_none());
        assert_eq!(rig.append(&batch(2, 100, 1)).await, 2);
    });
}

#[test] // Goal: what only the journal has below the cut stays; what it has behind never follows again, whatever comes in its place.
fn the_journal_brings_nothing_back() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let (mut rig, dir) = open(root).await;
        let mut frames = journal(&dir).await;
        rig.append(&batch(1, 100, 0)).await;
        for at in 1..6 {
            append_journaled(&mut rig, &mut frames, &batch(1, 100, at)).await;
        }
        let all = rig.read_all(0).await;
        rig.truncate(3).await;
        assert_eq!(rig.read_all(0).await, all[..3]);
        drop((rig, dir));
        let (mut rig, dir) = open(root).await;
        assert_eq!(rig.log.written(), 3);
        // Others with the offsets of those that are gone, so that the journal's next would follow.
        rig.append(&batch(1, 100, 70)).await;
        let all = rig.read_all(0).await;
        drop((rig, dir));
        let (mut rig, dir) = open(root).await;
        assert_eq!(rig.read_all(0).await, all);
        drop((rig, dir));
        // It is the log's new life that keeps them out.
        blocking::remove_file(&log_path(root).join(JOURNAL_LIFE)).expect("there");
        let (rig, _) = open(root).await;
        assert_eq!(rig.log.written(), 6);
    });
}

#[test] // Goal: the journal is used in the new life too.
fn the_next_life_has_a_journal() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let (mut rig, dir) = open(root).await;
        let mut frames = journal(&dir).await;
        for at in 0..5 {
            match at {
                0 => rig.append(&batch(1, 100, at)).await,
                _ => append_journaled(&mut rig, &mut frames, &batch(1, 100, at)).await,
            };
        }
        rig.truncate(2).await;
        rig.append(&batch(1, 100, 50)).await;
        for at in 51..54 {
            append_journaled(&mut rig, &mut frames, &batch(1, 100, at)).await;
        }
        assert!(rig.log.placed() < rig.log.written());
        let all = rig.read_all(0).await;
        drop((rig, frames, dir));
        let (mut rig, _) = open(root).await;
        assert_eq!(rig.read_all(0).await, all);
    });
}

#[test] // Goal: a log that begins anew has nothing of before: neither batches nor epochs nor producers.
fn a_log_begins_anew() {
    on_shard(|| async {
        for offset in [0, 50, 1_000, i64::from(u32::MAX)] {
            let scratch = scratch();
            let mut rig = filled(scratch.path()).await;
            rig.log.put_producer_snapshot(100, b"producers".to_vec());
            rig.settle().await;
            rig.log.restart_at(offset);
            let replay = rig.cut().await;
            assert!(replay.headers.is_empty() && replay.snapshot.is_none());
            assert_eq!((rig.log.log_start(), rig.log.written()), (offset, offset));
            assert_eq!(rig.log.latest_epoch(), None);
            fetch(&mut rig, &batch(2, 500, 0), offset, 9);
            rig.settle().await;
            let all = rig.read_all(offset).await;
            drop(rig);
            let mut rig = Rig::open(scratch.path(), small_segments(), None).await;
            assert_eq!((rig.log.log_start(), rig.log.written()), (offset, offset + 2));
            assert_eq!(rig.read_all(offset).await, all);
        }
    });
}

#[test] // Goal: a log that is cut before its start begins at the cut.
fn a_cut_before_the_start_moves_it() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = filled(scratch.path()).await;
        rig.log.set_log_start(100);
        while let Some(job) = rig.log.take_retention(rig.now_ms, 120) {
            job.run().await.expect("removed");
        }
        rig.settle().await;
        let at = rig.log.checkpoint();
        rig.truncate(30).await;
        assert_eq!((rig.log.log_start(), rig.log.written()), (30, 30));
        fetch(&mut rig, &batch(2, 500, 0), 30, 9);
        rig.settle().await;
        drop(rig);
        // The checkpoint is from before the cut.
        let rig = Rig::open(scratch.path(), small_segments(), Some(at)).await;
        assert_eq!((rig.log.log_start(), rig.log.written()), (30, 32));
    });
}

#[test] // Goal: what a checkpoint from before a cut says of what is behind it does not count.
fn a_checkpoint_from_before_does_not_count() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = filled(root).await;
        rig.log.note_high_watermark(Some(110));
        let before = PartitionCheckpoint {
            recovery_point: 120,
            ..rig.log.checkpoint()
        };
        rig.truncate(20).await;
        for at in 10..60 {
            fetch(&mut rig, &batch(2, 3000, 7), 2 * at, 9);
            rig.settle().await;
        }
        rig.log.note_high_watermark(Some(110));
        let after = PartitionCheckpoint {
            recovery_point: 120,
            ..rig.log.checkpoint()
        };
        drop(rig);
        // A batch behind the cut, in a segment that is not the newest.
        damage(root, 0, LOG, |bytes| *bytes.last_mut().expect("batches") ^= 1);
        let rig = Rig::open(root, small_segments(), Some(after)).await;
        assert_eq!(
            (rig.cut_bytes, rig.log.high_watermark()),
            (0, Some(110)),
            "trusted in its own life"
        );
        drop(rig);
        let rig = Rig::open(root, small_segments(), Some(before)).await;
        assert!(rig.cut_bytes > 0 && rig.log.written() > 20, "checked from the cut on");
        assert_eq!(rig.log.high_watermark(), Some(20));
    });
}

#[test] // Goal: a read that a cut overtakes gives what is there, or nothing; it does not tell of a broken log.
fn overtaken_reads_are_late() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = filled(scratch.path()).await;
        rig.drop_cache();
        let mut plans = Vec::new();
        for offset in (0..120).step_by(7) {
            let plan = rig.log.plan_read(offset, 1 << 20, 120, true, &mut rig.cache);
            plans.push(plan.expect("in range"));
        }
        rig.truncate(10).await;
        for plan in plans {
            let result = plan.run().await.expect("late at worst");
            split_all(&result.batches);
        }
    });
}

fn split_all(batches: &[bytes::Bytes]) {
    super::super::testing::split(&batches.concat());
}

#[test] // Goal: a follower of a compacted log keeps its gaps, through the journal's rule, a kill and a cut.
fn gaps_are_kept() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let (mut rig, dir) = open(root).await;
        let mut frames = journal(&dir).await;
        rig.append(&batch(1, 100, 0)).await;
        append_journaled(&mut rig, &mut frames, &batch(1, 100, 1)).await;
        fetch(&mut rig, &batch(2, 100, 2), 10, 3);
        assert_eq!(
            rig.log.journal_bytes(),
            None,
            "what follows a gap is not for the journal"
        );
        rig.settle().await;
        assert_eq!((rig.log.placed(), rig.log.written()), (12, 12));
        append_journaled(&mut rig, &mut frames, &batch(1, 100, 3)).await;
        let all = rig.read_all(0).await;
        let offsets = |all: &[(i64, Vec<u8>)]| all.iter().map(|(offset, _)| *offset).collect::<Vec<_>>();
        assert_eq!(offsets(&all), [0, 1, 10, 12]);
        assert_eq!(rig.read(5, 1).await, all[2..3]);
        drop((rig, frames, dir));
        let (mut rig, _dir) = open(root).await;
        assert_eq!(rig.read_all(0).await, all);
        rig.truncate(8).await;
        assert_eq!((rig.log.written(), rig.read_all(0).await), (2, all[..2].to_vec()));
    });
}

#[test] // Goal: a gap that no segment spans begins another one.
fn gaps_may_be_wide() {
    on_shard(|| async {
        for first in [Some(0), None] {
            let scratch = scratch();
            let mut rig = Rig::open(scratch.path(), config(), None).await;
            if let Some(offset) = first {
                fetch(&mut rig, &batch(2, 100, 0), offset, 1);
                rig.settle().await;
            }
            let far = 5_000_000_000;
            fetch(&mut rig, &batch(2, 100, 1), far, 1);
            rig.settle().await;
            let start = rig.log.log_start();
            let all = rig.read_all(start).await;
            assert_eq!(all.last().expect("batches").0, far);
            let at = rig.log.close(Vec::new(), &Syncs::Each).await.expect("closed");
            let mut rig = Rig::open(scratch.path(), config(), Some(at)).await;
            assert_eq!(rig.log.written(), far + 2);
            let start = rig.log.log_start();
            assert_eq!(rig.read_all(start).await, all);
        }
    });
}

#[test] // Goal: where a read ended is forgotten with the batches that it ended behind.
fn a_read_does_not_go_on_where_one_of_before_the_cut_ended() {
    on_shard(|| async {
        const LEN: usize = 100_000;
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), config(), None).await;
        for (offset, len) in [(0, LEN), (1, LEN), (2, LEN)] {
            fetch(&mut rig, &batch_of_len(len), offset, 1);
        }
        rig.settle().await;
        rig.drop_cache();
        assert_eq!(rig.read(0, 2 * LEN).await.len(), 2);
        rig.truncate(1).await;
        // Where the batch of offset 2 was, there is that of offset 3.
        for (offset, len) in [(1, LEN / 2), (2, LEN / 2), (3, LEN)] {
            fetch(&mut rig, &batch_of_len(len), offset, 2);
        }
        rig.settle().await;
        rig.drop_cache();
        assert_eq!(rig.read(2, 2 * LEN).await[0].0, 2);
    });
}
