//! Fetch: long-polling reads for consumers and for brokers that copy, in incremental sessions; record data goes through as
//! slices.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_lite::future::or;

use crate::metadata::{Image, Topic};
use crate::metrics::Metric;
use crate::model::{BrokerId, ErrorCode, PartitionId, TopicId};
use crate::record::{Compression, OldFormat, convert_down};
use crate::rt::{self, Instant};
use crate::shard::{FetchItem, FetchSpec, FetchedPartition, Isolation, Reader};
use crate::wire::ApiKey;
use crate::wire::fetch::{
    EPOCH_LAST, FetchPartition, FetchPartitionResponse, FetchRequest, FetchResponse, FetchTopicResponse,
};
use crate::wire::produce::NodeEndpoint;

use super::cluster_view::{hosted_partition, led_partition};
use super::fetch_session::{FetchPlan, Key};
use super::leader_hints::{LeaderHints, is_about_the_leader};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::FETCH,
    name: "Fetch",
    versions: 0..=18,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// Below this version topics are named, from it on they come by id. //= KIP-516
const FIRST_VERSION_BY_ID: i16 = 13;
/// From here on batches are answered as they lie in the log. //= KIP-98
const FIRST_VERSION_WITH_BATCHES: i16 = 4;
/// From here on the client can read zstd. //= KIP-110
const FIRST_VERSION_WITH_ZSTD: i16 = 10;
/// From here on a consumer says its rack, and may read from a replica that does not lead. //= KIP-392
const FIRST_VERSION_WITH_RACKS: i16 = 11;
/// From here on an answer can say where the leader is. //= KIP-951
const FIRST_VERSION_WITH_LEADERS: i16 = 16;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let (message, trailing) = FetchRequest::decode_with_trailing(request.body, version)?;
    cx.count_trailing(trailing);
    let by_id = version >= FIRST_VERSION_BY_ID;
    let sessions = &cx.services.fetch_sessions;
    let plan = match sessions.plan(&message, by_id, rt::now()) {
        Ok(plan) => plan,
        Err(error) => return Ok(Answer::Body(session_error(error).encode(version))),
    };
    let image = cx.image();
    let resolver = Resolver {
        image: &image,
        me: cx.broker_id(),
        version,
        rack: rack(&message, &cx),
        // What is not ours to give any more, a follower must not take for the leader's log.
        may_lead: is_consumer(message.replica_id) || cx.router().may_lead(),
        held_until: cx.router().throttles().leader.rests_until(rt::now()),
    };
    let (spec, places) = resolver.resolve(&plan, &message, cx.config().fetch_max_bytes);
    count_requests(&cx, places.len());
    let partitions: Vec<PartitionId> = spec.items.iter().map(|item| item.partition).collect();
    let reader = spec.reader;
    let fetched = match reader {
        Reader::Consumer { .. } => cx.router().fetch(spec).await,
        Reader::Follower { .. } => {
            let again = || resolver.resolve(&plan, &message, cx.config().fetch_max_bytes).0;
            fetch_until_next(&cx, spec, again).await
        }
    };
    count_traffic(&cx, &image, &partitions, &fetched, reader);
    count_throttled(&cx, &image, &partitions, &fetched, reader);
    let mut answers = join(places, fetched, message.isolation_level, version);
    if let Some(format) = old_format(version) {
        convert(&plan, &mut answers, format);
    }
    count_failures(&cx, &answers);
    let (session_id, mut answers) = sessions.finish(plan, answers, by_id, new_session_id(), rt::now());
    let response = FetchResponse {
        session_id,
        node_endpoints: resolver.name_leaders(&mut answers, &cx.listener),
        shard: asks_where(&message).then(|| cx.router().place()),
        topics: by_topic(answers),
        ..Default::default()
    };
    Ok(Answer::Body(response.encode(version)))
}

/// A follower that asks for nothing asks on which shard its connection lies.
fn asks_where(request: &FetchRequest) -> bool {
    !is_consumer(request.replica_id) && request.topics.is_empty() && request.session_epoch == EPOCH_LAST
}

