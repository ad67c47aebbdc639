//! A write that fails: what the disk holds is not known then, so the log directory goes offline until a restart reads it.

use super::case::{Case, config, flush_each};
use super::seeds::for_seeds;
use crate::rt::sim::{FaultPlan, WriteFault};
use crate::storage::StageError;

#[test] // Goal: a failed write acknowledges nothing, takes the directory offline, and costs nothing that was acknowledged.
fn failed_write_takes_the_directory_offline() {
    for_seeds("eio_on_write", 40, |seed| {
        let is_synced = seed % 4 >= 2;
        let mut case = Case::new(seed, if is_synced { flush_each() } else { config() });
        // The first of the fourth batch: unless it is synced, a block that is written already is one of its own.
        let fourth = if is_synced { 4 } else { 6 };
        case.live(FaultPlan::write(fourth, WriteFault::Eio), async |rig| {
            for _ in 0..3 {
                rig.append(3000).await.expect("written");
            }
            let written = rig.log().written();
            assert!(rig.append(3000).await.is_err());
            assert_eq!(rig.log().written(), written);
            assert!(rig.dir().is_offline());
            assert!(matches!(rig.stage(100), Err(StageError::Offline)));
        })
        .done();
        if seed % 2 == 0 {
            case.kill()
        } else {
            case.power_cut()
        }
        case.check();
        case.live(FaultPlan::none(), async |rig| rig.append(100).await)
            .done()
            .expect("goes on");
    });
}
