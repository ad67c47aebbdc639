//! Random schedules: processes that append, read, roll, retain, stop and crash at any moment, against the model.

use std::time::Duration;

use super::case::{Case, Life, config};
use super::rig::Rig;
use super::seeds::for_seeds;
use crate::config::TopicConfig;
use crate::rt::sim::{FaultPlan, Rng, WriteFault};
use crate::rt::{random_u64, sleep};
use crate::storage::StorageError;

/// With `SEEDS=100` it is a hundred times as many.
const SEEDS: u64 = 2000;
const LIVES_MAX: u64 = 4;
const ACTIONS_MAX: u64 = 60;

#[test] // Goal: whatever happens in whatever order, what was acknowledged and synced is there, and nothing else.
fn random_schedules_keep_every_promise() {
    for_seeds("schedule::random", SEEDS, |seed| {
        run(seed, 0);
    });
}

#[test] // Goal: the same with small batches in the journal, and a ring so small that it goes round.
fn random_schedules_with_a_journal_keep_every_promise() {
    for_seeds("schedule::random_schedules_with_a_journal", SEEDS / 2, |seed| {
        run(seed, [32 << 10, 64 << 10, 512 << 10][(seed % 3) as usize]);
    });
}

#[test] // Goal: what seeds have found stays mended: a lost history of epochs, a recovery point ahead of the sealed segments,
// two removals under way at once, a lost end taken for a gap.
fn seeds_that_found_something_stay_mended() {
    for seed in [7, 10, 184, 758, 2754, 3041] {
        run(seed, 0);
    }
}

#[test] // Goal: a seed gives the same run twice, to the last operation on the disk.
fn a_schedule_repeats() {
    for seed in 0..20 {
        assert_eq!(run(seed, 0), run(seed, 0));
        assert_eq!(run(seed, 64 << 10), run(seed, 64 << 10));
    }
}

/// The digest of everything the disk was asked. Without a journal (0 bytes) the seeds do what they always did.
fn run(seed: u64, journal_bytes: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let case = Case::new(rng.draw(), later_config(seed, random_config(&mut rng)));
    let mut case = case.with_journal(journal_bytes);
    for _ in 0..1 + rng.below(LIVES_MAX) {
        let actions = rng.below(ACTIONS_MAX);
        let stops = rng.one_in(6);
        let plan = random_plan(&mut rng);
        let is_faulty = plan.is_some();
        let life = case.live(plan.unwrap_or_default(), async |rig| live(rig, actions, stops).await);
        if !is_faulty {
            life.done().expect("no fault, no error");
        } else if let Life::Refused(_) | Life::Stuck | Life::Done(Err(_)) = life {
            // A fault did this; the next life shows whether it did harm.
        }
        if rng.one_in(2) { case.kill() } else { case.power_cut() }
    }
    case.check();
    case.world().trace().0
}

fn random_config(rng: &mut Rng) -> TopicConfig {
    let pick = |rng: &mut Rng, values: &[i64]| values[rng.below(values.len() as u64) as usize];
    TopicConfig {
        flush_messages: pick(rng, &[i64::MAX, 1, 1, 5]),
        segment_bytes: pick(rng, &[12 << 10, 32 << 10, 256 << 10]) as i32,
        index_interval_bytes: pick(rng, &[0, 1000, 4096]) as i32,
        retention_bytes: pick(rng, &[-1, -1, 50 << 10]),
        retention_ms: pick(rng, &[-1, -1, 20_000]),
        ..config()
    }
}

/// Keys that came after the seeds above had found something: drawing for them would change what those do.
fn later_config(seed: u64, config: TopicConfig) -> TopicConfig {
    match seed % 8 {
        3 => TopicConfig {
            file_delete_delay_ms: 2_000,
            ..config
        },
        5 => TopicConfig {
            flush_ms: 1_000,
            file_delete_delay_ms: 5_000,
            ..config
        },
        _ => config,
    }
}

/// Mostly none.
fn random_plan(rng: &mut Rng) -> Option<FaultPlan> {
    let write = 1 + rng.below(20);
    let plan = match rng.below(16) {
        0 => FaultPlan::write(write, WriteFault::Tear),
        1 => FaultPlan::write(write, WriteFault::Eio),
        2 => FaultPlan::sync_fails(1 + rng.below(30)),
        3 => FaultPlan {
            eio_per_mille: 1 + rng.below(20),
            ..FaultPlan::none()
        },
        4 => FaultPlan::capacity((60 << 10) + rng.below(300 << 10)),
        5..=8 => FaultPlan::stop_at(1 + rng.below(300)),
        _ => return None,
    };
    Some(plan)
}

/// A process: actions in random order while its jobs run. It ends with jobs under way, or with a clean stop.
async fn live(rig: &mut Rig, actions: u64, stops: bool) -> Result<(), StorageError> {
    rig.mixes = true;
    for _ in 0..actions {
        act(rig).await?;
        if random_u64().is_multiple_of(3) {
            sleep(Duration::from_micros(random_u64() % 1500)).await;
        }
        rig.take_done()?;
    }
    if stops { rig.close().await } else { Ok(()) }
}

async fn act(rig: &mut Rig) -> Result<(), StorageError> {
    match random_u64() % 20 {
        0..=7 => {
            let len = random_len();
            let _ = rig.stage(len); // refused where the disk is full
        }
        8..=13 => rig.start_jobs(),
        14 => {
            let (start, end) = (rig.log().log_start(), rig.log().written());
            rig.read(start + (random_u64() % (end - start + 1) as u64) as i64)
                .await?;
        }
        15 => rig.start_retention(),
        16 => rig.next_epoch(),
        17 => rig.settle().await?,
        18 => {
            let _ = rig.write_checkpoint(false);
        }
        _ => {
            let passed_ms = [10, 1000, 6000][(random_u64() % 3) as usize];
            sleep(Duration::from_millis(passed_ms)).await;
        }
    }
    Ok(())
}

/// Mostly small; sometimes around a block, sometimes many blocks.
fn random_len() -> usize {
    let at_random = random_u64() as usize;
    match random_u64() % 8 {
        0 => 3900 + at_random % 400,
        1 => at_random % 20_000,
        _ => at_random % 1200,
    }
}