/// A follower that sends another request has more to ask for, and is answered by what there is: producers may wait for it to
/// copy that as well.
async fn fetch_until_next(cx: &Context, spec: FetchSpec, again: impl FnOnce() -> FetchSpec) -> Vec<FetchedPartition> {
    let fetched = async { Some(cx.router().fetch(spec).await) };
    // Polled whenever the connection has read something.
    let next = poll_fn(|_| match cx.next_waits.get() {
        true => Poll::Ready(None),
        false => Poll::Pending,
    });
    match or(fetched, next).await {
        Some(fetched) => fetched,
        None => {
            let no_wait = true;
            cx.router().fetch(FetchSpec { no_wait, ..again() }).await
        }
    }
}

fn session_error(error: ErrorCode) -> FetchResponse {
    FetchResponse {
        error_code: error.code(),
        ..Default::default()
    }
}

/// Random, so that ids of different shards and of a broker's earlier life do not meet.
fn new_session_id() -> i32 {
    (rt::random_u64() >> 33) as i32
}

struct Resolver<'a> {
    image: &'a Image,
    me: BrokerId,
    version: i16,
    /// The rack of a consumer that is to be sent to a replica there.
    rack: Option<&'a str>,
    may_lead: bool,
    /// Until when throttled replicas are not copied from here.
    held_until: Option<Instant>,
}

/// The consumer's rack, where consumers are sent to replicas of theirs.
fn rack<'a>(request: &'a FetchRequest, cx: &Context) -> Option<&'a str> {
    let by_rack = cx.config().replication.reads_by_rack && is_consumer(request.replica_id);
    let rack = std::str::from_utf8(&request.rack_id).ok()?;
    (by_rack && !rack.is_empty()).then_some(rack)
}

/// Brokers that copy have their id, from 0 on. -1 is a consumer, -2 one of a tool that compares replicas; -3 is a replica in
/// another directory of the same broker.
fn is_consumer(replica_id: i32) -> bool {
    matches!(replica_id, -2 | -1)
}

/// A partition's answer: known already, or the next outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Failed(i32, ErrorCode),
    /// The consumer is to read from this replica.
    Elsewhere(i32, BrokerId),
    Asked(i32),
}

