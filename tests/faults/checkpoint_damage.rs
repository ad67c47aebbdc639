//! Checkpoints that are damaged, stale, or of another time than the log: they may cost time, never batches.

use super::case::{Case, config};
use super::rig::LOG_DIR;
use super::seeds::for_seeds;
use crate::rt::sim::FaultPlan;
use crate::rt::{Dir, sleep};
use std::path::Path;
use std::time::Duration;

const FILES: [&str; 6] = [
    "recovery-point-offset-checkpoint",
    "log-start-offset-checkpoint",
    "topic-id-checkpoint",
    "t-0/leader-epoch-checkpoint",
    "t-0/00000000000000000000.index",
    "t-0/00000000000000000000.timeindex",
];

#[test] // Goal: any of the small files may be cut short, emptied, overwritten or gone: the log is whole.
fn damaged_small_files_cost_no_batches() {
    for_seeds("checkpoint_damage", 40, |seed| {
        for (at, name) in FILES.into_iter().enumerate() {
            let mut case = Case::new(seed, config());
            case.live(FaultPlan::none(), async |rig| {
                for _ in 0..12 {
                    rig.append(5000).await.expect("written");
                    rig.next_epoch();
                }
                rig.write_checkpoint(false).expect("written");
                if seed % 2 == 0 {
                    rig.close().await.expect("closed");
                }
                damage(&Path::new(LOG_DIR).join(name), seed / 2 + at as u64).await;
            })
            .done();
            case.kill();
            case.check();
            case.power_cut();
            case.check();
        }
    });
}

async fn damage(path: &Path, how: u64) {
    let Ok(mut content) = Dir::read_file(path).await else {
        return;
    };
    match how % 4 {
        0 => return Dir::remove_file(path).await.expect("removed"),
        1 => content.truncate(content.len() / 2),
        2 => content.clear(),
        _ => content.fill(b'7'),
    }
    Dir::write_file(path, content).await.expect("written");
}

#[test] // Goal: a checkpoint that is older than the log, at any point of its writing, is good enough.
fn stale_checkpoints_are_good_enough() {
    for_seeds("checkpoint_damage", 60, |seed| {
        let mut case = Case::new(seed, config());
        case.live(FaultPlan::none(), async |rig| {
            for _ in 0..10 {
                rig.append(5000).await.expect("written");
            }
            rig.write_checkpoint(false).expect("written");
            sleep(Duration::from_secs(10)).await;
        })
        .done();
        case.kill();
        case.live(FaultPlan::stop_at(60 + seed), async |rig| {
            for _ in 0..20 {
                let _ = rig.append(5000).await;
                let _ = rig.write_checkpoint(false);
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
