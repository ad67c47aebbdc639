//! Small batches in the journal: what is acknowledged there is as safe as in the segment, at every crash in between.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::case::{Case, config, flush_each};
use super::rig::Rig;
use super::seeds::for_seeds;
use crate::config::TopicConfig;
use crate::rt::sim::{FaultPlan, WriteFault};

const JOURNAL_BYTES: u64 = 256 << 10;
/// Direct writes that a new journal takes: its zeros.
const ZERO_WRITES: u64 = 1;

fn case(seed: u64, config: TopicConfig) -> Case {
    Case::new(seed, config).with_journal(JOURNAL_BYTES)
}

/// Appends one after the other, each acknowledged.
async fn append(rig: &mut Rig, count: u64) {
    for _ in 0..count {
        rig.append(500).await.expect("written");
    }
}

#[test] // Goal: what only the journal has survives a kill and, with flush.messages=1, a power cut; another kill changes nothing.
fn journaled_batches_survive() {
    for_seeds("journal", 60, |seed| {
        let mut case = case(seed, flush_each());
        let (placed, written) = case
            .live(FaultPlan::none(), async |rig| {
                append(rig, 1 + seed % 30).await;
                (rig.log().placed(), rig.log().written())
            })
            .done();
        assert!(placed < written, "nothing went to the journal");
        if seed % 2 == 0 {
            case.kill()
        } else {
            case.power_cut()
        }
        assert_eq!(case.check(), written);
        case.kill();
        assert_eq!(case.check(), written);
        case.power_cut();
        assert_eq!(case.check(), written);
    });
}

#[test] // Goal: written space lasts, so a power cut takes nothing of what the journal has with the default flush either.
fn journaled_batches_last_with_the_default_flush() {
    for_seeds("journal", 40, |seed| {
        let mut case = case(seed, config());
        case.live(FaultPlan::none(), async |rig| append(rig, 1 + seed % 20).await)
            .done();
        let written = case.written();
        case.power_cut();
        assert_eq!(case.check(), written);
    });
}

#[test] // Goal: the write of a frame that is torn, lost or lands unseen takes nothing that was acknowledged before it.
fn torn_frames_take_nothing_else() {
    for_seeds("journal", 90, |seed| {
        let fault = [WriteFault::Tear, WriteFault::Lose, WriteFault::Land][(seed % 3) as usize];
        let mut case = case(seed, flush_each());
        let plan = FaultPlan::write(ZERO_WRITES + 1 + seed / 9, fault);
        case.live(plan, async |rig| append(rig, 40).await);
        let written = case.written();
        if seed % 2 == 0 {
            case.kill()
        } else {
            case.power_cut()
        }
        assert!(case.check() >= written);
        case.live(FaultPlan::none(), async |rig| append(rig, 5).await).done();
        let written = case.written();
        case.power_cut();
        assert_eq!(case.check(), written);
    });
}

#[test] // Goal: a crash at any operation, be it of the recovery from the crash before, loses nothing.
fn a_crash_at_any_moment_loses_nothing() {
    for_seeds("journal", 200, |seed| {
        let mut case = case(seed, flush_each());
        for stop_at in [40 + seed, 3 + seed % 50, 20 + seed % 90] {
            case.live(
                FaultPlan::stop_at(stop_at),
                async |rig| {
                    while rig.append(900).await.is_ok() {}
                },
            );
            if seed % 2 == 0 { case.kill() } else { case.power_cut() }
        }
        case.check();
    });
}

#[test] // Goal: a log whose journal cannot be written acknowledges nothing more.
fn a_failed_frame_takes_the_directory_offline() {
    for_seeds("journal", 20, |seed| {
        let mut case = case(seed, flush_each());
        case.live(FaultPlan::write(ZERO_WRITES + 3, WriteFault::Eio), async |rig| {
            append(rig, 2).await;
            assert!(rig.append(500).await.is_err());
            assert!(rig.dir().is_offline());
        })
        .done();
        case.kill();
        assert!(case.check() >= case.written());
    });
}

