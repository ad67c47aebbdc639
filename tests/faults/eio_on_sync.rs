//! A sync that fails: nothing new may count as durable, and it is not tried again.

use super::case::{Case, config, flush_each};
use super::seeds::for_seeds;
use crate::rt::sim::FaultPlan;

#[test] // Goal: whichever sync fails, nothing is promised that a power cut then takes.
fn failed_sync_promises_nothing() {
    let failures = std::cell::Cell::new(0);
    for_seeds("eio_on_sync", 120, |seed| {
        let mut case = Case::new(seed, if seed % 2 == 0 { config() } else { flush_each() });
        case.live(FaultPlan::none(), async |rig| rig.append(1000).await)
            .done()
            .expect("written");
        case.kill();
        case.check();
        case.kill();
        let nth = 1 + seed / 2 % 30;
        case.live(FaultPlan::sync_fails(nth), async |rig| {
            for _ in 0..30 {
                if rig.append(3000).await.is_err() {
                    failures.set(failures.get() + 1);
                    assert!(rig.dir().is_offline());
                    break;
                }
            }
        });
        case.power_cut();
        case.check();
    });
    assert!(failures.get() > 0, "no sync failed");
}
