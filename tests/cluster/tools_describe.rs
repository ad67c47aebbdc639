//! What our kafka-topics shows of a cluster that misses brokers; in the end beside Kafka's own, which must say the same.

use std::collections::BTreeSet;

use super::Cluster;
use super::roles::Split;
use super::tools_partitions::{create, kafkas, ours};
use crate::support::wait_until;

/// The flags that choose partitions by their state.
const FLAGS: [&str; 4] = [
    "under-replicated-partitions",
    "at-min-isr-partitions",
    "under-min-isr-partitions",
    "unavailable-partitions",
];

/// The controllers are nodes of their own, so that two brokers of three may be missed.
#[test]
fn partitions_are_chosen_by_what_they_lack() {
    let mut split = Split::start();
    let cluster = &mut split.cluster;
    create(cluster, "--topic full --replica-assignment 1:2:3");
    create(cluster, "--topic near --replica-assignment 1:2");
    create(cluster, "--topic far --replica-assignment 2:3");
    create(
        cluster,
        "--topic lonely --replica-assignment 3 --config min.insync.replicas=1",
    );
    create(
        cluster,
        "--topic single --replica-assignment 1 --config min.insync.replicas=1",
    );
    for (topic, replicas) in [("full", 3), ("near", 2), ("far", 2), ("lonely", 1)] {
        wait_until("all replicas are in sync", || cluster.in_sync(0, Some(topic), replicas));
    }
    assert_chosen(cluster, [&[], &["far", "lonely", "near", "single"], &[], &[]]);

    cluster.nodes[2].kill_9();
    wait_until("it is missed", || has_nothing(cluster, 3));
    let under_replicated = ["far", "full", "lonely"];
    let at_min_isr = ["full", "near", "single"];
    assert_chosen(
        cluster,
        [&under_replicated, &at_min_isr, &["far", "lonely"], &["lonely"]],
    );

    cluster.nodes[1].kill_9();
    wait_until("the second is missed", || has_nothing(cluster, 2));
    let lacking = ["far", "full", "lonely", "near"];
    assert_chosen(cluster, [&lacking, &["single"], &lacking, &["far", "lonely"]]);
    assert_kafkas_shows_the_same(cluster);
}

/// It leads nothing and is in no ISR, as the first broker sees it.
fn has_nothing(cluster: &Cluster, broker: i32) -> bool {
    let partitions = cluster.replicas_in_sync(0, None);
    let misses = |(leader, isr): &(i32, Vec<i32>)| *leader != broker && !isr.contains(&broker);
    !partitions.is_empty() && partitions.iter().all(misses)
}

/// The topics, of one partition each, that each of the flags shows.
fn assert_chosen(cluster: &Cluster, expected: [&[&str]; 4]) {
    for (flag, expected) in FLAGS.into_iter().zip(expected) {
        let said = ours(cluster, "topics", &format!("--describe --{flag}"));
        let topic = |line: &str| {
            line.trim()
                .strip_prefix("Topic: ")?
                .split_whitespace()
                .next()
                .map(str::to_owned)
        };
        let shown: Option<BTreeSet<String>> = said.lines().map(topic).collect();
        let shown = shown.unwrap_or_else(|| panic!("{said}"));
        assert!(shown.iter().eq(expected.iter().copied()), "{flag}: {said}");
    }
}

fn assert_kafkas_shows_the_same(cluster: &Cluster) {
    // It has them in no order.
    let lines = |said: String| said.lines().map(str::to_owned).collect::<BTreeSet<String>>();
    for flag in FLAGS {
        let arguments = format!("--describe --{flag}");
        let said = ours(cluster, "topics", &arguments);
        assert_eq!(
            lines(said),
            lines(kafkas(cluster, "TopicCommand", &arguments)),
            "{flag}"
        );
    }
}
