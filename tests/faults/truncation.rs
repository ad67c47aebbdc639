//! A log that is cut while the machine crashes: the old end is left, the new one or one in between, and what the cut took
//! never follows other batches.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::case::{Case, config, flush_each};
use super::rig::{LOG_DIR, Rig};
use super::seeds::for_seeds;
use crate::config::TopicConfig;
use crate::rt::sim::{FaultPlan, WriteFault};
use crate::rt::{blocking, random_u64, sleep};
use crate::storage::StorageError;

const JOURNAL_BYTES: u64 = 256 << 10;

/// A few segments, and small batches in the journal.
fn case(seed: u64, config: TopicConfig) -> Case {
    let config = TopicConfig {
        segment_bytes: 12 << 10,
        ..config
    };
    Case::new(seed, config).with_journal(JOURNAL_BYTES)
}

async fn append(rig: &mut Rig, count: u64) {
    for _ in 0..count {
        rig.append(600).await.expect("written");
    }
}

/// Somewhere in the log, mostly near its end.
fn random_cut(rig: &mut Rig) -> i64 {
    let (start, end) = (rig.log().log_start(), rig.log().written());
    let reach = if random_u64().is_multiple_of(3) {
        end - start
    } else {
        (end - start).min(12)
    };
    end - (random_u64() % (reach as u64 + 1)) as i64
}

async fn cut(rig: &mut Rig) -> Result<(), StorageError> {
    let offset = random_cut(rig);
    rig.truncate_to(offset);
    rig.settle().await
}

#[test] // Goal: a cut that is done is durable, with the default flush too, and what comes after it is as safe as ever.
fn a_cut_is_durable() {
    for_seeds("truncation", 120, |seed| {
        let mut case = case(seed, if seed % 3 == 0 { config() } else { flush_each() });
        let written = case
            .live(FaultPlan::none(), async |rig| {
                append(rig, 5 + seed % 60).await;
                cut(rig).await.expect("cut");
                rig.log().written()
            })
            .done();
        if seed % 2 == 0 {
            case.kill()
        } else {
            case.power_cut()
        }
        assert_eq!(case.check(), written);
        case.live(FaultPlan::none(), async |rig| append(rig, seed % 9).await)
            .done();
        case.kill();
        case.check();
    });
}

#[test] // Goal: a crash at any operation of a cut, or of the start that follows, leaves a log that has what was kept; another cut mends it.
fn a_crash_amid_a_cut_does_no_harm() {
    for_seeds("truncation", 400, |seed| {
        let mut case = case(seed, if seed % 3 == 0 { config() } else { flush_each() });
        case.live(FaultPlan::none(), async |rig| append(rig, 10 + seed % 50).await)
            .done();
        case.kill();
        case.live(FaultPlan::stop_at(20 + seed % 130), async |rig| {
            append(rig, 2).await;
            while cut(rig).await.is_ok() && append_some(rig).await.is_ok() {}
        });
        if seed % 2 == 0 {
            case.kill()
        } else {
            case.power_cut()
        }
        case.live(FaultPlan::stop_at(5 + seed % 60), async |rig| cut(rig).await);
        if seed % 4 < 2 {
            case.kill()
        } else {
            case.power_cut()
        }
        case.live(FaultPlan::none(), async |rig| {
            cut(rig).await.expect("cut");
            append(rig, 6).await;
        })
        .done();
        let written = case.written();
        case.kill();
        assert_eq!(case.check(), written);
    });
}

async fn append_some(rig: &mut Rig) -> Result<(), StorageError> {
    for _ in 0..random_u64() % 4 {
        rig.append(600).await?;
    }
    Ok(())
}

#[test] // Goal: batches that the journal has from before a cut never follow those that took their offsets.
fn the_journal_brings_nothing_back() {
    for_seeds("truncation", 120, |seed| {
        let mut case = case(seed, flush_each());
        replace_the_end(&mut case, seed);
        let written = case.written();
        if seed % 2 == 0 {
            case.kill()
        } else {
            case.power_cut()
        }
        assert_eq!(case.check(), written);
    });
}

