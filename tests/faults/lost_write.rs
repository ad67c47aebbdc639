//! A write that was under way and never reached the device.

use super::case::{Case, config, flush_each};
use super::seeds::for_seeds;
use crate::rt::sim::{FaultPlan, WriteFault};

#[test] // Goal: the log ends exactly where the lost write began, and goes on from there.
fn lost_write_ends_the_log() {
    for_seeds("lost_write", 20, |seed| {
        for config in [config(), flush_each()] {
            let mut case = Case::new(seed, config);
            let plan = FaultPlan::write(4, WriteFault::Lose);
            case.live(plan, async |rig| {
                for _ in 0..6 {
                    let _ = rig.append(1500).await;
                }
            });
            let written = case.written();
            case.kill();
            assert_eq!(case.check(), written);
            case.live(FaultPlan::none(), async |rig| rig.append(5000).await)
                .done()
                .expect("written");
            case.kill();
            assert!(case.check() > written);
        }
    });
}

#[test] // Goal: a write that landed, but whose completion nobody saw, is found whole.
fn landed_write_is_found() {
    for_seeds("lost_write", 20, |seed| {
        let mut case = Case::new(seed, config());
        case.live(FaultPlan::write(4, WriteFault::Land), async |rig| {
            for _ in 0..6 {
                let _ = rig.append(1500).await;
            }
        });
        let written = case.written();
        case.kill();
        assert!(case.check() > written);
    });
}
