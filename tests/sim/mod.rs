//! A whole cluster in one thread, from one seed, in virtual time: brokers as they are, on simulated machines with disks of
//! their own, over a simulated network.
//!
//! Real is all that decides about records: storage, partitions, shards, the API of Fetch and the connections that serve it,
//! the followers' fetchers, the control thread's loop with `decide` and `apply`, heartbeats and leases; and with some
//! seeds the consensus of the controllers, which some brokers take no part in and only follow. Simulated are disk, network and
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
//! | ids | clients that ask for producer ids |
//! | faults | what goes wrong |
//! | plots | what goes wrong in a certain order, where only that order does harm |
//! | length | long runs and short ones |
//! | votes | a voter that comes back |
//! | watermarks | how soon a follower knows what readers may see |
//! | oracle | what was promised, and whether it was kept |
//!
//! Long runs go at a pace like that of a real cluster; short ones are quicker, and many. A failing run prints its history and
//! the line that repeats it; with `SIM_HISTORY` any run does. `SIM_SEEDS` says how many long runs are made, and ten times as
//! many short ones; `make sim` makes many.

mod cluster;
mod consensus;
mod faults;
mod ids;
mod length;
mod load;
mod names;
mod node;
mod oracle;
mod plots;
mod votes;
mod watermarks;

use std::collections::BTreeMap;
use std::env;
use std::ops::Range;
use std::panic::catch_unwind;

use cluster::{Cluster, TopicSpec};
use length::{Length, Run};

use crate::rt::sim::{FaultPlan, Rule, World, set_pace, switch_off};
use crate::rt::{self, sleep};

const LONG: u64 = 30;
/// In two tests, for as many cores.
const SHORT: u64 = 2_000;
const SHORT_PER_LONG: u64 = 10;
/// Within so many seeds the simulation notices that a rule is gone.
const RULES: [(Rule, Length, u64); 14] = [
    (Rule::EpochTruncation, Length::Short, 50),
    (Rule::MaximalIsr, Length::Short, 100),
    (Rule::HeldHighWatermark, Length::Short, 100),
    (Rule::ActiveMember, Length::Long, 50),
    (Rule::SameLife, Length::Long, 100),
    (Rule::RequestEpoch, Length::Long, 200),
    (Rule::UncleanEnd, Length::Short, 200),
    (Rule::Lease, Length::Short, 50),
    (Rule::SyncedLog, Length::Long, 50),
    (Rule::KeptVote, Length::Long, 100),
    (Rule::KeptSnapshot, Length::Long, 50),
    (Rule::CommitBase, Length::Long, 100),
    (Rule::CommitsFollow, Length::Long, 100),
    (Rule::Confirmation, Length::Long, 50),
];
/// What comes about in many runs, and is seen to.
const RARE: [&str; 14] = [
    "disk operations failed",
    "a log directory was offline",
    "a process ended by its disk",
    "a disk was lost",
    "a voter was removed",
    "who lost its disk was in sync again",
    "a leader was elected uncleanly, as its topic allows",
    "who led last was elected, since nobody has everything",
    "a disk was slow",
    "a network was slow",
    "a broker stopped in order in its turn",
    "all brokers were restarted in order",
    "producer ids were given",
    "a voter that was removed was added again",
];
/// From so many runs on.
const RARE_IS_SEEN_IN: usize = 500;

#[test] // Goal: whatever breaks: what is acknowledged stays, once and in its place, and the replicas become the same.
fn whatever_breaks_what_is_acknowledged_stays() {
    let seeds = number("SIM_SEEDS").unwrap_or(LONG);
    run_all("whatever_breaks_what", Length::Long, 0..seeds, [10, 20]);
}

#[test] // Goal: the same, in many short runs.
fn whatever_breaks_in_a_short_run_what_is_acknowledged_stays() {
    let seeds = short_seeds();
    run_all("whatever_breaks_in_a_short", Length::Short, 0..seeds / 2, [5, 5]);
}

#[test] // Goal: the same, in as many again.
fn whatever_breaks_in_another_short_run_what_is_acknowledged_stays() {
    let seeds = short_seeds();
    run_all("whatever_breaks_in_a_short", Length::Short, seeds / 2..seeds, [5, 5]);
}

fn short_seeds() -> u64 {
    number("SIM_SEEDS").map_or(SHORT, |long| long * SHORT_PER_LONG)
}

fn number(key: &str) -> Option<u64> {
    env::var(key).ok().and_then(|value| value.parse().ok())
}

