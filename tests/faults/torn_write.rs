//! Writes of which a crash lets only a part through.

use super::case::{Case, config, flush_each};
use super::seeds::for_seeds;
use crate::rt::sim::{FaultPlan, WriteFault};

#[test] // Goal: a torn write of the tail block costs nothing that was written before it, killed or without power.
fn torn_tail_is_cut_at_the_last_good_batch() {
    for_seeds("torn_write", 40, |seed| {
        let mut case = Case::new(seed, flush_each());
        let nth = 1 + seed % 5;
        let plan = FaultPlan::write(nth, WriteFault::Tear);
        case.live(plan, async |rig| {
            for _ in 0..5 {
                let _ = rig.append(700).await;
            }
        });
        let written = case.written();
        if seed % 2 == 0 {
            case.kill()
        } else {
            case.power_cut()
        }
        assert!(case.check() >= written);
        let end = case.live(FaultPlan::none(), async |rig| rig.append(300).await).done();
        assert!(end.is_ok(), "the log goes on");
        case.kill();
        case.check();
    });
}

#[test] // Goal: a torn write of many blocks is found out although its first block is whole: the batch fails its checksum.
fn torn_batch_is_not_served() {
    let cut = std::cell::Cell::new(0);
    for_seeds("torn_write", 40, |seed| {
        let mut case = Case::new(seed, config());
        let plan = FaultPlan::write(3, WriteFault::Tear);
        case.live(plan, async |rig| {
            for _ in 0..3 {
                let _ = rig.append(12_000).await;
            }
        });
        case.kill();
        let bytes = case.live(FaultPlan::none(), async |rig| rig.cut_bytes).done();
        cut.set(cut.get() + bytes);
    });
    assert!(cut.get() > 0, "no batch was torn: the disk is too kind");
}
