//! Negative controls: on a disk that cannot be survived the checks must go red, or they are blind.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use super::case::{Case, config, flush_each};
use super::rig::LOG_DIR;
use crate::rt::sim::{FaultPlan, WriteFault};

const SEEDS: u64 = 20;

/// Whether the checks found something wrong.
fn is_red(test: impl Fn()) -> bool {
    catch_unwind(AssertUnwindSafe(test)).is_err()
}

#[test] // Goal: a device that acknowledges a write and drops it is found out.
fn lying_device_is_noticed() {
    for seed in 0..SEEDS {
        assert!(is_red(|| {
            let mut case = Case::new(seed, flush_each());
            case.live(FaultPlan::write(3, WriteFault::Lie), async |rig| {
                for _ in 0..3 {
                    rig.append(1000).await.expect("written");
                }
            })
            .done();
            case.power_cut();
            case.check();
        }));
    }
}

#[test] // Goal: promising durability for plain writes is found out: the disk does lose them.
fn unsynced_writes_are_noticed() {
    let red = (0..SEEDS).filter(|seed| {
        is_red(|| {
            let mut case = Case::new(*seed, config());
            case.live(FaultPlan::none(), async |rig| {
                rig.append(1000).await.expect("written");
            })
            .done();
            let written = case.written();
            case.model.borrow_mut().durable = written;
            case.power_cut();
            case.check();
        })
    });
    assert!(red.count() > SEEDS as usize / 3);
}

#[test] // Goal: a changed byte in a batch is found out, be it one that the checksum does not cover.
fn changed_batch_is_noticed() {
    let path = PathBuf::from(LOG_DIR).join("t-0/00000000000000000000.log");
    for position in [8, 12, 30, 500] {
        assert!(is_red(|| {
            let mut case = Case::new(1, config());
            case.live(FaultPlan::none(), async |rig| {
                rig.append(1000).await.expect("written");
            })
            .done();
            case.kill();
            case.world().flip_bit(&path, position, 3);
            case.check();
        }));
    }
}