impl Resolver<'_> {
    /// The question to the shards, and the place of each of its outcomes among the plan's partitions.
    fn resolve(&self, plan: &FetchPlan, request: &FetchRequest, bytes_max: i32) -> (FetchSpec, Vec<Place>) {
        let mut items = Vec::with_capacity(plan.partitions.len());
        let places: Vec<Place> = plan
            .partitions
            .iter()
            .map(
                |(key, asked)| match (self.partition(key, request.replica_id), self.nearer_replica(key)) {
                    (Ok(_), Some(replica)) => Place::Elsewhere(key.index, replica),
                    (Ok(partition), None) => {
                        items.push(FetchItem {
                            held: self.holds(key, request.replica_id),
                            ..item(partition, asked)
                        });
                        Place::Asked(key.index)
                    }
                    (Err(error), _) => Place::Failed(key.index, error),
                },
            )
            .collect();
        let reader = reader(request, self.version);
        let max_bytes = match reader {
            Reader::Consumer { .. } => bytes(request.max_bytes.min(bytes_max)),
            Reader::Follower { .. } => bytes(request.max_bytes),
        };
        let spec = FetchSpec {
            min_bytes: bytes(request.min_bytes).min(max_bytes),
            max_bytes,
            max_wait: self.wait(request.max_wait_ms, &items),
            reader,
            //= protocol: an error anywhere, or nothing to wait for, is answered at once
            no_wait: items.is_empty() || items.len() < places.len(),
            items,
        };
        (spec, places)
    }

    fn partition(&self, key: &Key, replica_id: i32) -> Result<PartitionId, ErrorCode> {
        if !self.may_lead {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let topic = self.topic(key)?;
        let zstd = topic
            .config
            .compression
            .is_some_and(|(compression, _)| compression == Compression::Zstd);
        // The client could not read what the broker itself compresses with zstd here. Older ones get messages that are not
        // compressed at all.
        if zstd && (FIRST_VERSION_WITH_BATCHES..FIRST_VERSION_WITH_ZSTD).contains(&self.version) {
            return Err(ErrorCode::UnsupportedCompressionType);
        }
        match is_consumer(replica_id) && self.version >= FIRST_VERSION_WITH_RACKS {
            true => hosted_partition(topic, key.index, self.me),
            false => led_partition(topic, key.index, self.me),
        }
    }

    /// Whether a follower gets no records of this partition now: it is out of sync, its copying is throttled, and what was
    /// copied so far was as much as the rate allows.
    fn holds(&self, key: &Key, replica_id: i32) -> bool {
        if self.held_until.is_none() || replica_id < 0 {
            return false;
        }
        let Ok(topic) = self.topic(key) else {
            return false;
        };
        let state = topic.partition(key.index);
        let is_in_sync = state.is_some_and(|state| state.isr.contains(&BrokerId(replica_id)));
        !is_in_sync && topic.config.leader_throttled.has(key.index, self.me.0)
    }

    /// No longer than until what is held may go.
    fn wait(&self, max_wait_ms: i32, items: &[FetchItem]) -> Duration {
        let asked = Duration::from_millis(u64::try_from(max_wait_ms).unwrap_or(0));
        match self.held_until {
            Some(until) if items.iter().any(|item| item.held) => asked.min(until.since(rt::now())),
            _ => asked,
        }
    }

    /// An in-sync replica in the consumer's rack, if this broker leads and is in another one. //= KIP-392
    fn nearer_replica(&self, key: &Key) -> Option<BrokerId> {
        let rack = Some(self.rack?);
        let broker = |id: &BrokerId| self.image.brokers.get(id).filter(|broker| !broker.fenced);
        let is_near = |id: &&BrokerId| broker(id).is_some_and(|broker| broker.rack.as_deref() == rack);
        let topic = self.topic(key).ok()?;
        let state = topic.partitions.get(usize::try_from(key.index).ok()?)?;
        if state.leader != Some(self.me) || is_near(&&self.me) {
            return None;
        }
        let near: Vec<&BrokerId> = state.isr.iter().filter(is_near).collect();
        // Spreads the partitions over them.
        let at = usize::try_from(key.index).unwrap_or(0).checked_rem(near.len())?;
        near.get(at).map(|id| **id)
    }

    /// Where the leaders are that a partition's error is about.
    fn name_leaders(&self, answers: &mut [(Key, FetchPartitionResponse)], listener: &str) -> Vec<NodeEndpoint> {
        let mut answers = answers
            .iter_mut()
            .filter(|(_, answer)| is_about_the_leader(answer.error_code))
            .peekable();
        if self.version < FIRST_VERSION_WITH_LEADERS || answers.peek().is_none() {
            return Vec::new();
        }
        let mut hints = LeaderHints::new(self.image, listener);
        for (key, answer) in answers {
            let topic = self.topic(key).ok();
            answer.current_leader = topic.and_then(|topic| hints.leader_of(topic, key.index));
        }
        hints.into_endpoints()
    }

    fn topic(&self, key: &Key) -> Result<&Topic, ErrorCode> {
        if self.version >= FIRST_VERSION_BY_ID {
            let known = (key.id != TopicId::ZERO)
                .then(|| self.image.topic_by_id(&key.id))
                .flatten();
            return known.map(AsRef::as_ref).ok_or(ErrorCode::UnknownTopicId);
        }
        let name = std::str::from_utf8(&key.name).map_err(|_| ErrorCode::InvalidTopicException)?;
        self.image
            .topic(name)
            .map(AsRef::as_ref)
            .ok_or(ErrorCode::UnknownTopicOrPartition)
    }
}

fn item(partition: PartitionId, asked: &FetchPartition) -> FetchItem {
    FetchItem {
        partition,
        offset: asked.fetch_offset,
        max_bytes: bytes(asked.max_bytes),
        leader_epoch: asked.current_leader_epoch,
        last_fetched_epoch: asked.last_fetched_epoch,
        log_start: asked.log_start_offset,
        held: false,
    }
}

/// //= protocol: consumers see what is committed, replicas the log's end
fn reader(request: &FetchRequest, version: i16) -> Reader {
    match (request.replica_id, request.isolation_level) {
        (0.., _) => Reader::Follower {
            broker: BrokerId(request.replica_id),
            epoch: request.replica_epoch,
        },
        (id, level) if is_consumer(id) => Reader::Consumer {
            isolation: match level {
                1 => Isolation::ReadCommitted,
                _ => Isolation::ReadUncommitted,
            },
            from_any_replica: version >= FIRST_VERSION_WITH_RACKS,
        },
        _ => Reader::consumer(Isolation::LogEnd),
    }
}

