//! Writes that overtake each other: a later one lands, an earlier one does not.

use std::time::Duration;

use super::case::{Case, config};
use super::seeds::for_seeds;
use crate::rt::sim::{FaultPlan, WriteFault};
use crate::rt::sleep;

#[test] // Goal: a log never has two writes under way, so that no later batch can be there without an earlier one.
fn no_write_overtakes_the_one_before() {
    for_seeds("reordered", 20, |seed| {
        let mut case = Case::new(seed, config());
        let plan = FaultPlan::write(2, WriteFault::Lose).and_write(3, WriteFault::Land);
        case.live(plan, async |rig| {
            for _ in 0..8 {
                rig.stage(3000).expect("staged");
                rig.start_jobs();
                sleep(Duration::from_millis(2)).await;
                rig.take_done().expect("no error");
            }
        })
        .done();
        let written = case.written();
        case.kill();
        assert_eq!(
            case.check(),
            written,
            "the third write went out before the second was done"
        );
    });
}

#[test] // Goal: blocks of one large write that reach the device in any order never make a log with a hole.
fn blocks_of_a_write_land_in_any_order() {
    for_seeds("reordered", 60, |seed| {
        let mut case = Case::new(seed, config());
        case.live(FaultPlan::write(1 + seed % 3, WriteFault::Tear), async |rig| {
            for _ in 0..3 {
                for _ in 0..6 {
                    rig.stage(3000).expect("staged");
                }
                let _ = rig.settle().await;
            }
        });
        if seed % 2 == 0 {
            case.kill()
        } else {
            case.power_cut()
        }
        case.check();
    });
}
