//! A whole cluster in one thread, from one seed, in virtual time: brokers as they are, on simulated machines with disks of
//! their own, over a simulated network.
//!
//! Real is all that decides about records: storage, partitions, shards, the API of Fetch and the connections that serve it,
//! the followers' fetchers, the control thread's loop with `decide` and `apply`, heartbeats and leases; and with every other
//! seed the consensus of the controllers, which some brokers take no part in and only follow. Simulated are disk, network and
//! clock, and with the other seeds the consensus: one log, seen late, by the nodes that reach it, which is held up in ways
//! that the real one seldom is.
//!
//! | file | what |
//! |---|---|
//! | node | one broker on its machine: its start and its ends |
//! | consensus | what the controllers agree by, and whether all are given the same |
//! | cluster | the brokers and topics; how all comes together at the end |
//! | load | producers and consumers |
//! | names | clients of the controller, and whether their answers have an order |
//! | faults | what goes wrong |
//! | plots | what goes wrong in a certain order, where only that order does harm |
//! | oracle | what was promised, and whether it was kept |
//!
//! A failing run prints its history and the line that repeats it; with `SIM_HISTORY` any run does. `SIM_SEEDS` says how many
//! seeds are run, `make sim` runs many.

mod cluster;
mod consensus;
mod faults;
mod load;
mod names;
mod node;
mod oracle;
mod plots;

use std::env;
use std::panic::catch_unwind;
use std::time::Duration;

use cluster::{Cluster, TopicSpec};
use node::Shape;

use crate::metadata::engine::Keeping;
use crate::rt::sim::{FaultPlan, Rng, Rule, World, switch_off};
use crate::rt::{self, sleep};

const SEEDS: u64 = 30;
/// Within so many seeds the simulation notices that a rule is gone. (`SameLife` alone is not noticed within 50.)
const RULES: [(Rule, u64); 13] = [
    (Rule::EpochTruncation, 50),
    (Rule::MaximalIsr, 100),
    (Rule::HeldHighWatermark, 50),
    (Rule::ActiveMember, 50),
    (Rule::RequestEpoch, 400),
    (Rule::UncleanEnd, 50),
    (Rule::Lease, 50),
    (Rule::SyncedLog, 50),
    (Rule::KeptVote, 100),
    (Rule::KeptSnapshot, 50),
    (Rule::CommitBase, 100),
    (Rule::CommitsFollow, 100),
    (Rule::Confirmation, 50),
];

#[test] // Goal: whatever breaks: what is acknowledged stays, once and in its place, and the replicas become the same.
fn whatever_breaks_what_is_acknowledged_stays() {
    let number = |key| env::var(key).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SIM_SEEDS").unwrap_or(SEEDS),
    };
    let (mut acks, mut answers) = (0, 0);
    let count = (seeds.end - seeds.start) as usize;
    for seed in seeds {
        let repeat = Repeat(seed);
        let outcome = run(seed, None);
        acks += outcome.acks;
        answers += outcome.answers;
        std::mem::forget(repeat);
    }
    println!("{acks} batches were acknowledged, and {answers} questions answered, in {count} runs");
    assert!(acks >= 10 * count, "only {acks} batches were acknowledged");
    assert!(answers >= 20 * count, "only {answers} questions were answered");
}

#[test] // Goal: a seed gives the same run twice.
fn a_run_repeats() {
    for seed in [0, 1] {
        assert_eq!(run(seed, None), run(seed, None));
    }
}

#[test] // Goal: each rule is needed, and the simulation sees that.
#[ignore = "takes some minutes: make sim"]
fn a_rule_that_is_gone_is_noticed() {
    let only = env::var("SIM_RULE").ok();
    for (rule, seeds) in RULES {
        if only.as_ref().is_some_and(|only| *only != format!("{rule:?}")) {
            continue;
        }
        let is_noticed = |seed: &u64| catch_unwind(|| run(*seed, Some(rule))).is_err();
        let noticed = (0..seeds).find(is_noticed);
        println!("{rule:?}: noticed with seed {noticed:?}");
        assert!(noticed.is_some(), "{rule:?} is gone, and {seeds} runs do not notice");
    }
}

/// Prints how to repeat a run, if that run panics.
struct Repeat(u64);

impl Drop for Repeat {
    fn drop(&mut self) {
        eprintln!("SEED={} cargo test --lib sim::whatever -- --nocapture", self.0);
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    /// Batches that were acknowledged.
    acks: usize,
    /// Questions to the controller that were answered.
    answers: usize,
    /// Of all that happened.
    digest: u32,
}

fn run(seed: u64, rule: Option<Rule>) -> Outcome {
    switch_off(rule);
    let mut rng = Rng::new(seed);
    let brokers = [3, 3, 4, 5][rng.below(4) as usize];
    let shards = [1, 1, 1, 2][rng.below(4) as usize];
    let flush_messages = [1, i64::MAX][rng.below(2) as usize];
    let min_isr = [2, 2, 2, 1][rng.below(4) as usize];
    let lasts = Duration::from_secs(15 + rng.below(25));
    let is_real = match rule {
        None => !seed.is_multiple_of(2),
        Some(rule) => rule.is_of_consensus(),
    };
    let keeping = match rng.below(2) {
        0 => Keeping::default(),
        _ => Keeping {
            per_snapshot: 10 + rng.below(40),
            kept: rng.below(10),
            at_hand: 1 + rng.below(10) as usize,
        },
    };
    let voters = match is_real && brokers > 3 && rng.below(3) > 0 {
        true => 3,
        false => brokers as usize,
    };
    let shape = Shape {
        shards,
        voters,
        keeping,
    };
    World::new(rng.draw(), FaultPlan::none()).run(async move {
        let cluster = Cluster::start(brokers, is_real, shape, rule).await;
        let topic = |name, partitions, is_unclean| TopicSpec {
            name,
            partitions,
            min_isr: if is_unclean { 1 } else { min_isr },
            flush_messages,
            is_unclean,
        };
        cluster.create(topic("kept", 2, false)).await;
        cluster.create(topic("loose", 1, true)).await;
        rt::spawn(cluster.clone().watch());
        for number in 1..=3 {
            rt::spawn(load::produce(cluster.clone(), number));
        }
        rt::spawn(load::chatter(cluster.clone()));
        for node in &cluster.nodes {
            rt::spawn(load::consume(cluster.clone(), node.id));
            rt::spawn(names::ask(cluster.clone(), node.id));
        }
        sleep(Duration::from_secs(1)).await;
        rt::spawn(faults::torment(cluster.clone()));
        rt::spawn(plots::ambush(cluster.clone()));
        sleep(lasts).await;
        cluster.is_over.set(true);
        plots::over(&cluster).await;
        // The brokers that are away come back, and the last answers come.
        sleep(Duration::from_secs(16)).await;
        cluster.heal().await;
        cluster.check().await;
        let oracle = cluster.oracle();
        Outcome {
            acks: oracle.acks(),
            answers: cluster.names.answered(),
            digest: oracle.history.digest(),
        }
    })
}
