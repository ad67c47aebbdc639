//! Raw frames against a real shard on loopback: what a client sees of framing, order and limits.

use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::*;
use crate::api;
use crate::config::BrokerConfig;
use crate::metadata::{self, ControlOptions, Published};
use crate::metrics::{Cells, Metric, Registry};
use crate::model::{ErrorCode, TopicId};
use crate::record::{BatchBuilder, Compression};
use crate::rt::{Listener, Stream};
use crate::shard::{self, ShardHandle, ShardSpec};
use crate::storage::LogDirs;
use crate::wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use crate::wire::messages::{
    ApiVersionsRequestData, ApiVersionsResponseData, CreatableTopic, CreateTopicsRequestData, CreateTopicsResponseData,
    Decode, Encode, InitProducerIdRequestData, InitProducerIdResponseData, ListOffsetsPartition,
    ListOffsetsRequestData, ListOffsetsResponseData, ListOffsetsTopic, MetadataRequestData, MetadataRequestTopic,
    MetadataResponseData, kafka_string,
};
use crate::wire::produce::{ProducePartition, ProduceRequest, ProduceResponse, ProduceTopic};
use crate::wire::{ApiKey, RequestHeader, is_flexible, is_response_header_flexible, parse_response};

mod slow_readers;

/// Longer than anything here takes on a busy machine; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// A broker of one shard with topic `t` of two partitions.
struct Broker {
    address: std::net::SocketAddr,
    metrics: Cells,
    metadata: metadata::Handle,
    server: Server,
}

impl Broker {
    async fn connect(&self) -> Client {
        let stream = Stream::connect(self.address, PATIENCE)
            .await
            .expect("the listener is open");
        Client {
            stream,
            received: BytesMut::new(),
        }
    }

    /// Waits until the shard has noticed what a client did.
    async fn until(&self, condition: impl Fn(&Broker) -> bool) {
        for _ in 0..PATIENCE.as_millis() / 2 {
            if condition(self) {
                return;
            }
            rt::sleep(Duration::from_millis(2)).await;
        }
        panic!("the condition was not met in time");
    }
}

/// Runs `test` against a broker on the only shard, then stops everything in order.
fn with_broker<F, Fut>(tune: impl FnOnce(&mut BrokerConfig), test: F)
where
    F: FnOnce(Rc<Broker>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let mut config = BrokerConfig::embedded(scratch.path());
    tune(&mut config);
    let config = Arc::new(config);
    let (dirs, cluster_id) = LogDirs::open(&config.log_dirs, config.broker_id).expect("a fresh directory");
    let ids = dirs.dirs.iter().map(|dir| dir.id).collect();
    let mesh: Arc<OnceLock<Vec<ShardHandle>>> = Arc::default();
    let published = mesh.clone();
    let publish = move |image: Published| {
        if let Some(shard) = published.get().and_then(|shards| shards.first()) {
            shard.publish(image);
        }
    };
    let options = ControlOptions::new(config.clone(), cluster_id, scratch.path().join("metadata"), ids);
    let (metadata, image) = metadata::start(options, vec![Box::new(publish)]).expect("a fresh log");
    let (handles, mut inboxes) = shard::mesh(1, &image);
    let _ = mesh.set(handles.clone());
    let inbox = inboxes.pop().expect("one shard");
    let (ending, shown) = (metadata.clone(), metadata.clone());
    rt::testing::on_shard(move || async move {
        let registry = Registry::new(1);
        let (router, pump) = shard::run(ShardSpec {
            inbox,
            config: config.clone(),
            dirs: dirs.dirs.clone(),
            checkpoints: Arc::new(BTreeMap::new()),
            metadata,
            image,
            metrics: registry.shard(0),
            liveness: Arc::default(),
        });
        rt::spawn(pump);
        let listener = Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = serve(ServeSpec {
            listeners: vec![NamedListener {
                name: "PLAINTEXT".to_string(),
                listener,
            }],
            services: Services::new(router, config.clone(), registry.shard(0), 1),
            limits: Limits::new(&config),
        });
        let broker = Rc::new(Broker {
            address,
            metrics: registry.shard(0),
            metadata: shown,
            server,
        });
        let tested = rt::timeout(3 * PATIENCE, async {
            create_topic(&broker).await;
            test(broker.clone()).await;
        });
        tested.await.expect("the test ends in time");
        broker.server.shutdown(PATIENCE).await;
        assert_eq!(broker.server.connections(), 0);
        assert_eq!(broker.metrics.get(Metric::RequestMemoryBytes), 0);
        handles[0].shutdown().await;
        handles[0].exit().await;
    });
    ending.stop();
    ending.join();
}

