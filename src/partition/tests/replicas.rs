//! Replicas against each other: random leaders, fetches, crashes and truncations.

use super::cluster::Cluster;
use crate::rt::blocking;
use crate::rt::sim::{FaultPlan, World};

const SEEDS: u64 = 150;
const STEPS: usize = 300;

/// Gives how much was promised.
fn run(seed: u64) -> usize {
    let mut world = World::new(seed, FaultPlan::none());
    world.run(async {
        for broker in 0..3 {
            blocking::create_dir_all(format!("/disk/{broker}").as_ref()).expect("made");
        }
        let flush_messages = if seed.is_multiple_of(3) { 1 } else { i64::MAX };
        let mut cluster = Cluster::new(flush_messages).await;
        for step in 0..STEPS {
            cluster.step().await;
            if step % 20 == 0 {
                cluster.check().await;
            }
        }
        cluster.heal().await;
        cluster.check().await;
        cluster.check_equal().await;
        cluster.promises()
    })
}

#[test] // Goal: whoever leads, falls behind, dies and comes back: what was acknowledged stays, and all replicas become the same.
fn what_is_acknowledged_stays() {
    let mut promises = 0;
    for seed in 0..SEEDS {
        println!("seed {seed}");
        promises += run(seed);
    }
    assert!(promises > 5 * SEEDS as usize, "only {promises} were promised");
}