/// Or one, if `SEED` says which. `least`: acknowledgements and answers for each.
fn run_all(test: &'static str, length: Length, seeds: Range<u64>, least: [usize; 2]) {
    let only = number("SEED");
    let seeds = only.map_or(seeds, |seed| seed..seed + 1);
    let count = (seeds.end - seeds.start) as usize;
    let (mut acks, mut answers) = (0, 0);
    let mut seen = BTreeMap::<_, usize>::new();
    for seed in seeds {
        let repeat = Repeat { test, seed };
        let outcome = run(seed, length, None);
        acks += outcome.acks;
        answers += outcome.answers;
        for (what, times) in outcome.seen {
            *seen.entry(what).or_default() += times;
        }
        std::mem::forget(repeat);
    }
    println!(
        "{acks} batches were acknowledged, and {answers} questions answered, in {count} runs of length {length:?}"
    );
    println!("{seen:?}");
    if only.is_none() {
        assert!(acks >= least[0] * count, "only {acks} batches were acknowledged");
        assert!(answers >= least[1] * count, "only {answers} questions were answered");
    }
    if count >= RARE_IS_SEEN_IN {
        let missed = RARE.iter().find(|what| !seen.contains_key(*what));
        assert!(missed.is_none(), "not seen: {missed:?}");
    }
}

#[test] // Goal: a seed gives the same run twice.
fn a_run_repeats() {
    for seed in [0, 1] {
        for length in [Length::Long, Length::Short] {
            assert_eq!(run(seed, length, None), run(seed, length, None));
        }
    }
}

#[test] // Goal: each rule is needed, and the simulation sees that.
#[ignore = "takes some minutes: make sim"]
fn a_rule_that_is_gone_is_noticed() {
    let only = env::var("SIM_RULE").ok();
    for (rule, length, seeds) in RULES {
        if only.as_ref().is_some_and(|only| *only != format!("{rule:?}")) {
            continue;
        }
        let is_noticed = |seed: &u64| catch_unwind(|| run(*seed, length, Some(rule))).is_err();
        let noticed = (0..seeds).find(is_noticed);
        println!("{rule:?}: noticed with seed {noticed:?}");
        assert!(noticed.is_some(), "{rule:?} is gone, and {seeds} runs do not notice");
    }
}

/// Prints how to repeat a run, if that run panics.
struct Repeat {
    test: &'static str,
    seed: u64,
}

impl Drop for Repeat {
    fn drop(&mut self) {
        eprintln!("SEED={} cargo test --lib sim::{} -- --nocapture", self.seed, self.test);
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
    /// How often what is rare has come about.
    seen: BTreeMap<&'static str, usize>,
}

fn run(seed: u64, length: Length, rule: Option<Rule>) -> Outcome {
    switch_off(rule);
    let run = Run::draw(seed, length, rule);
    set_pace(run.pace);
    World::new(run.world, FaultPlan::none()).run(async move {
        let cluster = Cluster::start(run.brokers, run.is_real, run.shape, rule).await;
        let topic = |name, partitions, is_unclean| TopicSpec {
            name,
            partitions,
            min_isr: if is_unclean { 1 } else { run.min_isr },
            flush_messages: run.flush_messages,
            is_unclean,
        };
        cluster.create(topic("kept", run.partitions, false)).await;
        cluster.create(topic("loose", 1, true)).await;
        rt::spawn(cluster.clone().watch());
        for number in 1..=3 {
            cluster.begin_client(load::produce(cluster.clone(), number));
        }
        cluster.begin_client(load::chatter(cluster.clone()));
        for node in &cluster.nodes {
            cluster.begin_client(load::consume(cluster.clone(), node.id));
            cluster.begin_client(names::ask(cluster.clone(), node.id));
            cluster.begin_client(ids::ask(cluster.clone(), node.id));
        }
        sleep(run.calm).await;
        rt::spawn(faults::torment(cluster.clone()));
        rt::spawn(plots::ambush(cluster.clone()));
        sleep(run.lasts).await;
        cluster.is_over.set(true);
        plots::over(&cluster).await;
        sleep(run.rests).await;
        cluster.heal().await;
        cluster.check().await;
        let oracle = cluster.oracle();
        let [allowed, last] = oracle.elected_uncleanly;
        cluster.saw_often("a leader was elected uncleanly, as its topic allows", allowed);
        cluster.saw_often("who led last was elected, since nobody has everything", last);
        Outcome {
            acks: oracle.acks(),
            answers: cluster.names.answered(),
            digest: oracle.history.digest(),
            seen: cluster.seen.take(),
        }
    })
}
