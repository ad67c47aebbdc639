//! Replay, derived fields and shared structure of images.

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::record::{
    BrokerChange, BrokerSpace, ClusterId, Config, Partition, ProducerIds, RegisterBroker, RemoveTopic, UnregisterBroker,
};
use super::*;
use crate::config::BrokerConfig;
use crate::metadata::image::PartitionState;
use crate::model::DirId;

fn empty() -> Image {
    let config = Arc::new(BrokerConfig::embedded(Path::new("/nowhere")));
    Image::empty("cluster", config)
}

fn topic(id: u8, name: &str) -> Record {
    let (id, name) = ([id; 16], name.to_owned());
    Record::Topic(record::Topic { id, name })
}

fn partition(topic: u8, index: i32, partition_epoch: i32, directory: u8) -> Record {
    Record::Partition(Partition {
        topic: [topic; 16],
        index,
        partition_epoch,
        replicas: vec![0],
        isr: vec![0],
        directories: vec![[directory; 16]],
        ..Partition::default()
    })
}

/// On two brokers, led by this one (-1: by none).
fn replicated(topic: u8, index: i32, replicas: [i32; 2], leader: i32) -> Record {
    Record::Partition(Partition {
        topic: [topic; 16],
        index,
        leader,
        replicas: replicas.to_vec(),
        isr: replicas.to_vec(),
        directories: vec![[1; 16], [2; 16]],
        ..Partition::default()
    })
}

fn config(resource: Resource, key: &str, value: Option<String>) -> Record {
    let key = key.to_owned();
    Record::Config(Config { resource, key, value })
}

/// Any record, with so few ids and names that records meet each other.
fn any_record() -> impl Strategy<Value = Record> {
    let resource = prop_oneof![
        (0..4u8).prop_map(|id| Resource::Topic([id; 16])),
        (0..2i32).prop_map(Resource::Broker),
        Just(Resource::AllBrokers),
    ];
    let key = prop_oneof![
        Just("retention.ms"),
        Just("log.retention.ms"),
        Just("flush.messages"),
        Just("no.such")
    ];
    let value = proptest::option::of(prop_oneof![
        (1..9i64).prop_map(|ms| ms.to_string()),
        Just("bad".to_owned())
    ]);
    let broker = |(id, epoch)| {
        Record::RegisterBroker(RegisterBroker {
            id,
            epoch,
            incarnation: [epoch as u8; 16],
            ..RegisterBroker::default()
        })
    };
    let change = |(id, epoch, fenced)| {
        Record::BrokerChange(BrokerChange {
            id,
            epoch,
            fenced,
            in_controlled_shutdown: None,
            log_dirs: Vec::new(),
        })
    };
    let space = |(id, epoch, dir)| {
        Record::BrokerSpace(BrokerSpace {
            id,
            epoch,
            full_dirs: vec![[dir; 16]],
        })
    };
    prop_oneof![
        1 => Just(Record::ClusterId(ClusterId { id: "cluster".to_owned() })),
        1 => (0..2i32, 0..4i64).prop_map(broker),
        1 => (0..2i32, 0..4i64, any::<bool>()).prop_map(change),
        1 => (0..2i32, 0..4i64, 0..3u8).prop_map(space),
        1 => (0..2i32, 0..4i64).prop_map(|(id, epoch)| Record::UnregisterBroker(UnregisterBroker { id, epoch })),
        4 => (0..4u8, 0..4i32, 0..3i32, -1..3i32)
            .prop_map(|(id, index, first, leader)| replicated(id, index, [first, 3], leader)),
        4 => (0..4u8, 0..3usize).prop_map(|(id, name)| topic(id, ["a.b", "a_b", "c"][name])),
        8 => (0..4u8, 0..4i32, 0..3i32, 0..3u8).prop_map(|(id, index, epoch, dir)| partition(id, index, epoch, dir)),
        2 => (0..4u8).prop_map(|id| Record::RemoveTopic(RemoveTopic { id: [id; 16] })),
        4 => (resource, key, value).prop_map(|(resource, key, value)| config(resource, key, value)),
        1 => (0..5i64).prop_map(|block| Record::ProducerIds(ProducerIds { next: block * 1000 })),
    ]
}

/// Records as `decide` leads to: ids are never used again, a name is free before it is taken.
fn any_history() -> impl Strategy<Value = Vec<Record>> {
    proptest::collection::vec((any_record(), 0..6usize), 0..60).prop_map(|drawn| {
        let mut history = History::default();
        drawn.into_iter().for_each(|(record, nth)| history.push(record, nth));
        history.records
    })
}

