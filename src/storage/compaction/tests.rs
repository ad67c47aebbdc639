//! Compaction against a model: which records must stay, which must go, and that all else is as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::config::CleanupPolicy;
use crate::record::{BatchBuilder, Compression, Record};
use crate::rt::testing::on_shard;
use crate::rt::timeout;
use crate::storage::layout::{CLEANED, SWAP};
use crate::storage::testing::{Rig, config, log_path, scratch};
use crate::storage::{AbortedTxn, Compacted, PartitionCheckpoint};

const KEY_BYTES: usize = 1 << 20;
const HORIZON_MS: i64 = 1_000;

fn compacted() -> TopicConfig {
    TopicConfig {
        cleanup_policy: CleanupPolicy {
            delete: false,
            compact: true,
        },
        segment_bytes: 4_096,
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: HORIZON_MS,
        ..config()
    }
}

fn ask(rig: &Rig, key_bytes_max: usize) -> CompactionAsk {
    CompactionAsk {
        now_ms: rig.now_ms,
        stable_offset: rig.log.written(),
        key_bytes_max,
        bytes_per_second: f64::MAX,
        last_records: BTreeMap::new(),
    }
}

/// Runs one round to its end.
async fn compact_with(rig: &mut Rig, ask: CompactionAsk) -> Compacted {
    let mut job = rig.log.take_compaction(ask).expect("something is sealed");
    loop {
        let done = job.run().await;
        match rig
            .log
            .on_compacted(done, &mut rig.cache, rig.now_ms)
            .expect("no failure of the disk")
        {
            Compacted::Next(next) => job = next,
            end => return end,
        }
    }
}

async fn compact(rig: &mut Rig) {
    let ask = ask(rig, KEY_BYTES);
    let end = compact_with(rig, ask).await;
    assert!(matches!(end, Compacted::Finished(_)));
}

/// Every record of the log, markers left out, read from the disk; checks that headers and order are sound.
async fn records(rig: &mut Rig) -> Vec<Record> {
    rig.drop_cache();
    let (mut offset, mut all) = (rig.log.log_start(), Vec::new());
    while offset < rig.log.written() {
        for (_, bytes) in rig.read(offset, 1 << 20).await {
            let header = BatchHeader::parse(&bytes).expect("a batch");
            assert!(header.next_offset() > offset, "offsets rise");
            offset = header.next_offset();
            if !header.is_control() {
                let records = Records::of(&header, bytes.into(), 1 << 20).expect("opens");
                all.extend(records.map(|record| record.expect("a record")));
            }
        }
    }
    all
}

fn keyed(key: u8, value: Option<&[u8]>) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(5, Some(&[key]), value, &[]);
    builder.build()
}

async fn fill(rig: &mut Rig, rounds: u8) {
    for round in 0..rounds {
        for key in 0..8 {
            rig.append(&keyed(key, Some(&[round; 200]))).await;
        }
    }
}

#[test] // Goal: the newest value of each key stays, small segments are joined, and the log goes on.
fn newest_values_stay() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), compacted(), None).await;
        fill(&mut rig, 10).await;
        let before = rig.log.size_bytes();
        compact(&mut rig).await;
        assert!(rig.log.size_bytes() < before / 2);
        let left = records(&mut rig).await;
        let newest: BTreeMap<_, _> = left.iter().map(|one| (one.key.clone(), one.value.clone())).collect();
        assert_eq!(newest.len(), 8);
        assert!(newest.values().all(|value| value.as_deref() == Some(&[9; 200][..])));
        assert!(!rig.log.wants_compaction(rig.now_ms, 0));
        fill(&mut rig, 1).await;
        assert_eq!(rig.log.written(), 88);
    });
}

#[test] // Goal: a tombstone stays for delete.retention.ms after the round that met it, then goes.
fn tombstones_wait_for_their_horizon() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), compacted(), None).await;
        rig.append(&keyed(100, Some(b"value"))).await;
        rig.append(&keyed(100, None)).await;
        fill(&mut rig, 4).await;
        let tombstones = |records: Vec<Record>| records.iter().filter(|one| one.value.is_none()).count();
        for (passed_ms, expected) in [(0, 1), (HORIZON_MS - 1, 1), (1, 0)] {
            rig.now_ms += passed_ms;
            fill(&mut rig, 2).await;
            compact(&mut rig).await;
            let left = records(&mut rig).await;
            assert!(
                left.iter()
                    .all(|one| one.key.as_deref() != Some(&[100]) || one.value.is_none())
            );
            assert_eq!(tombstones(left), expected, "after {passed_ms} ms");
        }
    });
}