/// Many batches through the journal, a cut, and fewer others in their place.
fn replace_the_end(case: &mut Case, seed: u64) {
    case.live(FaultPlan::none(), async |rig| {
        append(rig, 12).await;
        let end = rig.log().written();
        rig.truncate_to(end - 8);
        rig.settle().await.expect("cut");
        append(rig, seed % 3).await;
    })
    .done();
}

#[test] // Negative control: without the other life that a cut begins, what is gone comes back, and is noticed.
fn a_forgotten_life_is_noticed() {
    let is_red = |seed: u64| {
        let test = || {
            let mut case = case(seed, flush_each());
            replace_the_end(&mut case, seed);
            case.kill();
            case.world().run(async {
                let path = std::path::Path::new(LOG_DIR).join("t-0/journal-life");
                blocking::remove_file(&path).expect("there");
            });
            case.check();
        };
        catch_unwind(AssertUnwindSafe(test)).is_err()
    };
    assert!((0..30).any(is_red));
}

#[test] // Goal: a checkpoint from before a cut vouches for nothing that came after it, whatever a power cut takes.
fn a_checkpoint_from_before_vouches_for_nothing_behind() {
    for_seeds("truncation", 150, |seed| {
        let mut case = case(seed, config());
        case.live(FaultPlan::none(), async |rig| {
            append(rig, 60).await;
            sleep(Duration::from_secs(20)).await;
            rig.settle().await.expect("settled");
            rig.write_checkpoint(false).expect("written");
            let end = rig.log().written();
            rig.truncate_to(end / 8);
            rig.settle().await.expect("cut");
            // The machine stops while segments are filled, of which not all are sealed.
            for _ in 0..8 + seed % 30 {
                rig.stage(1500).expect("staged");
                rig.start_jobs();
                sleep(Duration::from_micros(random_u64() % 400)).await;
                rig.take_done().expect("written");
            }
        })
        .done();
        case.power_cut();
        case.check();
    });
}

#[test] // Goal: random lives that append, cut, roll, stop and crash at any moment, with write faults, keep every promise.
fn random_lives_with_cuts_keep_every_promise() {
    for_seeds("truncation", 600, |seed| {
        let mut case = case(seed, if seed % 2 == 0 { config() } else { flush_each() });
        for round in 0..1 + seed % 4 {
            let plan = random_plan(seed, round);
            case.live(plan, async |rig| {
                let _ = live(rig, 30).await;
            });
            if (seed >> round) % 2 == 0 {
                case.kill()
            } else {
                case.power_cut()
            }
        }
        case.check();
    });
}

fn random_plan(seed: u64, round: u64) -> FaultPlan {
    let number = seed / 7 + round;
    match (seed + round) % 7 {
        0 => FaultPlan::write(1 + number % 25, WriteFault::Tear),
        1 => FaultPlan::write(1 + number % 25, WriteFault::Eio),
        2 => FaultPlan::sync_fails(1 + number % 30),
        3 => FaultPlan::capacity((400 << 10) + (number % 64) * (4 << 10)),
        4 | 5 => FaultPlan::stop_at(10 + number % 250),
        _ => FaultPlan::none(),
    }
}

async fn live(rig: &mut Rig, actions: u64) -> Result<(), StorageError> {
    rig.mixes = true;
    for _ in 0..actions {
        match random_u64() % 12 {
            0..=4 => _ = rig.stage((random_u64() % 2500) as usize),
            5..=7 => rig.start_jobs(),
            8 => {
                let offset = random_cut(rig);
                rig.truncate_to(offset);
            }
            9 => rig.start_retention(),
            10 => _ = rig.write_checkpoint(false),
            _ => rig.settle().await?,
        }
        if random_u64().is_multiple_of(3) {
            sleep(Duration::from_micros(random_u64() % 1500)).await;
        }
        rig.take_done()?;
    }
    match random_u64() % 4 {
        0 => rig.close().await,
        _ => Ok(()),
    }
}