fn bytes(limit: i32) -> usize {
    usize::try_from(limit).unwrap_or(0)
}

/// One answer per place, in order.
fn join(
    places: Vec<Place>,
    fetched: Vec<FetchedPartition>,
    isolation_level: i8,
    version: i16,
) -> Vec<FetchPartitionResponse> {
    let mut fetched = fetched.into_iter();
    let answer = |place| match place {
        Place::Failed(index, error) => failed(index, error),
        Place::Elsewhere(index, replica) => FetchPartitionResponse {
            preferred_read_replica: replica.0,
            ..failed(index, ErrorCode::None)
        },
        Place::Asked(index) => match fetched.next() {
            Some(fetched) => answered(index, fetched, version),
            None => failed(index, ErrorCode::NotLeaderOrFollower),
        },
    };
    let mut answers: Vec<_> = places.into_iter().map(answer).collect();
    //= KIP-98: a list for read_committed, also where nothing was read; null for read_uncommitted
    if isolation_level == 1 {
        answers.iter_mut().for_each(|answer| {
            answer.aborted_transactions.get_or_insert_default();
        });
    }
    answers
}

/// The format of the messages in versions that know no batches.
fn old_format(version: i16) -> Option<OldFormat> {
    match version {
        ..=1 => Some(OldFormat::V0),
        2..FIRST_VERSION_WITH_BATCHES => Some(OldFormat::V1),
        _ => None,
    }
}

/// Puts messages of an old format in the place of the batches.
fn convert(plan: &FetchPlan, answers: &mut [FetchPartitionResponse], format: OldFormat) {
    for ((_, asked), answer) in plan.partitions.iter().zip(answers) {
        let batches = std::mem::take(&mut answer.records).concat().into();
        match convert_down(batches, format, asked.fetch_offset, bytes(asked.max_bytes)) {
            Ok(messages) if messages.is_empty() => {}
            Ok(messages) => answer.records = vec![messages.into()],
            Err(_) => *answer = failed(answer.index, ErrorCode::CorruptMessage),
        }
    }
}

fn answered(index: i32, fetched: FetchedPartition, version: i16) -> FetchPartitionResponse {
    let error = match fetched.error {
        // Clients below version 6 do not know the code, and are to look for another leader.
        ErrorCode::KafkaStorageError if version <= 5 => ErrorCode::NotLeaderOrFollower,
        error => error,
    };
    if !error.is_none() {
        return FetchPartitionResponse {
            log_start_offset: fetched.log_start_offset,
            ..failed(index, error)
        };
    }
    FetchPartitionResponse {
        index,
        high_watermark: fetched.high_watermark,
        last_stable_offset: fetched.last_stable_offset,
        log_start_offset: fetched.log_start_offset,
        diverging_epoch: fetched.diverging_epoch,
        records: fetched.records,
        aborted_transactions: fetched.aborted,
        ..Default::default()
    }
}

fn failed(index: i32, error: ErrorCode) -> FetchPartitionResponse {
    FetchPartitionResponse {
        index,
        error_code: error.code(),
        ..Default::default()
    }
}

/// Neighbours of the same topic go into one entry; the order of the partitions stays.
fn by_topic(answers: Vec<(Key, FetchPartitionResponse)>) -> Vec<FetchTopicResponse> {
    let mut topics: Vec<FetchTopicResponse> = Vec::new();
    for (key, answer) in answers {
        match topics
            .last_mut()
            .filter(|topic| topic.id == key.id && topic.name == key.name)
        {
            Some(topic) => topic.partitions.push(answer),
            None => topics.push(FetchTopicResponse {
                name: key.name,
                id: key.id,
                partitions: vec![answer],
            }),
        }
    }
    topics
}

fn count_requests(cx: &Context, partitions: usize) {
    cx.metrics().add(Metric::FetchRequests, partitions as i64);
}