#[test] // Goal: an aborted transaction below the clean point says nothing about what its producer wrote above.
fn tombstones_count_after_an_abort() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), compacted(), None).await;
        let mut model = Model::default();
        let tombstone = Entry::Batch(vec![(100, false)], Some(1), 0);
        rig.append(&keyed(100, Some(b"value"))).await;
        for is_committed in [false, true] {
            append(&mut rig, &mut model, &tombstone).await;
            append(&mut rig, &mut model, &Entry::End(1, is_committed)).await;
            fill(&mut rig, 4).await;
            compact(&mut rig).await;
        }
        rig.now_ms += HORIZON_MS;
        fill(&mut rig, 4).await;
        compact(&mut rig).await;
        let left = records(&mut rig).await;
        assert!(left.iter().all(|one| one.key.as_deref() != Some(&[100])));
    });
}

#[test] // Goal: the header of a producer's newest batch stays when its records go.
fn producers_keep_their_newest_batch() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), compacted(), None).await;
        let mut builder = BatchBuilder::new(Compression::Lz4).producer(7, 2, 30);
        builder.push(5, Some(&[1]), Some(b"old"), &[]);
        rig.append(&builder.build()).await;
        fill(&mut rig, 4).await;
        let mut ask = ask(&rig, KEY_BYTES);
        let last = LastRecord {
            offset: Some(0),
            epoch: 2,
        };
        ask.last_records.insert(7, last);
        compact_with(&mut rig, ask).await;
        rig.drop_cache();
        let first = rig.read(0, 1).await.remove(0);
        let header = BatchHeader::parse(&first.1).expect("a batch");
        assert_eq!(
            (header.base_offset, header.record_count, header.last_sequence()),
            (0, 0, 30)
        );
        assert_eq!(
            rig.read_all(0).await.len(),
            records(&mut rig).await.len() + 2,
            "and the last of each segment"
        );
    });
}

#[test] // Goal: with room for few keys, rounds get to the end one after the other.
fn few_keys_at_a_time_get_there_too() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), compacted(), None).await;
        fill(&mut rig, 10).await;
        let mut rounds = 0;
        while rig.log.wants_compaction(rig.now_ms, rig.log.written()) {
            let ask = ask(&rig, 3 * 64);
            compact_with(&mut rig, ask).await;
            rounds += 1;
            assert!(rounds < 100, "no progress");
        }
        assert!(rounds > 2, "several rounds");
        let left = records(&mut rig).await;
        let keys: BTreeSet<_> = left.iter().map(|one| one.key.clone()).collect();
        assert_eq!(keys.len(), 8);
    });
}

#[test] // Goal: a broken batch fails the round, not the log; nothing half-made is left, and it is tried again later.
fn broken_batches_fail_the_round_only() {
    on_shard(|| async {
        let scratch = scratch();
        let root = scratch.path();
        let mut rig = Rig::open(root, compacted(), None).await;
        let mut builder = BatchBuilder::new(Compression::Zstd);
        builder.push(5, Some(&[1]), Some(b"value"), &[]);
        let mut broken = builder.build().to_vec();
        let len = broken.len();
        broken[len - 9..].fill(0xff);
        rig.append(&broken).await;
        fill(&mut rig, 4).await;
        let ask_first = ask(&rig, KEY_BYTES);
        assert!(matches!(compact_with(&mut rig, ask_first).await, Compacted::Failed(_)));
        assert!(!rig.log.wants_compaction(rig.now_ms, rig.log.written()));
        assert!(rig.log.wants_compaction(rig.now_ms + (1 << 40), rig.log.written()));
        assert_eq!(leftovers(root), Vec::<String>::new());
        rig.append(&keyed(1, None)).await;
    });
}

#[test] // Goal: a round that is told to stop leaves nothing behind.
fn stopped_rounds_leave_nothing() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), compacted(), None).await;
        fill(&mut rig, 10).await;
        let ask = ask(&rig, KEY_BYTES);
        let job = rig.log.take_compaction(ask).expect("a job");
        rig.log.stop_compaction();
        let done = job.run().await;
        assert!(matches!(
            rig.log.on_compacted(done, &mut rig.cache, 0),
            Ok(Compacted::Stopped)
        ));
        assert_eq!(leftovers(scratch.path()), Vec::<String>::new());
        assert_eq!(records(&mut rig).await.len(), 80);
    });
}

#[test] // Goal: a round that waits for its bandwidth hears that it is to stop.
fn waiting_rounds_stop() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), compacted(), None).await;
        fill(&mut rig, 10).await;
        let slow = CompactionAsk {
            bytes_per_second: 1.0,
            ..ask(&rig, KEY_BYTES)
        };
        let job = rig.log.take_compaction(slow).expect("a job");
        let stop = job.round.stop.clone();
        let stopping = async {
            yield_now().await;
            stop.set(true);
        };
        let ended = timeout(Duration::from_secs(10), futures_lite::future::zip(job.run(), stopping)).await;
        let (done, ()) = ended.expect("in time");
        assert!(matches!(done.step, Step::Stopped));
    });
}

