//! Images and connections for the tests of handlers.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::{BrokerConfig, TopicConfig};
use crate::metadata::{BrokerState, Endpoint, Image, ImageEpoch, PartitionState, Topic};
use crate::metrics::{ConnectionCells, Registry};
use crate::model::{BrokerId, DirId, LeaderEpoch, ShardId, TopicId};
use crate::shard::Router;
use crate::wire::RequestHeader;
use crate::wire::messages::Encode;

use super::{Answer, Api, Context, Refusal, Request, Services};

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

/// A connection to the shard of this router.
pub fn context(router: &Router) -> Context {
    let config = router.image().config().clone();
    let registry = Registry::new(1);
    let metrics = registry.shard(0);
    let cells = ConnectionCells::new("PLAINTEXT".into(), "127.0.0.1:1".into(), 0);
    let connection = metrics.connections().enter((ShardId(0), 0), cells);
    let services = Services::new(router.clone(), config, metrics, 1);
    Context {
        share_sessions: services.share_sessions(),
        services,
        listener: Rc::from("PLAINTEXT"),
        peer: Rc::from("127.0.0.1:1"),
        connection,
        next_waits: Cell::default(),
        sends_away: Cell::default(),
    }
}

/// The body of the answer to a request on this connection.
pub async fn answer_of(cx: &Rc<Context>, (api, version): (&Api, i16), message: &impl Encode) -> Result<Bytes, Refusal> {
    let header = RequestHeader {
        api_key: api.key,
        api_version: version,
        correlation_id: 1,
        client_id: None,
    };
    let body = message.encode(version).expect("a sound message");
    match (api.handle)(cx.clone(), Request { header, body }).await? {
        Answer::Body(body) => Ok(body.slices.concat().into()),
        Answer::Silent => panic!("an answer is due"),
    }
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