/// Turns drawn records into possible ones: their topics become topics that exist.
#[derive(Default)]
struct History {
    records: Vec<Record>,
    topics: Vec<(u8, &'static str)>,
    ids: u8,
    broker_epoch: i64,
}

impl History {
    fn push(&mut self, record: Record, nth: usize) {
        let existing = (!self.topics.is_empty()).then(|| nth % self.topics.len());
        let record = match (record, existing) {
            (Record::Topic(_), _) => match self.free_name(nth) {
                Some(name) => {
                    self.ids += 1;
                    self.topics.push((self.ids, name));
                    topic(self.ids, name)
                }
                None => return,
            },
            (Record::Partition(drawn), Some(at)) => Record::Partition(Partition {
                topic: [self.topics[at].0; 16],
                ..drawn
            }),
            (Record::RemoveTopic(_), Some(at)) => Record::RemoveTopic(RemoveTopic {
                id: [self.topics.remove(at).0; 16],
            }),
            (Record::Config(drawn), at) => match (&drawn.resource, at) {
                (Resource::Topic(_), Some(at)) => Record::Config(Config {
                    resource: Resource::Topic([self.topics[at].0; 16]),
                    ..drawn
                }),
                (Resource::Topic(_), None) => return,
                _ => Record::Config(drawn),
            },
            (Record::RegisterBroker(drawn), _) => {
                self.broker_epoch += 1;
                Record::RegisterBroker(RegisterBroker {
                    epoch: self.broker_epoch,
                    ..drawn
                })
            }
            (Record::BrokerChange(drawn), _) => Record::BrokerChange(BrokerChange {
                epoch: self.broker_epoch,
                ..drawn
            }),
            (Record::BrokerSpace(drawn), _) => Record::BrokerSpace(BrokerSpace {
                epoch: self.broker_epoch,
                ..drawn
            }),
            (Record::UnregisterBroker(drawn), _) => Record::UnregisterBroker(UnregisterBroker {
                epoch: self.broker_epoch,
                ..drawn
            }),
            (Record::Partition(_) | Record::RemoveTopic(_), None) => return,
            (record, _) => record,
        };
        self.records.push(record);
    }

    fn free_name(&self, nth: usize) -> Option<&'static str> {
        let names = ["a.b", "a_b", "c", "d_e", "d.e", "f"];
        let taken = |name: &str| {
            self.topics
                .iter()
                .any(|(_, taken)| taken.replace('.', "_") == name.replace('.', "_"))
        };
        (0..names.len())
            .map(|step| names[(nth + step) % names.len()])
            .find(|name| !taken(name))
    }
}

/// What can be seen of an image: its records, the resolved configs, and what is derived.
fn seen(image: &Image) -> impl PartialEq + std::fmt::Debug + use<> {
    let configs: Vec<_> = image.topics.values().map(|topic| topic.config.clone()).collect();
    let collisions: Vec<_> = image.derived.collisions.iter().cloned().collect();
    (image.to_records(), configs, collisions, indexes(image))
}

/// What the image keeps of each broker (its partitions, its leaderships), of all partitions without a leader, and of each
/// directory.
type Indexes = (Vec<(Vec<PartitionId>, usize)>, Vec<PartitionId>, Vec<usize>);

const BROKERS: std::ops::Range<i32> = 0..5;
const DIRECTORIES: std::ops::Range<u8> = 0..4;

fn indexes(image: &Image) -> Indexes {
    let of_broker = |id: i32| {
        let partitions = image.derived.of_broker(BrokerId(id));
        let partitions = partitions.into_iter().flatten().copied().collect();
        (partitions, image.leaderships_of(BrokerId(id)))
    };
    let in_directory = |dir: u8| image.partitions_in(&DirId([dir; 16]));
    (
        BROKERS.map(of_broker).collect(),
        image.derived.leaderless().iter().copied().collect(),
        DIRECTORIES.map(in_directory).collect(),
    )
}

/// The same by looking at every partition.
fn indexes_by_scan(image: &Image) -> Indexes {
    let all: Vec<_> = image
        .topics_by_id
        .values()
        .flat_map(|topic| topic.partitions.iter().map(|state| (topic.id, state)))
        .map(|(topic, state)| {
            (
                PartitionId {
                    topic,
                    index: state.index,
                },
                state,
            )
        })
        .collect();
    let ids = |holds: &dyn Fn(&PartitionState) -> bool| -> Vec<PartitionId> {
        all.iter()
            .filter(|(_, state)| holds(state))
            .map(|(id, _)| *id)
            .collect()
    };
    let of_broker = |id: i32| {
        let id = BrokerId(id);
        let led = ids(&|state| state.leader == Some(id)).len();
        (ids(&|state| state.replicas.contains(&id)), led)
    };
    let in_directory = |dir: u8| {
        let all = all.iter().flat_map(|(_, state)| &state.directories);
        all.filter(|known| **known == DirId([dir; 16])).count()
    };
    (
        BROKERS.map(of_broker).collect(),
        ids(&|state| state.leader.is_none()),
        DIRECTORIES.map(in_directory).collect(),
    )
}