#[test] // Goal: a read that was planned before the exchange gets what it was planned on.
fn readers_in_flight_keep_their_files() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), compacted(), None).await;
        fill(&mut rig, 10).await;
        rig.drop_cache();
        let end = rig.log.written();
        let plan = rig
            .log
            .plan_read(3, 1 << 20, end, true, &mut rig.cache)
            .expect("in range");
        compact(&mut rig).await;
        let read = plan.run().await.expect("read");
        let first = BatchHeader::parse(&read.batches[0]).expect("a batch");
        assert_eq!(first.base_offset, 3);
    });
}

#[test] // Goal: segments that retention took while a round ran are not brought back by it.
fn retention_goes_before_compaction() {
    on_shard(|| async {
        let scratch = scratch();
        let mut rig = Rig::open(scratch.path(), compacted(), None).await;
        fill(&mut rig, 20).await;
        let ask = ask(&rig, KEY_BYTES);
        let job = rig.log.take_compaction(ask).expect("a job");
        let mut done = job.run().await;
        rig.log.set_log_start(40);
        let freed = rig.log.take_retention(rig.now_ms, rig.log.written()).expect("freed");
        freed.run().await.expect("removed");
        while let Compacted::Next(job) = rig
            .log
            .on_compacted(done, &mut rig.cache, rig.now_ms)
            .expect("no failure")
        {
            done = job.run().await;
        }
        assert!(records(&mut rig).await.iter().all(|one| one.offset >= 20));
        assert_eq!(leftovers(scratch.path()), Vec::<String>::new());
        let all = rig.read_all(rig.log.log_start()).await;
        assert!(all.first().is_some_and(|(base, _)| *base > 0));
    });
}

fn leftovers(root: &Path) -> Vec<String> {
    let names = crate::rt::blocking::list_dir(&log_path(root)).expect("directory");
    let names = names.into_iter().map(|(name, _)| name);
    names
        .filter(|name| name.ends_with(CLEANED) || name.ends_with(SWAP))
        .collect()
}

/// One step of a random log.
#[derive(Clone, Debug)]
enum Entry {
    /// Keys, each with a value or none; by a producer in a transaction, or by none.
    Batch(Vec<(u8, bool)>, Option<u8>, u8),
    /// The producer's transaction ends.
    End(u8, bool),
}

fn entry() -> impl Strategy<Value = Entry> {
    let batch = (
        prop::collection::vec((0..12u8, prop::bool::weighted(0.8)), 1..6),
        prop::option::of(0..3u8),
        0..5u8,
    );
    prop_oneof![
        4 => batch.prop_map(|(keys, producer, codec)| Entry::Batch(keys, producer, codec)),
        1 => (0..3u8, any::<bool>()).prop_map(|(producer, commit)| Entry::End(producer, commit)),
    ]
}

/// What lies in the log, by what was appended.
#[derive(Default)]
struct Model {
    records: Vec<(Record, bool)>,
    /// First offset of each producer's open transaction, and its records' places.
    open: BTreeMap<u8, (i64, Vec<usize>)>,
}

async fn append(rig: &mut Rig, model: &mut Model, entry: &Entry) {
    match entry {
        Entry::Batch(keys, producer, codec) => {
            let codec = Compression::from_bits(*codec).expect("a codec");
            let mut builder = BatchBuilder::new(codec);
            if let Some(producer) = producer {
                builder = builder.producer(i64::from(*producer), 0, 0).transactional();
            }
            let base = rig.log.staged();
            for (at, (key, has_value)) in keys.iter().enumerate() {
                let value = format!("{base} {at} {}", "x".repeat(100));
                let value = has_value.then_some(value.as_bytes());
                builder.push(base + at as i64, Some(&[*key]), value, &[]);
            }
            let batch = builder.build();
            rig.append(&batch).await;
            let mut header = BatchHeader::parse(&batch).expect("a batch");
            header.base_offset = base;
            for record in Records::of(&header, batch, 1 << 20).expect("opens") {
                if let Some(producer) = producer {
                    let open = model.open.entry(*producer).or_insert((base, Vec::new()));
                    open.1.push(model.records.len());
                }
                model.records.push((record.expect("a record"), false));
            }
        }
        Entry::End(producer, commit) => {
            let marker = Marker {
                commit: *commit,
                coordinator_epoch: 0,
            };
            let offset = rig.append(&marker.batch(i64::from(*producer), 0, rig.now_ms)).await;
            let Some((first_offset, places)) = model.open.remove(producer) else {
                return;
            };
            if !commit {
                places.into_iter().for_each(|at| model.records[at].1 = true);
                let others = model.open.values().map(|open| open.0).min();
                rig.log.note_aborted(AbortedTxn {
                    producer_id: i64::from(*producer),
                    first_offset,
                    last_offset: offset,
                    last_stable_offset: others.unwrap_or(offset + 1),
                });
            }
        }
    }
}

