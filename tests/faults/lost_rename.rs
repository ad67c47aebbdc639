//! Names that a power cut undoes: new segments, deleted ones, replaced checkpoints.

use std::time::Duration;

use super::case::{Case, config, flush_each};
use super::seeds::for_seeds;
use crate::rt::sim::FaultPlan;
use crate::rt::sleep;

#[test] // Goal: a new segment whose name is lost takes nothing with it that was promised.
fn lost_segment_name_costs_no_promise() {
    for_seeds("lost_rename", 60, |seed| {
        let mut case = Case::new(seed, if seed % 2 == 0 { config() } else { flush_each() });
        case.live(FaultPlan::none(), async |rig| {
            for _ in 0..(3 + seed % 20) {
                rig.append(5000).await.expect("written");
            }
        })
        .done();
        case.power_cut();
        case.check();
    });
}

#[test] // Goal: deleted segments that come back, or whose renames stop half-way, leave a whole log.
fn half_deleted_segments_leave_a_whole_log() {
    for_seeds("lost_rename", 120, |seed| {
        let mut config = config();
        config.retention_bytes = 40 << 10;
        let mut case = Case::new(seed, config);
        case.live(FaultPlan::none(), async |rig| {
            for _ in 0..30 {
                rig.append(5000).await.expect("written");
            }
            rig.write_checkpoint(false).expect("written");
        })
        .done();
        case.kill();
        case.live(FaultPlan::stop_at(20 + seed / 2), async |rig| {
            for _ in 0..10 {
                rig.start_retention();
                sleep(Duration::from_millis(10)).await;
                let _ = rig.take_done();
            }
        });
        if seed % 2 == 0 {
            case.kill()
        } else {
            case.power_cut()
        }
        case.check();
        case.power_cut();
        case.check();
    });
}
