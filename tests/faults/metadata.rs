//! The metadata engine on the simulated disk: wherever the machine stops, acknowledged commits are there.

use std::cell::{Cell, RefCell};
use std::path::Path;

use super::seeds::for_seeds;
use crate::metadata::Record;
use crate::metadata::engine::{CommitError, Embedded, Engine, SnapshotPolicy};
use crate::metadata::record::ProducerIds;
use crate::rt::blocking;
use crate::rt::sim::{FaultPlan, Rng, World};

const DIR: &str = "/disk/data/corelane-metadata";
const POLICY: SnapshotPolicy = SnapshotPolicy {
    frames_max: 4,
    bytes_max: 1 << 20,
};

/// What was acknowledged, and what may be there besides.
#[derive(Default)]
struct Promises {
    acknowledged: Vec<Record>,
    /// The commit that nobody knows about.
    unknown: Option<Record>,
}

/// A process: recovers, is checked, and commits `count` records. Err: the engine refused to go on.
async fn live(promises: &RefCell<Promises>, next: &Cell<i64>, count: u64) -> Result<(), String> {
    let mut engine = Embedded::new(DIR.into(), POLICY);
    let (records, mut epoch) = engine.start().await.map_err(|error| error.to_string())?;
    check(&mut promises.borrow_mut(), records);
    for _ in 0..count {
        let record = Record::ProducerIds(ProducerIds { next: next.get() });
        next.set(next.get() + 1);
        promises.borrow_mut().unknown = Some(record.clone());
        match engine.commit(epoch, std::slice::from_ref(&record)).await {
            Ok(now) => {
                epoch = now;
                let mut promises = promises.borrow_mut();
                promises.unknown = None;
                promises.acknowledged.push(record);
            }
            Err(CommitError::Unknown(error)) => return Err(error.to_string()),
            Err(error) => {
                promises.borrow_mut().unknown = None;
                return Err(error.to_string());
            }
        }
        if engine.wants_snapshot() {
            let records = promises.borrow().acknowledged.clone();
            engine.snapshot(&records).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

fn check(promises: &mut Promises, found: Vec<Record>) {
    let unknown = promises.unknown.take();
    let acknowledged = promises.acknowledged.len();
    assert!(
        found.starts_with(&promises.acknowledged),
        "{} records are there, {acknowledged} were acknowledged",
        found.len()
    );
    let more = &found[acknowledged..];
    assert!(
        more.is_empty() || more == unknown.as_slice(),
        "a commit that nobody made"
    );
    promises.acknowledged = found;
}

fn disk(seed: u64) -> World {
    let mut world = World::new(seed, FaultPlan::none());
    world.run(async {
        blocking::create_dir_all(Path::new("/disk/data")).expect("made");
        blocking::sync_dir(Path::new("/disk")).expect("synced");
        blocking::sync_dir(Path::new("/")).expect("synced");
    });
    world
}

#[test] // Goal: at whatever operation the machine stops, killed or without power, acknowledged commits are there.
fn acknowledged_commits_survive_any_crash() {
    for_seeds("metadata", 300, |seed| {
        let mut rng = Rng::new(seed);
        let mut world = disk(seed);
        let (promises, next) = (RefCell::default(), Cell::new(0));
        for _ in 0..1 + rng.below(4) {
            let plan = match rng.below(8) {
                0 => FaultPlan::sync_fails(1 + rng.below(12)),
                1 => FaultPlan::none(),
                _ => FaultPlan::stop_at(1 + rng.below(80)),
            };
            world.set_plan(plan);
            let count = rng.below(12);
            let _ = world.run_until_crash(live(&promises, &next, count));
            world = if rng.one_in(2) { world.kill() } else { world.power_cut() };
        }
        world.run(live(&promises, &next, 3)).expect("it starts and goes on");
    });
}

#[test] // Goal: the checks see a loss: without syncs, a power cut takes commits.
fn lost_log_is_noticed() {
    let lost = (0..20).filter(|seed| {
        let mut world = disk(*seed);
        let (promises, next) = (RefCell::default(), Cell::new(0));
        world.run(live(&promises, &next, 3)).expect("commits");
        world.run(async {
            let log = blocking::list_dir(Path::new(DIR)).expect("listed");
            let (log, _) = log
                .into_iter()
                .find(|(name, _)| name.starts_with("log-"))
                .expect("a log");
            blocking::remove_file(&Path::new(DIR).join(log)).expect("removed");
        });
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            world.kill().run(live(&promises, &next, 0))
        }));
        checked.is_err()
    });
    assert_eq!(lost.count(), 20);
}