/// What read_committed gets: the records without those that it is told to leave out.
async fn committed(rig: &mut Rig, stable: i64) -> Vec<Record> {
    let mut aborted = rig.log.plan_aborted(rig.log.log_start());
    aborted.load().await.expect("loaded");
    let list = aborted.take_all();
    let mut transactions = Transactions::new(list);
    let (mut offset, mut left) = (rig.log.log_start(), Vec::new());
    while offset < stable {
        for (_, bytes) in rig.read(offset, 1 << 20).await {
            let header = BatchHeader::parse(&bytes).expect("a batch");
            offset = header.next_offset();
            if header.is_control() {
                transactions.on_marker(&header, Marker::read(&header, &bytes));
            } else if !transactions.on_records(&header) && header.base_offset < stable {
                let records = Records::of(&header, bytes.into(), 1 << 20).expect("opens");
                left.extend(records.map(|record| record.expect("a record")));
            }
        }
    }
    left
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Random batches, codecs, tombstones and transactions: below where it has looked, exactly the newest committed record
    /// of each key is left (tombstones may be gone once their time has come); above, everything; and a restart changes nothing.
    #[test]
    fn compacted_logs_are_as_the_model(entries in prop::collection::vec(entry(), 20..160), rounds in 1..4i64) {
        on_shard(move || async move {
            let scratch = scratch();
            let mut rig = Rig::open(scratch.path(), compacted(), None).await;
            let mut model = Model::default();
            let half = entries.len() / 2;
            for (at, entry) in entries.iter().enumerate() {
                append(&mut rig, &mut model, entry).await;
                if at == half && rig.log.wants_compaction(rig.now_ms, stable(&rig, &model)) {
                    let ask = CompactionAsk { stable_offset: stable(&rig, &model), ..ask(&rig, KEY_BYTES) };
                    compact_with(&mut rig, ask).await;
                }
            }
            for _ in 0..rounds {
                let ask = CompactionAsk { stable_offset: stable(&rig, &model), ..ask(&rig, KEY_BYTES) };
                if rig.log.wants_compaction(rig.now_ms, ask.stable_offset) {
                    compact_with(&mut rig, ask).await;
                }
                rig.now_ms += HORIZON_MS;
            }
            let checkpoint: PartitionCheckpoint = rig.log.checkpoint();
            let clean_upto = checkpoint.clean_upto.unwrap_or(0);
            check(&mut rig, &model, clean_upto).await;
            drop(rig);
            for checkpoint in [Some(checkpoint), None] {
                let mut rig = Rig::open(scratch.path(), compacted(), checkpoint).await;
                assert_eq!(rig.cut_bytes, 0);
                check(&mut rig, &model, clean_upto).await;
            }
        });
    }
}

fn stable(rig: &Rig, model: &Model) -> i64 {
    model
        .open
        .values()
        .map(|open| open.0)
        .min()
        .unwrap_or(rig.log.written())
}

/// Below `clean_upto` the newest of each key, above it all; only a tombstone may be missing.
async fn check(rig: &mut Rig, model: &Model, clean_upto: i64) {
    rig.drop_cache();
    let stable = stable(rig, model);
    let left = committed(rig, stable).await;
    let decided: Vec<&Record> = model
        .records
        .iter()
        .filter(|(one, aborted)| !aborted && one.offset < stable)
        .map(|(one, _)| one)
        .collect();
    let compacted = decided.iter().filter(|one| one.offset < clean_upto);
    let newest: BTreeMap<_, _> = compacted.map(|one| (&one.key, one.offset)).collect();
    let stays = |one: &&Record| one.offset >= clean_upto || newest.get(&one.key) == Some(&one.offset);
    let expected: Vec<&Record> = decided.into_iter().filter(stays).collect();
    let is_there = |one: &&Record| left.binary_search_by_key(&one.offset, |found| found.offset).is_ok();
    let may_be_gone = |one: &&Record| one.offset < clean_upto && one.value.is_none();
    let expected: Vec<&Record> = expected
        .into_iter()
        .filter(|one| !may_be_gone(one) || is_there(one))
        .collect();
    assert_eq!(left.iter().collect::<Vec<_>>(), expected);
}
