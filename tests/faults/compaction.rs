//! Crashes while a compacted segment takes the place of others: a start finds the old ones or the new one, whole.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use super::rig::LOG_DIR;
use super::seeds::for_seeds;
use crate::config::{CleanupPolicy, TopicConfig};
use crate::record::{BatchBuilder, BatchHeader, Compression, Records};
use crate::rt::blocking;
use crate::rt::sim::{FaultPlan, World};
use crate::storage::testing::{Rig, config, options};
use crate::storage::{Compacted, CompactionAsk, PartitionCheckpoint};

const KEYS: i64 = 6;
const ROUNDS: i64 = 12;
const END: i64 = KEYS * ROUNDS;

fn compacted() -> TopicConfig {
    TopicConfig {
        cleanup_policy: CleanupPolicy {
            delete: false,
            compact: true,
        },
        segment_bytes: 3_000,
        flush_messages: 1,
        min_cleanable_dirty_ratio: 0.0,
        ..config()
    }
}

#[test] // Goal: whatever moment a kill or a power cut picks, no newest record is lost, nothing is invented, and the next round works.
fn crashes_lose_no_newest_record() {
    let interrupted = Cell::new(0);
    for_seeds("compaction", 400, |seed| {
        let mut world = World::new(seed, FaultPlan::none());
        let checkpoint = world.run(fill());
        // Half of the starts trust what lies below the recovery point, the others check everything.
        let checkpoint = checkpoint.filter(|_| seed % 4 < 2);
        world.set_plan(FaultPlan::stop_at(1 + seed));
        let is_finished = world
            .run_until_crash(async {
                let options = options(Path::new(LOG_DIR), compacted(), checkpoint);
                if let Ok(mut rig) = Rig::try_with(options).await {
                    compact(&mut rig).await;
                } else {
                    std::future::pending::<()>().await;
                }
            })
            .is_some();
        interrupted.set(interrupted.get() + i32::from(!is_finished));
        world = if seed % 2 == 0 { world.kill() } else { world.power_cut() };
        world.set_plan(FaultPlan::none());
        world.run(async {
            let mut rig = Rig::open(Path::new(LOG_DIR), compacted(), checkpoint).await;
            assert_eq!((rig.cut_bytes, rig.log.written()), (0, END));
            check(&mut rig).await;
            compact(&mut rig).await;
            check(&mut rig).await;
            assert!(rig.log.size_bytes() < 6_000, "the next round compacts");
        });
        world = world.power_cut();
        world.run(async {
            let mut rig = Rig::open(Path::new(LOG_DIR), compacted(), None).await;
            assert_eq!((rig.cut_bytes, rig.log.written()), (0, END));
            check(&mut rig).await;
            let names = blocking::list_dir(&Path::new(LOG_DIR).join("t-0")).expect("directory");
            let is_left = |name: &str| {
                [".cleaned", ".swap", ".deleted", ".corrupt"]
                    .iter()
                    .any(|end| name.ends_with(end))
            };
            assert!(names.iter().all(|(name, _)| !is_left(name)), "{names:?}");
        });
    });
    let interrupted = interrupted.get();
    assert!(interrupted > 100, "only {interrupted} rounds were interrupted");
}

async fn fill() -> Option<PartitionCheckpoint> {
    blocking::create_dir_all(LOG_DIR.as_ref()).expect("made");
    blocking::sync_dir("/disk".as_ref()).expect("synced");
    blocking::sync_dir("/".as_ref()).expect("synced");
    let mut rig = Rig::open(Path::new(LOG_DIR), compacted(), None).await;
    for offset in 0..END {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(1, Some(&key(offset)), Some(&value(offset)), &[]);
        rig.append(&builder.build()).await;
    }
    Some(rig.log.checkpoint())
}

fn key(offset: i64) -> [u8; 1] {
    [(offset % KEYS) as u8]
}

fn value(offset: i64) -> Vec<u8> {
    vec![offset as u8; 200]
}

async fn compact(rig: &mut Rig) {
    let ask = CompactionAsk {
        now_ms: 1_000,
        stable_offset: rig.log.written(),
        key_bytes_max: 1 << 20,
        bytes_per_second: f64::MAX,
        last_records: BTreeMap::new(),
    };
    let mut job = rig.log.take_compaction(ask).expect("something is sealed");
    loop {
        let done = job.run().await;
        match rig.log.on_compacted(done, &mut rig.cache, 1_000) {
            Ok(Compacted::Next(next)) => job = next,
            Ok(Compacted::Finished(_)) => return,
            // The machine stands still: the test goes on behind the crash.
            Ok(Compacted::Failed(_) | Compacted::Stopped) | Err(_) => return std::future::pending().await,
        }
    }
}

/// Every record is one that was appended, and the newest of each key is there.
async fn check(rig: &mut Rig) {
    rig.drop_cache();
    let mut newest = BTreeMap::new();
    for (_, bytes) in rig.read_all(0).await {
        let header = BatchHeader::parse(&bytes).expect("a batch");
        for record in Records::of(&header, bytes.into(), 1 << 20).expect("opens") {
            let record = record.expect("a record");
            assert_eq!(record.key.as_deref(), Some(&key(record.offset)[..]));
            assert_eq!(record.value.as_deref(), Some(&value(record.offset)[..]));
            newest.insert(record.offset % KEYS, record.offset);
        }
    }
    let expected: BTreeMap<i64, i64> = (END - KEYS..END).map(|offset| (offset % KEYS, offset)).collect();
    assert_eq!(newest, expected);
}