#[test] // Goal: the ring is used again and again while the log is written in good pieces.
fn the_ring_goes_round() {
    let mut case = Case::new(1, flush_each()).with_journal(64 << 10);
    case.live(FaultPlan::none(), async |rig| append(rig, 400).await).done();
    let written = case.written();
    case.power_cut();
    assert_eq!(case.check(), written);
}

#[test] // Goal: a clean stop leaves everything in the segments and no journal.
fn a_clean_stop_leaves_no_journal() {
    for_seeds("journal", 20, |seed| {
        let mut case = case(seed, config());
        case.live(FaultPlan::none(), async |rig| {
            append(rig, seed).await;
            rig.close().await.expect("closed");
        })
        .done();
        assert!(!has_journal(&mut case));
        case.power_cut();
        let (clean, cut_bytes) = case
            .live(FaultPlan::none(), async |rig| (rig.found_clean, rig.cut_bytes))
            .done();
        assert!(clean);
        assert_eq!(cut_bytes, 0);
    });
}

#[test] // Goal: what does not follow the log's end is dropped, once and for all: it never follows other batches later.
fn batches_behind_a_gap_never_come_back() {
    let gaps = Cell::new(0);
    for_seeds("journal", 80, |seed| {
        // Large ones go to the segment, and with the default flush a power cut may take them.
        let config = TopicConfig {
            segment_bytes: 1 << 20,
            ..config()
        };
        let mut case = case(seed, config);
        case.live(FaultPlan::none(), async |rig| {
            append(rig, 3).await;
            rig.append(40_000).await.expect("written");
            append(rig, 3).await;
        })
        .done();
        let written = case.written();
        case.power_cut();
        let left = case.check();
        gaps.set(gaps.get() + i32::from(left < written));
        // Another batch of as many records where the lost one was; its successors must not follow it.
        case.kill();
        case.live(FaultPlan::stop_at(60), async |rig| {
            while rig.log().written() < written && rig.append(100).await.is_ok() {}
        });
        case.kill();
        case.check();
    });
    assert!(gaps.get() > 10, "only {} runs had a gap", gaps.get());
}

#[test] // Negative control: a journal that is not looked through is missed.
fn a_lost_journal_is_noticed() {
    let is_red = |seed: u64| {
        let test = || {
            let mut case = case(seed, flush_each());
            case.live(FaultPlan::none(), async |rig| append(rig, 5).await).done();
            case.kill();
            remove_journal(&mut case);
            case.check();
        };
        catch_unwind(AssertUnwindSafe(test)).is_err()
    };
    assert!((0..10).all(is_red));
}

#[test] // Negative control: a device that acknowledges a frame and drops it is found out.
fn a_lying_device_is_noticed() {
    let is_red = |seed: u64| {
        let test = || {
            let mut case = case(seed, flush_each());
            let plan = FaultPlan::write(ZERO_WRITES + 2, WriteFault::Lie);
            case.live(plan, async |rig| append(rig, 3).await).done();
            case.kill();
            case.check();
        };
        catch_unwind(AssertUnwindSafe(test)).is_err()
    };
    assert!((0..10).all(is_red));
}

fn has_journal(case: &mut Case) -> bool {
    !journals(case).is_empty()
}

fn remove_journal(case: &mut Case) {
    let names = journals(case);
    assert!(!names.is_empty());
    case.world().run(async {
        for name in names {
            crate::rt::blocking::remove_file(&std::path::Path::new(super::rig::LOG_DIR).join(name)).expect("removed");
        }
    });
}

fn journals(case: &mut Case) -> Vec<String> {
    case.world().run(async {
        let names = crate::rt::blocking::list_dir(super::rig::LOG_DIR.as_ref()).expect("listed");
        let names = names.into_iter().map(|(name, _)| name);
        names.filter(|name| name.starts_with(".corelane-journal-")).collect()
    })
}
