//! Coordinators on real shards: written before they answer, and loaded again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Active, Coordinator, CoordinatorReply, Outgoing};
use crate::config::BrokerConfig;
use crate::group::{
    CommitItem, CommitOffsets, FetchOffsets, FetchedOffset, GroupReply, GroupRequest, Sender, partition_of,
};
use crate::metadata::Image;
use crate::model::{
    ErrorCode, OFFSETS_TOPIC, PartitionId, SHARE_STATE_TOPIC, ShardId, TRANSACTIONS_TOPIC, Ticket, TopicId,
};
use crate::record::Compression;
use crate::rt::{self, Instant};
use crate::shard::Router;
use crate::shard::tests::{Around, TIMEOUT, broker, broker_on, create, delete, id, read_all, topic};

const PARTITIONS: i32 = 5;

fn coordinator(topic: TopicId, group: &str) -> PartitionId {
    id(topic, partition_of(group, PARTITIONS))
}

/// Asks until the coordinator is there and loaded.
async fn ask(router: &Router, at: PartitionId, request: impl Fn() -> GroupRequest) -> GroupReply {
    let deadline = rt::now().after(TIMEOUT);
    loop {
        match router.group(at, request()).await {
            Ok(reply) => return reply,
            Err(ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator) if rt::now() < deadline => {
                rt::sleep(Duration::from_millis(1)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn commit_request(group: &str, of: &str, offset: i64) -> GroupRequest {
    GroupRequest::CommitOffsets(CommitOffsets {
        group: group.into(),
        sender: Sender {
            epoch: -1,
            ..Sender::default()
        },
        version: 9,
        retention_ms: None,
        producer: None,
        items: vec![CommitItem {
            topic: of.into(),
            topic_id: TopicId::ZERO,
            partition: 0,
            offset,
            leader_epoch: -1,
            metadata: String::new(),
        }],
    })
}

async fn commit(router: &Router, at: PartitionId, group: &str, of: &str, offset: i64) {
    let reply = ask(router, at, || commit_request(group, of, offset)).await;
    assert_eq!(reply, GroupReply::Committed(Ok(vec![ErrorCode::None])));
}

async fn committed(router: &Router, at: PartitionId, group: &str) -> Vec<FetchedOffset> {
    let request = || {
        GroupRequest::FetchOffsets(FetchOffsets {
            group: group.into(),
            sender: Sender::nobody(),
            partitions: None,
            require_stable: false,
        })
    };
    match ask(router, at, request).await {
        GroupReply::Fetched(offsets) => offsets.unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn offset(router: &Router, at: PartitionId, group: &str) -> Option<i64> {
    committed(router, at, group).await.first().map(|one| one.offset)
}

/// Commits of many groups from every shard are answered once they are written: whoever reads the log then finds them,
/// and after a restart with another number of shards the coordinators know them all.
#[test]
fn commits_are_written_and_loaded_again() {
    const GROUPS: usize = 20;
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 2, |shard, router| async move {
        let offsets = match shard {
            ShardId(0) => create(&router, OFFSETS_TOPIC, PARTITIONS, &[]).await,
            _ => topic(&router, OFFSETS_TOPIC).await,
        };
        for at in 0..GROUPS {
            let group = format!("g{at}-{}", shard.0);
            let partition = coordinator(offsets, &group);
            for round in 1..=3 {
                commit(&router, partition, &group, "t", at as i64 * 10 + round).await;
                let headers = read_all(&router, partition).await;
                assert!(headers.iter().any(|header| header.record_count > 0));
            }
        }
    });
    // All on one shard are more than are loaded at a time.
    for shards in [3, 1] {
        broker(root.path(), shards, |shard, router| async move {
            let offsets = topic(&router, OFFSETS_TOPIC).await;
            for at in 0..GROUPS {
                for first in 0..2 {
                    let group = format!("g{at}-{first}");
                    let found = offset(&router, coordinator(offsets, &group), &group).await;
                    assert_eq!(found, Some(at as i64 * 10 + 3), "{group} on {shard:?}");
                }
            }
        });
    }
}

/// The offsets of a deleted topic go; deleting the coordinators' own topic takes the coordinators with it.
#[test]
fn deleted_topics_take_their_offsets_along() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        create(&router, "t", 1, &[]).await;
        let offsets = create(&router, OFFSETS_TOPIC, PARTITIONS, &[]).await;
        let at = coordinator(offsets, "g");
        commit(&router, at, "g", "t", 5).await;
        commit(&router, at, "g", "kept", 6).await;
        delete(&router, "t").await;
        let deadline = rt::now().after(TIMEOUT);
        while committed(&router, at, "g").await.len() > 1 && rt::now() < deadline {
            rt::sleep(Duration::from_millis(1)).await;
        }
        let left = committed(&router, at, "g").await;
        assert_eq!((left.len(), &left[0].topic), (1, &Arc::from("kept")));

        delete(&router, OFFSETS_TOPIC).await;
        let fetch = || {
            GroupRequest::FetchOffsets(FetchOffsets {
                group: "g".into(),
                sender: Sender::nobody(),
                partitions: None,
                require_stable: false,
            })
        };
        while router.group(at, fetch()).await.is_ok() && rt::now() < deadline {
            rt::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(router.group(at, fetch()).await, Err(ErrorCode::NotCoordinator));

        let again = create(&router, OFFSETS_TOPIC, PARTITIONS, &[]).await;
        assert_eq!(offset(&router, coordinator(again, "g"), "g").await, None);
    });
}

/// While its disk is full a coordinator keeps its seat and answers what needs no writing; what it refuses leaves no trace.
#[test]
fn a_full_disk_unseats_nobody() {
    let root = tempfile::tempdir().unwrap();
    broker_on(root.path(), 1, |_, router, Around { log_dir, .. }| async move {
        let offsets = create(&router, OFFSETS_TOPIC, PARTITIONS, &[]).await;
        let at = coordinator(offsets, "g");
        let fetch = || {
            GroupRequest::FetchOffsets(FetchOffsets {
                group: "g".into(),
                sender: Sender::nobody(),
                partitions: None,
                require_stable: false,
            })
        };
        commit(&router, at, "g", "t", 1).await;
        log_dir.set_full(true);
        for _ in 0..3 {
            let refused = router.group(at, commit_request("g", "t", 2)).await;
            assert_eq!(refused, Err(ErrorCode::CoordinatorNotAvailable));
            let Ok(GroupReply::Fetched(Ok(fetched))) = router.group(at, fetch()).await else {
                panic!("the coordinator has lost its seat")
            };
            assert_eq!(fetched[0].offset, 1);
        }
        log_dir.set_full(false);
        let committed = router.group(at, commit_request("g", "t", 3)).await;
        assert_eq!(committed, Ok(GroupReply::Committed(Ok(vec![ErrorCode::None]))));
    });
}

/// Committed offsets are compressed as configured, transactions never are.
#[test]
fn each_log_has_its_own_codec() {
    let mut config = BrokerConfig::embedded(Path::new("/nowhere"));
    config.groups.compression = Compression::Lz4;
    let config = Arc::new(config);
    let image = Arc::new(Image::empty("c", config.clone()));
    for (topic, expected) in [
        (OFFSETS_TOPIC, Compression::Lz4),
        (TRANSACTIONS_TOPIC, Compression::None),
    ] {
        let coordinator = Coordinator::of_topic(topic, &config, &image).unwrap();
        assert_eq!(coordinator.compression(&config), expected, "{topic}");
    }
}

/// Requests that follow each other are answered in order, and a read never runs ahead of the write before it.
#[test]
fn a_reply_waits_for_earlier_writes() {
    let root = tempfile::tempdir().unwrap();
    broker(root.path(), 1, |_, router| async move {
        let offsets = create(&router, OFFSETS_TOPIC, PARTITIONS, &[]).await;
        let at = coordinator(offsets, "g");
        commit(&router, at, "g", "t", 1).await;
        for round in 2..50 {
            let write = router.group(at, commit_request("g", "t", round));
            // Asked before the write is done: its answer comes with the write's, and the log holds what it says.
            assert_eq!(offset(&router, at, "g").await, Some(round));
            let written: i32 = read_all(&router, at)
                .await
                .iter()
                .map(|header| header.record_count)
                .sum();
            assert_eq!(i64::from(written), round);
            write.await.unwrap();
        }
    });
}

/// (offsets.commit.timeout.ms) What waits too long for its write is refused, each at its time and once; what is written in
/// time is answered.
#[test]
fn an_answer_waits_only_so_long_for_its_write() {
    const SECOND: u64 = 1_000_000_000;
    let config = Arc::new(BrokerConfig::embedded(Path::new("/nowhere")));
    let timeout = config.groups.write_timeout;
    assert_eq!(timeout, Duration::from_secs(5));
    let image = Arc::new(Image::empty("a-cluster", config.clone()));
    let groups = Coordinator::of_topic(OFFSETS_TOPIC, &config, &image).unwrap();
    let mut active = Active::new(groups, 1);
    let ticket = |request| Ticket {
        shard: ShardId(0),
        request,
    };
    let mut hold = |offset: i64, second: u64| {
        let outgoing = Outgoing {
            replies: vec![(
                ticket(offset as u64),
                CoordinatorReply::Group(GroupReply::Heard(ErrorCode::None)),
            )],
            markers: Vec::new(),
        };
        let out = active.hold(Some(offset), outgoing, Instant(second * SECOND));
        assert!(out.replies.is_empty());
    };
    hold(1, 0);
    hold(2, 3);
    assert_eq!(active.next_time(&config), Some(Instant(5 * SECOND)));
    assert_eq!(active.take_overdue(timeout, Instant(5 * SECOND - 1)), []);
    assert_eq!(active.take_overdue(timeout, Instant(5 * SECOND)), [ticket(1)]);
    assert_eq!(active.next_time(&config), Some(Instant(8 * SECOND)));
    let ready = active.release(2);
    assert_eq!(ready.replies.len(), 1);
    assert_eq!(ready.replies[0].0, ticket(2));
    assert_eq!(active.next_time(&config), None);
}

/// (share.coordinator.write.timeout.ms) Answers about share groups' state wait only so long too.
#[test]
fn share_states_have_a_write_timeout_of_their_own() {
    let mut config = BrokerConfig::embedded(Path::new("/nowhere"));
    assert_eq!(config.shares.write_timeout, Duration::from_secs(5));
    config.shares.write_timeout = Duration::from_secs(1);
    let config = Arc::new(config);
    let image = Arc::new(Image::empty("a-cluster", config.clone()));
    let states = Coordinator::of_topic(SHARE_STATE_TOPIC, &config, &image).unwrap();
    assert_eq!(states.write_timeout(&config), Some(Duration::from_secs(1)));
}