/// What followers copy is not what consumers read.
fn count_traffic(
    cx: &Context,
    image: &Image,
    partitions: &[PartitionId],
    fetched: &[FetchedPartition],
    reader: Reader,
) {
    let is_consumer = matches!(reader, Reader::Consumer { .. });
    let mut all = 0;
    for (partition, fetched) in partitions.iter().zip(fetched) {
        let bytes: usize = fetched.records.iter().map(bytes::Bytes::len).sum();
        if bytes > 0 && is_consumer {
            cx.services.topic_traffic.on_fetched(image, partition.topic, bytes);
        }
        all += bytes;
    }
    let metric = match is_consumer {
        true => Metric::BytesOut,
        false => Metric::ReplicationBytesOut,
    };
    if all > 0 {
        cx.metrics().add(metric, all as i64);
    }
    if !is_consumer {
        cx.metrics().add(Metric::FollowerFetches, 1);
    }
}

/// What followers get of throttled replicas, those in sync too, counts for the rate of them all.
fn count_throttled(
    cx: &Context,
    image: &Image,
    partitions: &[PartitionId],
    fetched: &[FetchedPartition],
    reader: Reader,
) {
    let Reader::Follower { .. } = reader else { return };
    let is_throttled = |id: &PartitionId| {
        let topic = image.topic_by_id(&id.topic);
        topic.is_some_and(|topic| topic.config.leader_throttled.has(id.index, cx.broker_id().0))
    };
    let bytes: usize = partitions
        .iter()
        .zip(fetched)
        .filter(|(id, fetched)| !fetched.records.is_empty() && is_throttled(id))
        .map(|(_, fetched)| fetched.record_bytes())
        .sum();
    if bytes > 0 {
        let rate = image.config().replication.leader_rate;
        cx.router().throttles().leader.on_copied(bytes, rate, rt::now());
    }
}

