//! What is left when the power goes (architecture section 6: the table of what an acknowledgement means).

use std::cell::Cell;
use std::time::Duration;

use super::case::{Case, config, flush_each};
use super::seeds::for_seeds;
use crate::config::TopicConfig;
use crate::rt::sim::{FaultPlan, JOURNAL_MS};
use crate::rt::sleep;

/// Appends, cuts the power, and gives how many offsets were acknowledged and how many were left.
fn appended_and_left(seed: u64, config: TopicConfig, wait_ms: u64) -> (i64, i64) {
    let mut case = Case::new(seed, config);
    case.live(FaultPlan::none(), async |rig| {
        for _ in 0..10 {
            rig.append(1000).await.expect("written");
        }
        sleep(Duration::from_millis(wait_ms)).await;
    })
    .done();
    let written = case.written();
    case.power_cut();
    (written, case.check())
}

#[test] // Goal: with flush.messages=1 a power cut takes nothing that was acknowledged.
fn flush_each_message_loses_nothing() {
    for_seeds("power_cut", 40, |seed| {
        let (written, left) = appended_and_left(seed, flush_each(), 0);
        assert_eq!(left, written);
    });
}

#[test] // Goal: the default flush may lose the newest batches, and the simulated disk does take them; what is left is whole.
fn default_flush_may_lose_the_newest() {
    let lost = Cell::new(0);
    for_seeds("power_cut", 40, |seed| {
        let (written, left) = appended_and_left(seed, config(), 0);
        lost.set(lost.get() + i32::from(left < written));
    });
    assert!(
        lost.get() > 10,
        "only {} runs lost anything: the disk is too kind",
        lost.get()
    );
}

#[test] // Goal: a log that was killed, and recovered, keeps what it recovered at a power cut: recovery syncs.
fn recovered_log_is_durable() {
    for_seeds("power_cut", 40, |seed| {
        let mut case = Case::new(seed, config());
        case.live(FaultPlan::none(), async |rig| {
            for _ in 0..(seed % 12) {
                rig.append(5000).await.expect("written");
            }
        })
        .done();
        let written = case.written();
        case.kill();
        assert_eq!(case.check(), written);
        case.power_cut();
        assert_eq!(case.check(), written);
    });
}

#[test] // Goal: flush.messages=1 holds from the first batch after a restart on, whatever the process before it left undone.
fn flush_each_message_holds_after_a_restart() {
    for_seeds("power_cut", 60, |seed| {
        let mut case = Case::new(seed, flush_each());
        case.live(FaultPlan::stop_at(10 + seed / 2), async |rig| {
            let _ = rig.append(100).await;
        });
        case.kill();
        case.live(FaultPlan::none(), async |rig| {
            for _ in 0..3 {
                rig.append(1000).await.expect("written");
            }
        })
        .done();
        let written = case.written();
        case.power_cut();
        assert_eq!(case.check(), written);
    });
}

#[test] // Goal: a clean stop leaves everything durable, and the next start trusts it.
fn clean_stop_is_durable() {
    for_seeds("power_cut", 40, |seed| {
        let mut case = Case::new(seed, config());
        case.live(FaultPlan::none(), async |rig| {
            for _ in 0..(seed % 12) {
                rig.append(5000).await.expect("written");
            }
            rig.close().await.expect("closed");
        })
        .done();
        case.power_cut();
        let (clean, cut_bytes) = case
            .live(FaultPlan::none(), async |rig| (rig.found_clean, rig.cut_bytes))
            .done();
        assert!(clean);
        assert_eq!(cut_bytes, 0);
    });
}

#[test] // Goal: once the journal's timer has passed, the segments' bytes are durable with the default flush too.
fn default_flush_is_durable_after_a_while() {
    for_seeds("power_cut", 20, |seed| {
        let (written, left) = appended_and_left(seed, config(), JOURNAL_MS);
        assert_eq!(left, written);
    });
}
