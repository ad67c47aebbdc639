//! Images for the tests of handlers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::config::{BrokerConfig, TopicConfig};
use crate::metadata::{BrokerState, Endpoint, Image, ImageEpoch, PartitionState, Topic};
use crate::model::{BrokerId, DirId, LeaderEpoch, TopicId};

/// Broker 1 with listener PLAINTEXT leads every partition of these topics.
pub fn image(topics: &[(&str, i32)]) -> Image {
    let broker = Arc::new(BrokerConfig {
        broker_id: 1,
        ..BrokerConfig::embedded(Path::new("/nowhere"))
    });
    let mut image = Image::empty("a-cluster", broker);
    image.epoch = ImageEpoch(1);
    image.controller = Some(BrokerId(1));
    image.brokers.insert(BrokerId(1), Arc::new(broker_state()));
    for (at, (name, partitions)) in topics.iter().enumerate() {
        insert(
            &mut image,
            name,
            TopicId([at as u8 + 1; 16]),
            *partitions,
            BTreeMap::new(),
        );
    }
    image
}

/// One topic of one partition with one override.
pub fn image_with_override(topic: &str, key: &str, value: &str) -> Image {
    let mut image = image(&[]);
    let overrides = BTreeMap::from([(key.to_string(), value.to_string())]);
    insert(&mut image, topic, TopicId([1; 16]), 1, overrides);
    image
}

fn insert(image: &mut Image, name: &str, id: TopicId, partitions: i32, overrides: BTreeMap<String, String>) {
    let config = TopicConfig::resolve(&image.broker.topic_defaults, &overrides).expect("valid overrides");
    let topic = Arc::new(Topic {
        name: name.into(),
        id,
        partitions: (0..partitions).map(partition).collect(),
        overrides: Arc::new(overrides),
        config: Arc::new(config),
    });
    image.topics.insert(topic.name.clone(), topic.clone());
    image.topics_by_id.insert(id, topic);
}

fn partition(index: i32) -> PartitionState {
    PartitionState {
        index,
        leader: Some(BrokerId(1)),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
        replicas: vec![BrokerId(1)],
        isr: vec![BrokerId(1)],
        directories: vec![DirId([0; 16])],
        adding: Vec::new(),
        removing: Vec::new(),
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        leader_recovering: false,
    }
}

fn broker_state() -> BrokerState {
    let endpoint = Endpoint {
        listener: "PLAINTEXT".to_string(),
        host: "localhost".to_string(),
        port: 9092,
    };
    BrokerState {
        id: BrokerId(1),
        epoch: 0,
        incarnation: [0; 16],
        rack: None,
        endpoints: vec![endpoint],
        fenced: false,
        in_controlled_shutdown: None,
        log_dirs: Vec::new(),
        full_dirs: Vec::new(),
    }
}