async fn create_topic(broker: &Broker) {
    let topic = CreatableTopic {
        name: kafka_string("t"),
        num_partitions: 2,
        replication_factor: 1,
        ..Default::default()
    };
    let request = CreateTopicsRequestData {
        topics: vec![topic],
        timeout_ms: 1000,
        ..Default::default()
    };
    let mut client = broker.connect().await;
    let created: CreateTopicsResponseData = client.ask(ApiKey::CREATE_TOPICS, 7, &request).await;
    assert_eq!(created.topics[0].error_code, 0);
    for partition in 0..2 {
        // A new log is opened first; until then its shard sends clients away.
        while listed(&mut client, partition).await.0 != 0 {
            rt::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// A client that speaks raw frames.
struct Client {
    stream: Stream,
    received: BytesMut,
}

impl Client {
    async fn send_raw(&self, bytes: impl Into<Bytes>) {
        self.stream
            .write_all(&[bytes.into()])
            .await
            .expect("the connection is open");
    }

    async fn send(&self, key: ApiKey, version: i16, correlation_id: i32, body: Vec<Bytes>) {
        let frame = frame(key, version, correlation_id, body);
        self.stream.write_all(&frame).await.expect("the connection is open");
    }

    /// The next response: correlation id and body. `None` when the broker has closed the connection.
    async fn receive(&mut self, key: ApiKey, version: i16) -> Option<(i32, Bytes)> {
        let frame = self.receive_frame().await?;
        Some(parse_response(frame, is_response_header_flexible(key, version)).expect("a response header"))
    }

    async fn receive_frame(&mut self) -> Option<Bytes> {
        let mut chunk = vec![0; 64 << 10];
        loop {
            if let Some(prefix) = self.received.first_chunk::<4>() {
                let whole = 4 + i32::from_be_bytes(*prefix) as usize;
                if self.received.len() >= whole {
                    return Some(self.received.split_to(whole).freeze().slice(4..));
                }
            }
            let read = rt::timeout(PATIENCE, self.stream.read(&mut chunk))
                .await
                .expect("an answer in time");
            match read {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.received.extend_from_slice(&chunk[..read]),
            }
        }
    }

    async fn ask<M: Decode>(&mut self, key: ApiKey, version: i16, request: &impl Encode) -> M {
        let body = request.encode(version).expect("a valid request");
        self.send(key, version, 77, vec![body]).await;
        let (correlation_id, body) = self.receive(key, version).await.expect("an answer");
        assert_eq!(correlation_id, 77);
        M::decode(body, version, usize::MAX).expect("a valid response")
    }

    async fn fetch(&mut self, version: i16, request: &FetchRequest) -> FetchResponse {
        self.send(ApiKey::FETCH, version, 5, request.encode(version)).await;
        let (_, body) = self.receive(ApiKey::FETCH, version).await.expect("an answer");
        FetchResponse::decode(body, version).expect("a valid response")
    }

    /// Whether the broker closes the connection without a word.
    async fn is_closed(&mut self) -> bool {
        self.receive_frame().await.is_none()
    }
}

fn frame(key: ApiKey, version: i16, correlation_id: i32, body: Vec<Bytes>) -> Vec<Bytes> {
    let header = RequestHeader {
        api_key: key,
        api_version: version,
        correlation_id,
        client_id: Some(Bytes::from_static(b"raw")),
    };
    header.frame(is_flexible(key, version), body)
}

fn produce(acks: i16, partition: i32, value: &[u8]) -> ProduceRequest {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(rt::wall_ms(), None, Some(value), &[]);
    let partition = ProducePartition {
        index: partition,
        records: Some(batch.build()),
    };
    let topic = ProduceTopic {
        name: "t".into(),
        partitions: vec![partition],
    };
    ProduceRequest {
        transactional_id: None,
        acks,
        timeout_ms: 5000,
        topics: vec![topic],
    }
}

fn fetch(session_id: i32, session_epoch: i32, partitions: &[(i32, i64)], max_wait_ms: i32) -> FetchRequest {
    let partition = |&(index, fetch_offset): &(i32, i64)| FetchPartition {
        index,
        current_leader_epoch: -1,
        fetch_offset,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        max_bytes: 1 << 20,
    };
    let topic = FetchTopic {
        name: "t".into(),
        id: TopicId::ZERO,
        partitions: partitions.iter().map(partition).collect(),
    };
    FetchRequest {
        replica_id: -1,
        replica_epoch: -1,
        max_wait_ms,
        min_bytes: 1,
        max_bytes: 1 << 20,
        isolation_level: 0,
        session_id,
        session_epoch,
        topics: if partitions.is_empty() { vec![] } else { vec![topic] },
        forgotten: vec![],
        rack_id: Bytes::new(),
        cluster_id: None,
    }
}

async fn latest(client: &mut Client, partition: i32) -> i64 {
    let (error_code, offset) = listed(client, partition).await;
    assert_eq!(error_code, 0);
    offset
}

/// Error and end offset of a partition.
async fn listed(client: &mut Client, partition_index: i32) -> (i16, i64) {
    let partition = ListOffsetsPartition {
        partition_index,
        timestamp: -1,
        current_leader_epoch: -1,
        ..Default::default()
    };
    let topic = ListOffsetsTopic {
        name: kafka_string("t"),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = ListOffsetsRequestData {
        replica_id: -1,
        topics: vec![topic],
        ..Default::default()
    };
    let response: ListOffsetsResponseData = client.ask(ApiKey::LIST_OFFSETS, 7, &request).await;
    let listed = &response.topics[0].partitions[0];
    (listed.error_code, listed.offset)
}

/// Behaviours 1 and 2: an unknown ApiVersions version is answered as version 0 with error 35 and the supported range, under
/// a header without tags, and the connection stays.
#[test]
fn unknown_api_versions_version_is_answered_in_version_0() {
    with_broker(
        |_| {},
        |broker| async move {
            let mut client = broker.connect().await;
            client
                .send(ApiKey::API_VERSIONS, 200, 9, vec![Bytes::from_static(&[0; 12])])
                .await;
            let frame = client.receive_frame().await.expect("an answer");
            assert_eq!(frame[..4], 9i32.to_be_bytes());
            let response = ApiVersionsResponseData::decode(frame.slice(4..), 0, usize::MAX).expect("version 0");
            assert_eq!(response.error_code, 35);
            let range: Vec<_> = response
                .api_keys
                .iter()
                .map(|row| (row.api_key, row.min_version, row.max_version))
                .collect();
            assert_eq!(range, [(18, 0, 4)]);
            let request = ApiVersionsRequestData {
                client_software_name: kafka_string("raw"),
                client_software_version: kafka_string("1"),
                ..Default::default()
            };
            let response: ApiVersionsResponseData = client.ask(ApiKey::API_VERSIONS, 4, &request).await;
            assert_eq!((response.error_code, response.api_keys.len()), (0, api::ALL.len()));
        },
    );
}

/// Behaviours 4 and 6: what is no request of a served API closes the connection, is counted, and disturbs nobody else.
#[test]
fn what_cannot_be_served_closes_the_connection() {
    with_broker(
        |_| {},
        |broker| async move {
            let mut neighbour = broker.connect().await;
            let fetch_of = |version| frame(ApiKey::FETCH, version, 1, vec![]).concat();
            let zookeeper_hello = [&44i32.to_be_bytes()[..], &[0; 44]].concat();
            let cases: Vec<(&str, Vec<u8>)> = vec![
                ("unknown key", frame(ApiKey(999), 0, 1, vec![]).concat()),
                ("unknown version", fetch_of(99)),
                (
                    "an old version that is not served",
                    frame(ApiKey::CREATE_TOPICS, 1, 1, vec![]).concat(),
                ),
                ("negative length", (-5i32).to_be_bytes().to_vec()),
                ("length above the limit", i32::MAX.to_be_bytes().to_vec()),
                ("a frame without a header", vec![0, 0, 0, 2, 0, 3]),
                ("an empty frame", vec![0; 4]),
                (
                    "a body that is cut short",
                    frame(ApiKey::METADATA, 12, 1, vec![Bytes::from_static(&[9])]).concat(),
                ),
                (
                    "a request of another protocol",
                    b"GET / HTTP/1.1\r\nHost: kafka\r\n\r\n".to_vec(),
                ),
                ("a greeting to ZooKeeper", zookeeper_hello),
            ];
            for (at, (what, bytes)) in cases.into_iter().enumerate() {
                let mut client = broker.connect().await;
                client.send_raw(bytes).await;
                assert!(client.is_closed().await, "{what}");
                assert_eq!(broker.metrics.get(Metric::BadFrames), at as i64 + 1, "{what}");
            }
            assert_eq!(latest(&mut neighbour, 0).await, 0);
        },
    );
}

/// Behaviour 5: answers come in request order, with reads after writes seeing them, all sent in one piece.
#[test]
fn pipelined_requests_are_answered_in_order() {
    with_broker(
        |_| {},
        |broker| async move {
            let mut client = broker.connect().await;
            let mut burst = Vec::new();
            for id in 0..200 {
                burst.extend(frame(ApiKey::PRODUCE, 9, id, produce(1, id % 2, b"v").encode(9)));
            }
            burst.extend(frame(ApiKey::FETCH, 11, 200, fetch(0, -1, &[(0, 0)], 0).encode(11)));
            burst.extend(frame(ApiKey::PRODUCE, 9, 201, produce(1, 0, b"v").encode(9)));
            client.stream.write_all(&burst).await.expect("open");
            for id in 0..200 {
                let (correlation_id, body) = client.receive(ApiKey::PRODUCE, 9).await.expect("an answer");
                let response = ProduceResponse::decode(body, 9).expect("valid");
                let partition = &response.topics[0].partitions[0];
                assert_eq!((correlation_id, partition.error_code), (id, 0));
                assert_eq!(partition.base_offset, i64::from(id / 2));
            }
            let (correlation_id, body) = client.receive(ApiKey::FETCH, 11).await.expect("an answer");
            assert_eq!(correlation_id, 200);
            let response = FetchResponse::decode(body, 11).expect("valid");
            assert_eq!(response.topics[0].partitions[0].high_watermark, 100);
            assert_eq!(client.receive(ApiKey::PRODUCE, 9).await.map(|(id, _)| id), Some(201));
        },
    );
}

/// Behaviour 18: acks=0 is never answered; what comes behind it is; an error closes the connection.
#[test]
fn acks_0_is_silent() {
    with_broker(
        |_| {},
        |broker| async move {
            let mut client = broker.connect().await;
            for id in 0..3 {
                client.send(ApiKey::PRODUCE, 8, id, produce(0, 1, b"v").encode(8)).await;
            }
            // Nobody waits for these writes, so the high watermark may come after them.
            while latest(&mut client, 1).await < 3 {
                rt::sleep(Duration::from_millis(2)).await;
            }
            assert_eq!(latest(&mut client, 1).await, 3);
            client.send(ApiKey::PRODUCE, 8, 4, produce(0, 7, b"v").encode(8)).await;
            assert!(client.is_closed().await);
            assert_eq!(broker.metrics.get(Metric::BadFrames), 0);
        },
    );
}

/// A broker that has not heard of the controller for long may be the last to say that it leads. Who asked gets his answers,
/// and looks for another broker; who only reads stays.
#[test]
fn a_client_of_a_leader_without_a_lease_is_sent_away() {
    with_broker(
        |_| {},
        |broker| async move {
            let (mut client, mut reader) = (broker.connect().await, broker.connect().await);
            assert_eq!(produced(&mut client).await, Some(ErrorCode::None.code()));
            broker.metadata.end_lease();
            assert_eq!(produced(&mut client).await, Some(ErrorCode::NotLeaderOrFollower.code()));
            assert!(client.is_closed().await);
            assert_eq!(latest(&mut reader, 0).await, 1);
        },
    );
}

/// The error of a batch; `None`: the connection was closed instead.
async fn produced(client: &mut Client) -> Option<i16> {
    client
        .send(ApiKey::PRODUCE, 10, 1, produce(1, 0, b"v").encode(10))
        .await;
    let (_, body) = client.receive(ApiKey::PRODUCE, 10).await?;
    let response = ProduceResponse::decode(body, 10).expect("valid");
    assert!(response.node_endpoints.is_empty(), "this broker is no better place");
    Some(response.topics[0].partitions[0].error_code)
}

/// Behaviours 16, 17 and 20: what is wrong with a batch or with acks is told per partition.
#[test]
fn produce_errors_have_kafkas_codes() {
    with_broker(
        |_| {},
        |broker| async move {
            let mut client = broker.connect().await;
            let mut corrupt = produce(1, 0, b"value");
            corrupt.topics[0].partitions[0].records = corrupt.topics[0].partitions[0].records.take().map(|records| {
                let mut bytes = records.to_vec();
                *bytes.last_mut().expect("a batch") ^= 1;
                bytes.into()
            });
            let mut none = produce(1, 0, b"v");
            none.topics[0].partitions[0].records = None;
            let mut elsewhere = produce(-1, 0, b"v");
            elsewhere.topics[0].name = "nope".into();
            for (request, code) in [(corrupt, 2), (none, 87), (elsewhere, 3), (produce(5, 0, b"v"), 21)] {
                client.send(ApiKey::PRODUCE, 9, 1, request.encode(9)).await;
                let (_, body) = client.receive(ApiKey::PRODUCE, 9).await.expect("an answer");
                let response = ProduceResponse::decode(body, 9).expect("valid");
                let partition = &response.topics[0].partitions[0];
                assert_eq!((partition.error_code, partition.base_offset), (code, -1));
            }
            assert_eq!(latest(&mut client, 0).await, 0);
        },
    );
}

/// Behaviour 31: an idle poll waits for its time, and is woken by data; behaviour 33: beyond the end is out of range.
#[test]
fn long_polls_wait_and_wake() {
    with_broker(
        |_| {},
        |broker| async move {
            let (mut consumer, mut producer) = (broker.connect().await, broker.connect().await);
            let began = rt::now();
            let empty = consumer.fetch(11, &fetch(0, -1, &[(0, 0)], 300)).await;
            assert!(rt::now().since(began) >= Duration::from_millis(290));
            assert_eq!(empty.topics[0].partitions[0].error_code, 0);

            consumer
                .send(ApiKey::FETCH, 11, 5, fetch(0, -1, &[(0, 0)], 60_000).encode(11))
                .await;
            producer
                .send(ApiKey::PRODUCE, 9, 1, produce(-1, 0, b"wake up").encode(9))
                .await;
            producer.receive(ApiKey::PRODUCE, 9).await.expect("an answer");
            let (_, body) = consumer.receive(ApiKey::FETCH, 11).await.expect("woken");
            let woken = FetchResponse::decode(body, 11).expect("valid");
            assert!(woken.topics[0].partitions[0].records.concat().ends_with(b"wake up\0"));
            let beyond = consumer.fetch(11, &fetch(0, -1, &[(0, 7)], 60_000)).await;
            assert_eq!(beyond.topics[0].partitions[0].error_code, 1);
        },
    );
}

/// Behaviour 36, end to end: a session is made, answers only changes, and ends when it is told to.
#[test]
fn fetch_sessions_are_incremental() {
    with_broker(
        |_| {},
        |broker| async move {
            let mut client = broker.connect().await;
            let full = client.fetch(11, &fetch(0, 0, &[(0, 0), (1, 0)], 0)).await;
            assert!(full.session_id > 0 && full.topics[0].partitions.len() == 2);
            let id = full.session_id;
            assert!(client.fetch(11, &fetch(id, 1, &[], 0)).await.topics.is_empty());
            client.send(ApiKey::PRODUCE, 9, 1, produce(1, 1, b"v").encode(9)).await;
            client.receive(ApiKey::PRODUCE, 9).await.expect("an answer");
            let changed = client.fetch(11, &fetch(id, 2, &[], 1000)).await;
            assert_eq!((changed.session_id, changed.topics.len()), (id, 1));
            assert_eq!(
                changed.topics[0].partitions.iter().map(|p| p.index).collect::<Vec<_>>(),
                [1]
            );
            assert_eq!(client.fetch(11, &fetch(id, 7, &[], 0)).await.error_code, 71);
            assert_eq!(client.fetch(11, &fetch(id, -1, &[(0, 0)], 0)).await.session_id, 0);
            assert_eq!(client.fetch(11, &fetch(id, 3, &[], 0)).await.error_code, 70);
        },
    );
}

/// Behaviours 10 and 12: null is all topics, empty is none; an unknown topic is created on the way, and the client's next
/// requests find it.
#[test]
fn metadata_creates_topics_on_the_way() {
    with_broker(
        |config| config.auto_create_topics = true,
        |broker| async move {
            let mut client = broker.connect().await;
            let mut request = MetadataRequestData {
                topics: None,
                ..Default::default()
            };
            let all: MetadataResponseData = client.ask(ApiKey::METADATA, 12, &request).await;
            assert_eq!(all.topics.len(), 1);
            request.topics = Some(vec![]);
            let none: MetadataResponseData = client.ask(ApiKey::METADATA, 12, &request).await;
            assert_eq!((none.topics.len(), none.brokers.len()), (0, 1));

            let new = MetadataRequestTopic {
                name: Some(kafka_string("new")),
                ..Default::default()
            };
            request.topics = Some(vec![new]);
            request.allow_auto_topic_creation = false;
            let refused: MetadataResponseData = client.ask(ApiKey::METADATA, 12, &request).await;
            assert_eq!(refused.topics[0].error_code, 3);
            request.allow_auto_topic_creation = true;
            let mut codes = Vec::new();
            while codes.last() != Some(&0) && codes.len() < 1000 {
                let response: MetadataResponseData = client.ask(ApiKey::METADATA, 12, &request).await;
                codes.push(response.topics[0].error_code);
                rt::sleep(Duration::from_millis(2)).await;
            }
            assert_eq!((codes.first(), codes.last()), (Some(&3), Some(&0)));
        },
    );
}

/// Behaviour 30: each producer gets an id of its own.
#[test]
fn producer_ids_are_distinct() {
    with_broker(
        |_| {},
        |broker| async move {
            let mut ids = Vec::new();
            for _ in 0..3 {
                let mut client = broker.connect().await;
                let request = InitProducerIdRequestData {
                    producer_id: -1,
                    producer_epoch: -1,
                    ..Default::default()
                };
                let response: InitProducerIdResponseData = client.ask(ApiKey::INIT_PRODUCER_ID, 4, &request).await;
                assert_eq!((response.error_code, response.producer_epoch), (0, 0));
                ids.push(response.producer_id);
            }
            ids.dedup();
            assert_eq!(ids.len(), 3);
        },
    );
}

/// A frame that is announced and does not come costs its announcement, not its size; a frame in pieces is one frame.
#[test]
fn announced_frames_cost_nothing_until_they_come() {
    with_broker(
        |_| {},
        |broker| async move {
            let before = resident_bytes();
            let mut silent = Vec::new();
            for _ in 0..5 {
                let client = broker.connect().await;
                client
                    .send_raw([&(100i32 << 20).to_be_bytes()[..], &[0, 0, 0, 9, 0, 0, 0, 1]].concat())
                    .await;
                silent.push(client);
            }
            broker
                .until(|broker| broker.metrics.get(Metric::RequestMemoryBytes) > 0)
                .await;
            assert!(resident_bytes() < before + (50 << 20));

            // Only what fits into the budget was admitted; who waits goes when the others do.
            broker
                .until(|broker| broker.metrics.get(Metric::RequestMemoryWaits) > 0)
                .await;
            drop(silent);
            let mut client = broker.connect().await;
            let whole = frame(ApiKey::PRODUCE, 9, 3, produce(1, 0, &[7; 300_000]).encode(9)).concat();
            for piece in whole.chunks(40_000) {
                client.send_raw(piece.to_vec()).await;
                rt::yield_now().await;
            }
            assert_eq!(client.receive(ApiKey::PRODUCE, 9).await.map(|(id, _)| id), Some(3));
        },
    );
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("a number");
    pages * 4096
}

/// max.connections.per.ip, and places that come back.
#[test]
fn connections_are_limited() {
    with_broker(
        |config| config.max_connections_per_ip = 2,
        |broker| async move {
            broker.until(|broker| broker.server.connections() == 0).await;
            let mut first = broker.connect().await;
            let mut second = broker.connect().await;
            assert_eq!((latest(&mut first, 0).await, latest(&mut second, 0).await), (0, 0));
            assert!(broker.connect().await.is_closed().await);
            assert_eq!(broker.metrics.get(Metric::ConnectionsRefused), 1);
            drop(first);
            broker.until(|broker| broker.server.connections() == 1).await;
            assert_eq!(latest(&mut broker.connect().await, 0).await, 0);
        },
    );
}

/// connections.max.idle.ms closes who says nothing, a long poll excepted.
#[test]
fn idle_connections_are_closed() {
    with_broker(
        |config| config.connections_max_idle_ms = 500,
        |broker| async move {
            let mut polling = broker.connect().await;
            polling
                .send(ApiKey::FETCH, 11, 5, fetch(0, -1, &[(0, 0)], 3_000).encode(11))
                .await;
            let mut idle = broker.connect().await;
            let mut half = broker.connect().await;
            half.send_raw(vec![0, 0, 0, 99, 0, 0]).await;
            assert!(idle.is_closed().await && half.is_closed().await);
            assert!(polling.receive(ApiKey::FETCH, 11).await.is_some());
        },
    );
}

/// A client that goes away during a long poll frees its connection at once, and the way out does not wait for polls.
#[test]
fn long_polls_end_with_their_connection() {
    with_broker(
        |_| {},
        |broker| async move {
            let client = broker.connect().await;
            client
                .send(ApiKey::FETCH, 11, 5, fetch(0, -1, &[(0, 0)], 3_600_000).encode(11))
                .await;
            broker
                .until(|broker| broker.metrics.get(Metric::RequestMemoryBytes) > 0)
                .await;
            drop(client);
            broker.until(|broker| broker.server.connections() == 0).await;

            let mut client = broker.connect().await;
            client
                .send(ApiKey::FETCH, 11, 5, fetch(0, -1, &[(0, 0)], 3_600_000).encode(11))
                .await;
            broker
                .until(|broker| broker.metrics.get(Metric::RequestMemoryBytes) > 0)
                .await;
            broker.server.shutdown(Duration::from_millis(20)).await;
            assert!(client.is_closed().await);
        },
    );
}