fn count_failures(cx: &Context, answers: &[FetchPartitionResponse]) {
    let failures = answers.iter().filter(|answer| answer.error_code != 0).count();
    if failures > 0 {
        cx.metrics().add(Metric::FailedFetchRequests, failures as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fetch_session::ReplyTo;
    use crate::api::testing;
    use crate::record::BatchBuilder;
    use bytes::Bytes;

    const CONSUMER: i32 = -1;

    fn request(max_bytes: i32, min_bytes: i32) -> FetchRequest {
        FetchRequest {
            replica_id: -1,
            replica_epoch: -1,
            max_wait_ms: 500,
            min_bytes,
            max_bytes,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: vec![],
            forgotten: vec![],
            rack_id: Bytes::new(),
            cluster_id: None,
        }
    }

    fn plan(keys: &[Key]) -> FetchPlan {
        let partition = |key: &Key| FetchPartition {
            index: key.index,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            max_bytes: 1000,
        };
        let partitions = keys.iter().map(|key| (key.clone(), partition(key))).collect();
        FetchPlan {
            partitions,
            reply: ReplyTo::Sessionless,
        }
    }

    fn named(name: &'static str, index: i32) -> Key {
        Key {
            name: name.into(),
            id: TopicId::ZERO,
            index,
        }
    }

    fn fetched(data: &'static str) -> FetchedPartition {
        FetchedPartition {
            error: ErrorCode::None,
            high_watermark: 9,
            last_stable_offset: 9,
            log_start_offset: 0,
            diverging_epoch: None,
            records: vec![Bytes::from_static(data.as_bytes())],
            aborted: None,
        }
    }

    /// Behaviours 31 and 33: an idle poll waits, an error or an empty request is answered at once.
    #[test]
    fn only_a_healthy_fetch_waits() {
        let image = testing::image(&[("a", 2)]);
        let resolver = Resolver {
            image: &image,
            me: BrokerId(1),
            version: 12,
            rack: None,
            may_lead: true,
            held_until: None,
        };
        let resolve = |keys: &[Key]| resolver.resolve(&plan(keys), &request(1 << 20, 1), 1 << 30).0;
        let healthy = resolve(&[named("a", 0), named("a", 1)]);
        assert_eq!(
            (healthy.no_wait, healthy.max_wait, healthy.items.len()),
            (false, Duration::from_millis(500), 2)
        );
        assert!(resolve(&[named("a", 0), named("a", 2)]).no_wait);
        assert!(resolve(&[]).no_wait);
    }

    /// fetch.max.bytes caps the request, and min_bytes never asks for more than may come.
    #[test]
    fn limits_are_capped() {
        let image = testing::image(&[("a", 1)]);
        let resolver = Resolver {
            image: &image,
            me: BrokerId(1),
            version: 12,
            rack: None,
            may_lead: true,
            held_until: None,
        };
        let spec = resolver
            .resolve(&plan(&[named("a", 0)]), &request(i32::MAX, 5000), 4096)
            .0;
        assert_eq!((spec.max_bytes, spec.min_bytes), (4096, 4096));
        let spec = resolver.resolve(&plan(&[named("a", 0)]), &request(-1, -1), 4096).0;
        assert_eq!((spec.max_bytes, spec.min_bytes), (0, 0));
    }

    /// Behaviour 38: ids from version 13 on; an unknown id has its own code.
    #[test]
    fn topics_come_by_id_from_version_13() {
        let image = testing::image(&[("a", 1)]);
        let id = image.topic("a").expect("created above").id;
        let by_id = |id| Key {
            name: Bytes::new(),
            id,
            index: 0,
        };
        let at = |version| Resolver {
            image: &image,
            me: BrokerId(1),
            version,
            rack: None,
            may_lead: true,
            held_until: None,
        };
        assert_eq!(
            at(13).partition(&by_id(id), CONSUMER),
            Ok(PartitionId { topic: id, index: 0 })
        );
        assert_eq!(
            at(13).partition(&by_id(TopicId([9; 16])), CONSUMER),
            Err(ErrorCode::UnknownTopicId)
        );
        assert_eq!(
            at(13).partition(&by_id(TopicId::ZERO), CONSUMER),
            Err(ErrorCode::UnknownTopicId)
        );
        assert_eq!(
            at(12).partition(&named("b", 0), CONSUMER),
            Err(ErrorCode::UnknownTopicOrPartition)
        );
        assert_eq!(
            Resolver {
                me: BrokerId(2),
                ..at(12)
            }
            .partition(&named("a", 0), CONSUMER),
            Err(ErrorCode::NotLeaderOrFollower)
        );
    }

    /// While what was copied is as much as the rate allows, a throttled follower that is out of sync gets nothing; one in
    /// sync, a consumer, and the replicas of other topics go on.
    #[test]
    fn only_throttled_followers_out_of_sync_are_held() {
        let throttled = testing::image_with_override("a", "leader.replication.throttled.replicas", "0:1");
        let free = testing::image(&[("a", 1)]);
        let at = |image, held_until| Resolver {
            image,
            me: BrokerId(1),
            version: 12,
            rack: None,
            may_lead: true,
            held_until,
        };
        let later = Some(rt::now().after(Duration::from_secs(3)));
        let key = named("a", 0);
        assert!(at(&throttled, later).holds(&key, 2));
        for goes_on in [1, CONSUMER] {
            assert!(!at(&throttled, later).holds(&key, goes_on), "replica id {goes_on}");
        }
        assert!(!at(&free, later).holds(&key, 2), "it is not throttled");
        assert!(!at(&throttled, None).holds(&key, 2), "the rate allows more");
    }

    /// An error about the leader names it from version 16 on, any other error does not.
    #[test]
    fn the_leader_is_named_beside_an_error_about_it() {
        let image = testing::image(&[("a", 2)]);
        let id = image.topic("a").expect("created above").id;
        let answer = |index, error| {
            (
                Key {
                    name: Bytes::new(),
                    id,
                    index,
                },
                failed(index, error),
            )
        };
        let named = |version, error| {
            let mut answers = [answer(0, error), answer(1, ErrorCode::OffsetOutOfRange)];
            let resolver = Resolver {
                image: &image,
                me: BrokerId(2),
                version,
                rack: None,
                may_lead: true,
                held_until: None,
            };
            let endpoints = resolver.name_leaders(&mut answers, "PLAINTEXT");
            assert_eq!(answers[1].1.current_leader, None);
            (answers[0].1.current_leader, endpoints.len())
        };
        assert_eq!(named(16, ErrorCode::NotLeaderOrFollower), (Some((1, 0)), 1));
        assert_eq!(named(17, ErrorCode::FencedLeaderEpoch), (Some((1, 0)), 1));
        assert_eq!(named(15, ErrorCode::NotLeaderOrFollower), (None, 0));
        assert_eq!(named(17, ErrorCode::UnknownTopicId), (None, 0));
    }

    /// Behaviour 35: the list of aborted transactions is there for read_committed, null otherwise.
    #[test]
    fn aborted_transactions_are_listed_for_read_committed() {
        let of = |level| {
            join(vec![Place::Asked(0)], vec![fetched("x")], level, 11)[0]
                .aborted_transactions
                .clone()
        };
        assert_eq!((of(0), of(1)), (None, Some(vec![])));
        let aborted = FetchedPartition {
            aborted: Some(vec![(7, 3)]),
            ..fetched("x")
        };
        let answers = join(vec![Place::Asked(0)], vec![aborted], 1, 11);
        assert_eq!(answers[0].aborted_transactions, Some(vec![(7, 3)]));
    }

    /// Behaviours 34 and 40: a failed partition has no offsets; old clients get a code that they know.
    #[test]
    fn failed_partitions_have_no_high_watermark() {
        let broken = || FetchedPartition {
            error: ErrorCode::KafkaStorageError,
            ..fetched("")
        };
        let places = || vec![Place::Failed(3, ErrorCode::UnknownTopicId), Place::Asked(4)];
        let answers = join(places(), vec![broken()], 0, 6);
        assert_eq!(
            (answers[0].index, answers[0].error_code, answers[0].high_watermark),
            (3, 100, -1)
        );
        assert_eq!(
            (answers[1].index, answers[1].error_code, answers[1].high_watermark),
            (4, 56, -1)
        );
        assert_eq!(join(places(), vec![broken()], 0, 5)[1].error_code, 6);
    }

    /// Behaviour 40: a client that knows no batches gets messages, from its offset on and within its limit.
    #[test]
    fn old_versions_are_answered_with_messages() {
        let mut builder = BatchBuilder::new(Compression::Zstd);
        (0..3).for_each(|at| builder.push(1000 + at, None, Some(b"value"), &[]));
        let batch = builder.build();
        let messages = |version, offset, max_bytes| {
            let plan = FetchPlan {
                partitions: vec![(
                    named("a", 0),
                    FetchPartition {
                        fetch_offset: offset,
                        max_bytes,
                        ..Default::default()
                    },
                )],
                reply: ReplyTo::Sessionless,
            };
            let mut answers = join(
                vec![Place::Asked(0)],
                vec![FetchedPartition {
                    records: vec![batch.slice(..70), batch.slice(70..)],
                    ..fetched("")
                }],
                0,
                version,
            );
            convert(&plan, &mut answers, old_format(version).expect("an old version"));
            (answers[0].error_code, answers[0].records.concat())
        };
        // 12 bytes of offset and size, 14 of a message without key, 5 of value; 8 more of a time.
        assert_eq!(messages(0, 0, 1 << 20).1.len(), 3 * 31);
        assert_eq!(messages(3, 1, 1 << 20).1.len(), 2 * 39);
        assert_eq!(messages(1, 0, 61).1.len(), 31);
        assert_eq!(messages(1, 0, 1).1.len(), 31);
        assert_eq!(messages(2, 3, 1 << 20), (0, Vec::new()));
        assert_eq!((old_format(4), old_format(17)), (None, None));
    }

    /// Answers of one topic side by side are grouped, and every version encodes.
    #[test]
    fn neighbours_share_a_topic_entry() {
        let answer = |index| answered(index, fetched("xyz"), 12);
        let keys = [named("a", 0), named("a", 1), named("b", 0), named("a", 2)];
        for version in API.versions {
            let answers = keys.iter().map(|key| (key.clone(), answer(key.index))).collect();
            let topics = by_topic(answers);
            assert_eq!(
                topics.iter().map(|topic| topic.partitions.len()).collect::<Vec<_>>(),
                [2, 1, 1]
            );
            let body = FetchResponse {
                topics,
                ..Default::default()
            }
            .encode(version);
            assert!(body.total_len() > 12);
        }
    }
}
