//! A disk that is full: batches are refused in good time, nothing that was acknowledged suffers, and it passes.

use std::time::Duration;

use super::case::{Case, config};
use super::rig::Rig;
use super::seeds::for_seeds;
use crate::rt::sim::FaultPlan;
use crate::rt::sleep;
use crate::storage::StageError;

const CAPACITY_BYTES: u64 = 400 << 10;
const TURNS: usize = 400;

/// Appends until the log refuses; whether it did.
async fn fill(rig: &mut Rig) -> bool {
    for _ in 0..TURNS {
        if let Err(StageError::DiskFull) = rig.stage(4000) {
            return true;
        }
        rig.start_jobs();
        sleep(Duration::from_millis(20)).await;
        rig.take_done().expect("a full disk is no failure");
    }
    false
}

#[test] // Goal: a full disk refuses batches, serves what it has, stays online, and a restart loses nothing.
fn full_disk_refuses_and_serves() {
    for_seeds("enospc", 10, |seed| {
        let mut case = Case::new(seed, config());
        case.live(FaultPlan::capacity(CAPACITY_BYTES), async |rig| {
            assert!(fill(rig).await, "the disk is never full");
            assert!(!rig.dir().is_offline());
            rig.read_all().await.expect("read");
        })
        .done();
        assert!(case.written() > 20);
        case.kill();
        case.check();
    });
}

#[test] // Goal: once there is space again and somebody says so, the log takes batches without a restart.
fn full_disk_comes_back() {
    for_seeds("enospc", 10, |seed| {
        let mut config = config();
        config.retention_bytes = 100 << 10;
        let mut case = Case::new(seed, config);
        case.live(FaultPlan::capacity(CAPACITY_BYTES), async |rig| {
            assert!(fill(rig).await, "the disk is never full");
            let before = rig.log().written();
            for _ in 0..TURNS {
                rig.start_retention();
                sleep(Duration::from_millis(20)).await;
                rig.take_done().expect("removed");
            }
            rig.check_space(16 << 10);
            assert!(!rig.dir().is_full());
            for _ in 0..100 {
                rig.start_jobs();
                sleep(Duration::from_millis(50)).await;
                rig.take_done().expect("prepared");
            }
            rig.append(4000).await.expect("written");
            assert!(rig.log().written() > before);
            rig.read_all().await.expect("read");
        })
        .done();
        case.kill();
        case.check();
    });
}