/// Both maps hold the same topics, and the indexes are what a look at everything gives.
fn check_derived(image: &Image) {
    assert_eq!(image.topics.len(), image.topics_by_id.len());
    for topic in image.topics.values() {
        assert!(Arc::ptr_eq(topic, &image.topics_by_id[&topic.id]));
    }
    assert_eq!(indexes(image), indexes_by_scan(image));
}

proptest! {
    /// A log whose beginning is applied twice, as after a crash between snapshot and new log, gives the same image.
    #[test]
    fn replaying_any_prefix_twice_gives_the_same_image(
        records in any_history(),
        cut in any::<prop::sample::Index>(),
    ) {
        let prefix = &records[..cut.index(records.len() + 1)];
        let mut once = empty();
        once.apply_all(prefix);
        check_derived(&once);
        let mut twice = once.clone();
        twice.apply_all(prefix);
        check_derived(&twice);
        prop_assert_eq!(seen(&once), seen(&twice));
    }

    /// No record list makes apply panic or lets the derived fields drift, and a snapshot of the image leads back to it.
    #[test]
    fn any_records_apply_and_survive_a_snapshot(records in proptest::collection::vec(any_record(), 0..60)) {
        let mut image = empty();
        image.apply_all(&records);
        check_derived(&image);
        let mut restored = empty();
        restored.apply_all(&image.to_records());
        check_derived(&restored);
        prop_assert_eq!(seen(&image), seen(&restored));
    }
}

fn with_topics(count: u32) -> Image {
    let mut image = empty();
    for nth in 0..count {
        let id = u128::from(nth + 1).to_be_bytes();
        let name = format!("topic-{nth:05}");
        image.apply(&Record::Topic(record::Topic { id, name }));
        let Record::Partition(drawn) = partition(0, 0, 0, 1) else {
            unreachable!()
        };
        image.apply(&Record::Partition(Partition { topic: id, ..drawn }));
    }
    image
}

/// A change of one topic among 10,000 touches that topic alone: all others, and nearly all of the maps, are shared with
/// the image before it.
#[test]
fn a_change_shares_all_other_topics_with_the_image_before() {
    let before = with_topics(10_000);
    let mut after = before.clone();
    assert!(after.topics.ptr_eq(&before.topics) && after.topics_by_id.ptr_eq(&before.topics_by_id));
    let changed = before.topics["topic-05000"].id;
    let Record::Partition(drawn) = partition(0, 1, 0, 1) else {
        unreachable!()
    };
    after.apply(&Record::Partition(Partition {
        topic: changed.0,
        ..drawn
    }));

    let copied = before
        .topics
        .iter()
        .filter(|(name, topic)| !Arc::ptr_eq(topic, &after.topics[*name]))
        .count();
    assert_eq!(copied, 1);
    assert_eq!(before.topics["topic-05000"].partitions.len(), 1);
    assert_eq!(after.topics["topic-05000"].partitions.len(), 2);
    // Each map copied the path to one leaf: a value's reference count tells whose leaf was copied.
    let in_copied_leaves = |image: &Image| {
        image
            .topics
            .values()
            .filter(|topic| Arc::strong_count(topic) > 2)
            .count()
    };
    assert!(in_copied_leaves(&before) < 200, "{}", in_copied_leaves(&before));
}

/// A topic of many partitions is built in place: the records do not copy what the records before them made.
#[test]
fn partitions_of_one_topic_are_added_in_place() {
    let mut image = empty();
    image.apply(&topic(1, "wide"));
    let built = Arc::as_ptr(&image.topics["wide"]);
    (0..1000).for_each(|index| image.apply(&partition(1, index, 0, 1)));
    assert_eq!(Arc::as_ptr(&image.topics["wide"]), built);
    assert_eq!(image.topics["wide"].partitions.len(), 1000);
}

/// Topics without overrides share one config.
#[test]
fn topics_without_overrides_share_their_config() {
    let mut image = empty();
    image.apply_all(&[topic(1, "a"), topic(2, "b")]);
    assert!(Arc::ptr_eq(&image.topics["a"].config, &image.topics["b"].config));
    image.apply(&config(Resource::AllBrokers, "log.retention.ms", Some("77".to_owned())));
    assert_eq!(image.topics["a"].config.retention_ms, 77);
    assert!(Arc::ptr_eq(&image.topics["a"].config, &image.topics["b"].config));
}

/// An override that this release finds invalid has no effect, and takes no other with it.
#[test]
fn an_invalid_override_of_an_earlier_release_is_passed_over() {
    let mut image = empty();
    let resource = Resource::Topic([1; 16]);
    image.apply_all(&[
        topic(1, "a"),
        config(resource.clone(), "no.such", Some("1".to_owned())),
        config(resource, "retention.ms", Some("5".to_owned())),
    ]);
    assert_eq!(image.topics["a"].config.retention_ms, 5);
}
