//! What a scrape holds.

use std::time::Duration;

use super::*;
use crate::admin::testing;
use crate::metrics::{Elections, PartitionCells, QuorumRole, QuorumView, TopicCells};
use crate::model::ShardId;

fn position(end: i64) -> LogPosition {
    LogPosition {
        log_start: 3,
        high_watermark: end,
        log_end: end,
        size_bytes: 4096,
        lag: 0,
    }
}

/// A partition has its samples once it is served, under kafka_exporter's and Kafka's names.
#[test]
fn served_partitions_are_exported() {
    let (sources, _) = testing::sources(&[("a", 2)]);
    let image = sources.image().expect("published");
    let topic = image.topic("a").expect("created").id;
    let id = PartitionId { topic, index: 1 };
    let cells = PartitionCells::new(ShardId(0), "/x".into(), position(10));
    let _entry = sources.registry.partitions().enter(id, cells);
    let text = text(&sources);
    for sample in [
        "kafka_topic_partition_current_offset{partition=\"1\",topic=\"a\"} 10\n",
        "kafka_topic_partition_oldest_offset{partition=\"1\",topic=\"a\"} 3\n",
        "kafka_topic_partition_leader{partition=\"1\",topic=\"a\"} 1\n",
        "kafka_topic_partition_under_replicated_partition{partition=\"1\",topic=\"a\"} 0\n",
        "kafka_log_log_size{partition=\"1\",topic=\"a\"} 4096\n",
        "kafka_topic_partitions{topic=\"a\"} 2\n",
        "kafka_brokers 1\n",
    ] {
        assert!(text.contains(sample), "{sample}");
    }
    assert!(!text.contains("partition=\"0\""));
}

#[test]
fn settings_of_the_machine_are_exported() {
    let (sources, _) = testing::sources(&[]);
    let found = crate::tuning::check(crate::tuning::Profile::Prod, &sources.config.log_dirs);
    let count = found.len();
    let _ = sources.settings.set(found);
    let text = text(&sources);
    assert!(
        text.contains("corelane_tuning_check{id=\"swappiness\",status=\""),
        "{text}"
    );
    assert_eq!(text.matches("\ncorelane_tuning_check{").count(), count);
}

/// Where the quorum stands is shown by its nodes, under Kafka's names; a node that keeps its metadata alone has none.
#[test]
fn the_quorum_is_exported_where_there_is_one() {
    let (sources, _) = testing::sources(&[]);
    assert!(!text(&sources).contains("raftmetrics"));
    let control = sources.registry.control();
    control.set_quorum(QuorumView {
        role: QuorumRole::Follower,
        leader: None,
        epoch: 7,
        high_watermark: 20,
        log_end: 22,
    });
    control.on_commit(Duration::from_millis(1_500));
    control.on_elections(Elections {
        all: 9,
        unclean: 2,
        eligible: 1,
    });
    control.on_stranger();
    let text = text(&sources);
    for sample in [
        "kafka_server_raftmetrics_current_state{current_state=\"follower\"} 1\n",
        "kafka_server_raftmetrics_current_leader -1\n",
        "kafka_server_raftmetrics_current_epoch 7\n",
        "kafka_server_raftmetrics_high_watermark 20\n",
        "kafka_server_raftmetrics_log_end_offset 22\n",
        "corelane_metadata_commit_seconds_sum 1.5\n",
        "corelane_metadata_commit_seconds_count 1\n",
        "kafka_controller_controllerstats_leaderelectionrateandtimems_count 9\n",
        "kafka_controller_controllerstats_uncleanleaderelections_total 2\n",
        "kafka_controller_controllerstats_electionfromeligibleleaderreplicas_total 1\n",
        "corelane_controller_listener_refused_total 1\n",
        "kafka_server_replicafetchermanager_maxlag 0\n",
    ] {
        assert!(text.contains(sample), "{sample}");
    }
}

/// Beyond the limit partitions are counted and left out.
#[test]
fn the_number_of_series_is_bounded() {
    let (sources, _) = testing::sources(&[("a", 5)]);
    let image = sources.image().expect("published");
    let topic = image.topic("a").expect("created").id;
    let _entries: Vec<_> = (0..5)
        .map(|index| {
            let cells = PartitionCells::new(ShardId(0), "/x".into(), position(1));
            sources.registry.partitions().enter(PartitionId { topic, index }, cells)
        })
        .collect();
    let (shown, left_out) = rows(&sources, &image, &served(&sources), 2);
    assert_eq!((shown.len(), left_out), (2, 3));
}

/// Traffic is shown per topic beside the broker's total, and not of a topic that is gone.
#[test]
fn topics_have_their_traffic() {
    let (sources, _) = testing::sources(&[("a", 1)]);
    let topic = sources.image().expect("published").topic("a").expect("created").id;
    let topics = sources.registry.topics();
    let entries = [(topic, 0), (topic, 1), (crate::model::TopicId([9; 16]), 0)]
        .map(|(id, shard)| topics.enter((id, ShardId(shard)), TopicCells::default()));
    entries.iter().for_each(|entry| entry.on_produced(100, 2));
    let text = text(&sources);
    assert!(text.contains("kafka_server_brokertopicmetrics_messagesin_total{topic=\"a\"} 4\n"));
    assert!(text.contains("kafka_server_brokertopicmetrics_bytesin_total 0\n"));
    assert_eq!(text.matches("brokertopicmetrics_bytesin_total{").count(), 1);
}

/// No family appears twice, and every sample follows the head of its own.
#[test]
fn families_are_whole() {
    let (sources, _) = testing::sources(&[("a", 1)]);
    let text = text(&sources);
    let mut families = std::collections::BTreeSet::new();
    let mut current = "";
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# HELP ") {
            current = head.split(' ').next().unwrap_or_default();
            assert!(families.insert(current), "{current} comes twice");
        } else if !line.starts_with('#') {
            assert!(line.starts_with(current), "{line} stands under {current}");
        }
    }
    assert!(families.len() > 60);
}

/// A scrape of many partitions costs the admin thread no more CPU time than a scrape's interval can bear. A build without
/// optimisation has a limit of its own.
#[test]
fn a_scrape_of_ten_thousand_partitions_is_cheap() {
    const PARTITIONS: i32 = 10_000;
    let (sources, _) = testing::sources(&[("a-topic-of-an-ordinary-name", PARTITIONS)]);
    let image = sources.image().expect("published");
    let topic = image.topics.values().next().expect("created").id;
    let _entries: Vec<_> = (0..PARTITIONS)
        .map(|index| {
            let cells = PartitionCells::new(ShardId(0), "/x".into(), position(123_456_789));
            sources.registry.partitions().enter(PartitionId { topic, index }, cells)
        })
        .collect();
    let limit_ms = if cfg!(debug_assertions) { 400 } else { 100 };
    // The best of three: other tests take the caches away.
    let best = (0..3).map(|_| {
        let began = crate::rt::thread_cpu_nanos();
        assert!(text(&sources).lines().count() > 10 * PARTITIONS as usize);
        crate::rt::thread_cpu_nanos() - began
    });
    let best_ms = best.min().unwrap_or(0) / 1_000_000;
    println!("{best_ms} ms of CPU");
    assert!(best_ms < limit_ms, "{best_ms} ms");
}
