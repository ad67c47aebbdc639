//! The transaction index: written with its segment, trusted or made again by a start, gone with its segment.

use super::*;
use crate::record::{BatchBuilder, Compression, Marker};
use crate::storage::AbortedTxn;
use crate::storage::layout::TXN_INDEX;

const PRODUCERS: i64 = 3;

/// Appends transactions of one batch each, every second one aborted, over several segments.
async fn append_transactions(rig: &mut Rig, count: i64) -> Vec<AbortedTxn> {
    let mut aborted = Vec::new();
    for at in 0..count {
        let producer_id = at % PRODUCERS;
        let mut builder = BatchBuilder::new(Compression::None)
            .producer(producer_id, 0, at as i32)
            .transactional();
        builder.push(at, Some(b"key"), Some(&[b'v'; 20_000]), &[]);
        let first_offset = rig.append(&builder.build()).await;
        let marker = Marker {
            commit: at % 2 == 0,
            coordinator_epoch: 0,
        };
        let last_offset = rig.append(&marker.batch(producer_id, 0, at)).await;
        if !marker.commit {
            let one = AbortedTxn {
                producer_id,
                first_offset,
                last_offset,
                last_stable_offset: last_offset + 1,
            };
            rig.log.note_aborted(one);
            aborted.push(one);
        }
        rig.settle().await;
    }
    aborted
}

fn small_segments() -> TopicConfig {
    TopicConfig {
        segment_bytes: 100_000,
        ..config()
    }
}

/// What a read of committed data hears, from each offset on, up to the log's end.
async fn heard(rig: &mut Rig) -> Vec<Vec<(i64, i64)>> {
    let end = rig.log.written();
    let mut heard = Vec::new();
    for offset in 0..end {
        let plan = rig.log.plan_aborted(offset);
        plan.load().await.expect("loaded");
        heard.push(plan.find(end));
    }
    heard
}

fn expected(aborted: &[AbortedTxn], end: i64) -> Vec<Vec<(i64, i64)>> {
    let from = |offset| {
        let later = aborted.iter().filter(move |one| one.last_offset >= offset);
        later.map(|one| (one.producer_id, one.first_offset)).collect()
    };
    (0..end).map(from).collect()
}

async fn stop(rig: Rig) -> Option<PartitionCheckpoint> {
    Some(rig.log.close(Vec::new(), &Syncs::Each).await.expect("closed"))
}

#[test] // Goal: aborted transactions are found while they are written, after a clean stop, and after a kill that trusts nothing.
fn aborted_transactions_survive_every_restart() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = Rig::open(root, small_segments(), None).await;
        let aborted = append_transactions(&mut rig, 30).await;
        let expected = expected(&aborted, rig.log.written());
        assert_eq!(heard(&mut rig).await, expected);
        drop(rig); // a kill
        let mut rig = Rig::open(root, small_segments(), None).await;
        assert_eq!(heard(&mut rig).await, expected);
        let checkpoint = stop(rig).await;
        let mut rig = Rig::open(root, small_segments(), checkpoint).await;
        assert!(rig.observed.len() < 60, "a clean stop is trusted");
        assert_eq!(heard(&mut rig).await, expected);
    });
}

#[test] // Goal: a damaged index is set aside and made again, the others with it.
fn damaged_index_is_made_again() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = Rig::open(root, small_segments(), None).await;
        let aborted = append_transactions(&mut rig, 30).await;
        let expected = expected(&aborted, rig.log.written());
        let checkpoint = stop(rig).await;
        let path = segment_path(&log_path(root), 0, TXN_INDEX);
        let whole = blocking::read_file(&path).expect("file");
        blocking::write_file_atomic(&path, &whole[1..]).expect("damaged");
        let mut rig = Rig::open(root, small_segments(), checkpoint).await;
        assert_eq!(heard(&mut rig).await, expected);
        assert_eq!(content(root, 0, TXN_INDEX), whole);
        let names = blocking::list_dir(&log_path(root)).expect("directory");
        assert!(names.iter().any(|(name, _)| name.ends_with("txnindex.corrupt")));
    });
}

#[test] // Goal: retention takes the index with its segment, and a segment without aborted transactions has none.
fn index_goes_with_its_segment() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = Rig::open(root, small_segments(), None).await;
        rig.append(&batch(1, 90_000, 0)).await;
        append_transactions(&mut rig, 12).await;
        let second = log_path(root).join("00000000000000000001.txnindex");
        assert!(blocking::read_file(&second).is_ok());
        blocking::read_file(&segment_path(&log_path(root), 0, TXN_INDEX)).expect_err("no aborted transaction");
        let end = rig.log.written();
        rig.log.set_log_start(end);
        while let Some(job) = rig.log.take_retention(rig.now_ms, end) {
            job.run().await.expect("removed");
            rig.settle().await;
        }
        blocking::read_file(&second).expect_err("removed");
    });
}

#[test] // Goal: a marker that was staged and not written leaves no entry behind a clean stop.
fn unwritten_markers_leave_no_entry() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = Rig::open(root, config(), None).await;
        append_transactions(&mut rig, 1).await;
        let marker = Marker {
            commit: false,
            coordinator_epoch: 0,
        };
        let last_offset = rig.stage(&marker.batch(0, 0, 0));
        rig.log.note_aborted(AbortedTxn {
            producer_id: 0,
            first_offset: 0,
            last_offset,
            last_stable_offset: last_offset + 1,
        });
        let checkpoint = stop(rig).await;
        let mut rig = Rig::open(root, config(), checkpoint).await;
        assert_eq!(heard(&mut rig).await, [vec![], vec![]]);
    });
}
