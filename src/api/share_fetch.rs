//! ShareFetch: records for a member of a share group, and what it says of those that it holds.
//!
//! Three steps, until something is acquired or the time is over: ask each share partition where its next record is; read
//! there, along the way of every fetch; acquire what was read. Two members may read the same batches, and the first to
//! acquire has them: nothing is locked while a read is under way, so a connection that closes meanwhile leaves nothing
//! behind.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::future;

use crate::metadata::Image;
use crate::metrics::Metric;
use crate::model::{ErrorCode, PartitionId, TopicId};
use crate::rt::{self, Instant};
use crate::shard::{FetchItem, FetchSpec, FetchedPartition, Reader, ShareAction, ShareReply};
use crate::share::{Acquire, Acquired};
use crate::wire::ApiKey;
use crate::wire::messages::{ShareFetchRequestData, topic_id};
use crate::wire::share_fetch::{ShareFetchResponse, ShareFetchedPartition, ShareFetchedTopic};

use super::cluster_view::led_partition;
use super::leader_hints::{LeaderHints, is_about_the_leader};
use super::share_batches::{Batches, overlapping};
use super::share_group_describe::is_unknown;
use super::share_session::{Fetching, Member, Phase};
use super::shares::{self, Named, Said, Settings};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::SHARE_FETCH,
    name: "ShareFetch",
    versions: 1..=2,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// From this version on a member may ask for more time, and for no more records than it can take.
const RENEW_FROM: i16 = 2;
/// ShareAcquireMode: the number of records is a limit, not a wish. //= KIP-1206
const EXACT: i8 = 1;

/// For the states of all partitions of one fetch.
const LOADING_PATIENCE: Duration = Duration::from_millis(100);
/// Before it is looked again where a partition's log does not have the offset that comes next.
const MISPLACED_PAUSE: Duration = Duration::from_millis(100);

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<ShareFetchRequestData>(&cx)?;
    let response = match fetch(&cx, message, version).await {
        Ok(response) => response,
        Err(error) => ShareFetchResponse {
            error_code: error.code(),
            ..Default::default()
        },
    };
    Ok(Answer::Body(response.encode()))
}

/// What the member would have.
#[derive(Clone, Copy)]
struct Wish {
    bytes_max: usize,
    bytes_min: usize,
    records_max: i64,
    range_records: i64,
    is_exact: bool,
    until: Instant,
}

impl Wish {
    /// The same, with no wait beyond that.
    fn by(self, until: Instant) -> Wish {
        Wish { until, ..self }
    }
}

/// One partition's records, and who they now belong to.
#[derive(Default)]
struct Got {
    error: Option<ErrorCode>,
    records: Vec<Bytes>,
    acquired: Vec<Acquired>,
}

async fn fetch(cx: &Context, message: ShareFetchRequestData, version: i16) -> Result<ShareFetchResponse, ErrorCode> {
    let member = shares::member(message.group_id.as_ref(), message.member_id.as_ref())?;
    let is_renewal = version >= RENEW_FROM && message.is_renew_ack;
    if is_renewal && !asks_for_nothing(&message) {
        return Err(ErrorCode::InvalidRequest);
    }
    let said = said(&message);
    if message.share_session_epoch == 0 && !said.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let sessions = &cx.share_sessions;
    let Fetching {
        phase,
        mut partitions,
        joined,
    } = sessions.fetch(
        &member,
        message.share_session_epoch,
        &named(&message),
        &forgotten(&message),
    )?;
    if phase == Phase::First && is_unknown(cx, &member.0).await {
        // What would be kept for it could not be deleted with it.
        sessions.end(&member);
        return Err(ErrorCode::GroupIdNotFound);
    }
    let settings = shares::settings(cx, &member.0);
    // A member that has given a partition back names it once more when it says what became of the records: it wants none.
    let new: BTreeSet<PartitionId> = joined.iter().copied().collect();
    partitions.retain(|one| !(said.contains_key(&name(*one)) && new.contains(one)));
    begin(cx, &member, &settings, joined);
    let acknowledged = shares::acknowledge(cx, &member, &settings, said, is_renewal).await;
    let got = match phase {
        Phase::Final => BTreeMap::new(),
        _ if is_renewal => BTreeMap::new(),
        _ => records(cx, &member, &settings, partitions, wish(cx, &message)).await,
    };
    if phase == Phase::Final {
        sessions.end(&member);
    }
    Ok(respond(cx, &settings, got, acknowledged))
}

//= KIP-1222: a renewal brings no records, because reading them might take the time that was won
fn asks_for_nothing(message: &ShareFetchRequestData) -> bool {
    [
        message.max_bytes,
        message.min_bytes,
        message.max_records,
        message.max_wait_ms,
    ] == [0; 4]
}

fn wish(cx: &Context, message: &ShareFetchRequestData) -> Wish {
    let bytes_max = usize::try_from(message.max_bytes.min(cx.config().fetch_max_bytes)).unwrap_or(0);
    let wait = Duration::from_millis(u64::try_from(message.max_wait_ms).unwrap_or(0));
    Wish {
        bytes_max,
        bytes_min: usize::try_from(message.min_bytes)
            .unwrap_or(0)
            .clamp(1, bytes_max.max(1)),
        records_max: message.max_records.into(),
        range_records: i64::from(message.batch_size).max(1),
        is_exact: message.share_acquire_mode == EXACT,
        until: rt::now().after(wait),
    }
}

fn said(message: &ShareFetchRequestData) -> BTreeMap<Named, Vec<Said>> {
    let mut said = BTreeMap::new();
    for topic in &message.topics {
        for partition in &topic.partitions {
            let batches = partition.acknowledgement_batches.iter();
            let batches = batches.map(|batch| (batch.first_offset, batch.last_offset, batch.acknowledge_types.clone()));
            let batches: Vec<Said> = batches.collect();
            if !batches.is_empty() {
                said.insert((topic_id(topic.topic_id), partition.partition_index), batches);
            }
        }
    }
    said
}

fn named(message: &ShareFetchRequestData) -> Vec<PartitionId> {
    let topics = message.topics.iter();
    let partitions = topics.flat_map(|topic| {
        let id = topic_id(topic.topic_id);
        topic.partitions.iter().map(move |one| PartitionId {
            topic: id,
            index: one.partition_index,
        })
    });
    partitions.collect()
}

/// The partitions that this broker leads, and what the client is told of the others.
fn led(cx: &Context, partitions: Vec<PartitionId>) -> (Vec<PartitionId>, BTreeMap<Named, Got>) {
    let image = cx.image();
    let (mut led, mut refused) = (Vec::new(), BTreeMap::new());
    for partition in partitions {
        let topic = image.topic_by_id(&partition.topic).ok_or(ErrorCode::UnknownTopicId);
        match topic.and_then(|topic| led_partition(topic, partition.index, cx.broker_id())) {
            Ok(partition) => led.push(partition),
            Err(error) => drop(refused.insert(name(partition), Got::refused(error))),
        }
    }
    (led, refused)
}

/// Nobody waits for the answers: the questions are on their way when this returns.
fn begin(cx: &Context, member: &Member, settings: &Settings, joined: Vec<PartitionId>) {
    for partition in joined {
        drop(cx.router().share(partition, settings.ask(member, ShareAction::Begin)));
    }
}

fn forgotten(message: &ShareFetchRequestData) -> BTreeSet<PartitionId> {
    let topics = message.forgotten_topics_data.iter();
    let partitions = topics.flat_map(|topic| {
        let id = topic_id(topic.topic_id);
        topic.partitions.iter().map(move |index| PartitionId {
            topic: id,
            index: *index,
        })
    });
    partitions.collect()
}

/// Goes through the three steps until there is something to say.
async fn records(
    cx: &Context,
    member: &Member,
    settings: &Settings,
    partitions: Vec<PartitionId>,
    wish: Wish,
) -> BTreeMap<Named, Got> {
    let (partitions, refused) = led(cx, partitions);
    // News is told at once, with what there is now.
    let wish = match refused.is_empty() {
        true => wish,
        false => wish.by(rt::now()),
    };
    offered(cx, member, settings, partitions, wish, refused).await
}

async fn offered(
    cx: &Context,
    member: &Member,
    settings: &Settings,
    partitions: Vec<PartitionId>,
    wish: Wish,
    mut got: BTreeMap<Named, Got>,
) -> BTreeMap<Named, Got> {
    if partitions.is_empty() || wish.records_max <= 0 || wish.bytes_max == 0 {
        return got;
    }
    loop {
        let watch = watch(cx, member, settings, &partitions, wish.until);
        let (ready, errors) = next_offsets(cx, member, settings, &partitions).await;
        got.extend(errors);
        // With news, or no time, what there is now is read to the end.
        let waits = got.is_empty() && rt::now() < wish.until;
        let wait_until = if waits { wish.until } else { rt::now() };
        let read = async {
            let items = read(cx, settings, &ready, wish.by(wait_until)).await;
            Some(items)
        };
        let mut changed = pin!(async {
            watch.await;
            None
        });
        let fetched = match waits {
            true => future::or(read, changed.as_mut()).await,
            false => read.await,
        };
        let mut is_misplaced = false;
        if let Some(fetched) = fetched {
            is_misplaced = fetched
                .iter()
                .any(|(_, _, one)| one.error == ErrorCode::OffsetOutOfRange);
            acquire(cx, member, settings, fetched, wish, &mut got).await;
        }
        if !got.is_empty() || rt::now() >= wish.until {
            return got;
        }
        // Such a read does not wait, and the state may lie beyond the log's end for long.
        if is_misplaced {
            let pause = MISPLACED_PAUSE.min(wish.until.since(rt::now()));
            rt::timeout(pause, changed).await;
        }
    }
}

/// Where each partition's next record is, where there may be one; and those that cannot be asked. One whose state is still on
/// its way is left for the next fetch: it must not hold back the others.
async fn next_offsets(
    cx: &Context,
    member: &Member,
    settings: &Settings,
    partitions: &[PartitionId],
) -> (Vec<(PartitionId, i64)>, BTreeMap<Named, Got>) {
    let ask = |partition: &PartitionId| {
        let answer = cx.router().share(*partition, settings.ask(member, ShareAction::Next));
        (*partition, answer)
    };
    let asked: Vec<_> = partitions.iter().map(ask).collect();
    let (mut ready, mut errors) = (Vec::new(), BTreeMap::new());
    let late = rt::now().after(LOADING_PATIENCE);
    for (partition, answer) in asked {
        match rt::timeout(late.since(rt::now()), answer).await {
            Some(Ok(ShareReply::Next(Some(offset)))) => ready.push((partition, offset)),
            Some(Ok(_)) | None => {}
            Some(Err(error)) => drop(errors.insert(name(partition), Got::refused(fetch_error(error)))),
        }
    }
    (ready, errors)
}

/// The answer of one partition that is watched.
type Watching = Pin<Box<dyn Future<Output = Result<ShareReply, ErrorCode>>>>;

/// Returns when more can be acquired from one of these than now, or at the given time.
fn watch(
    cx: &Context,
    member: &Member,
    settings: &Settings,
    partitions: &[PartitionId],
    until: Instant,
) -> impl Future<Output = ()> + use<> {
    let ask = |partition: &PartitionId| {
        let action = ShareAction::Watch(until);
        let answer = cx.router().share(*partition, settings.ask(member, action));
        Box::pin(answer) as Watching
    };
    let mut asked: Vec<Watching> = partitions.iter().map(ask).collect();
    async move {
        let any =
            future::poll_fn(
                move |task| match asked.iter_mut().any(|answer| answer.as_mut().poll(task).is_ready()) {
                    true => std::task::Poll::Ready(()),
                    false => std::task::Poll::Pending,
                },
            );
        future::or(any, rt::sleep(until.since(rt::now()))).await;
    }
}

/// Reads at each offset; waits for more where there is nothing.
async fn read(
    cx: &Context,
    settings: &Settings,
    ready: &[(PartitionId, i64)],
    wish: Wish,
) -> Vec<(PartitionId, i64, FetchedPartition)> {
    if ready.is_empty() {
        rt::sleep(wish.until.since(rt::now())).await;
        return Vec::new();
    }
    let item = |(partition, offset): &(PartitionId, i64)| FetchItem {
        partition: *partition,
        offset: *offset,
        max_bytes: wish.bytes_max.div_ceil(ready.len()),
        leader_epoch: -1,
        last_fetched_epoch: -1,
        log_start: -1,
        held: false,
    };
    let spec = FetchSpec {
        items: ready.iter().map(item).collect(),
        min_bytes: wish.bytes_min,
        max_bytes: wish.bytes_max,
        max_wait: wish.until.since(rt::now()),
        reader: Reader::consumer(settings.isolation),
        no_wait: false,
    };
    let fetched = cx.router().fetch(spec).await;
    let places = ready.iter().zip(fetched);
    places
        .map(|((partition, offset), fetched)| (*partition, *offset, fetched))
        .collect()
}

async fn acquire(
    cx: &Context,
    member: &Member,
    settings: &Settings,
    fetched: Vec<(PartitionId, i64, FetchedPartition)>,
    wish: Wish,
    got: &mut BTreeMap<Named, Got>,
) {
    let mut left = wish.records_max;
    for (partition, from, fetched) in fetched {
        // The log's start has moved on: the next look finds it.
        let is_news = !matches!(fetched.error, ErrorCode::None | ErrorCode::OffsetOutOfRange);
        if is_news {
            got.insert(name(partition), Got::refused(fetch_error(fetched.error)));
        }
        if fetched.records.is_empty() || left <= 0 {
            continue;
        }
        let batches = Batches::of(&fetched.records, fetched.aborted.as_deref().unwrap_or_default());
        let wanted = Acquire {
            from,
            batches: batches.ranges,
            void: batches.void,
            records_max: left,
            is_exact: wish.is_exact,
            range_records: wish.range_records,
        };
        // Before it is asked: a connection that closes now gives back what it may get.
        cx.share_sessions.touch(member, partition, settings.limits);
        let ask = settings.ask(member, ShareAction::Acquire(wanted));
        match cx.router().share(partition, ask).await {
            Ok(ShareReply::Acquired(acquired)) if !acquired.is_empty() => {
                left -= acquired.iter().map(|range| range.last - range.first + 1).sum::<i64>();
                let records = overlapping(&fetched.records, &acquired);
                let one = Got {
                    error: None,
                    records,
                    acquired,
                };
                got.insert(name(partition), one);
            }
            Ok(_) => {}
            Err(error) => drop(got.insert(name(partition), Got::refused(fetch_error(error)))),
        }
    }
}

fn name(partition: PartitionId) -> Named {
    (partition.topic, partition.index)
}

/// Clients know what to do about a leader that is gone; a coordinator they do not see here.
fn fetch_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::CoordinatorNotAvailable | ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator => {
            ErrorCode::NotLeaderOrFollower
        }
        error => error,
    }
}

impl Got {
    fn refused(error: ErrorCode) -> Got {
        Got {
            error: Some(error),
            ..Got::default()
        }
    }
}

fn respond(
    cx: &Context,
    settings: &Settings,
    got: BTreeMap<Named, Got>,
    acknowledged: BTreeMap<Named, ErrorCode>,
) -> ShareFetchResponse {
    let mut partitions: BTreeMap<Named, ShareFetchedPartition> = BTreeMap::new();
    for (named, got) in got {
        let answer = ShareFetchedPartition {
            index: named.1,
            error_code: got.error.map_or(0, ErrorCode::code),
            records: got.records,
            acquired: got
                .acquired
                .iter()
                .map(|range| (range.first, range.last, range.count))
                .collect(),
            ..Default::default()
        };
        partitions.insert(named, answer);
    }
    for (named, error) in acknowledged {
        let answer = partitions.entry(named).or_default();
        answer.index = named.1;
        answer.acknowledge_error_code = error.code();
    }
    let image = cx.image();
    count_traffic(cx, &image, &partitions);
    let mut hints = LeaderHints::new(&image, &cx.listener);
    let mut topics: Vec<ShareFetchedTopic> = Vec::new();
    for ((id, _), mut answer) in partitions {
        let is_elsewhere = is_about_the_leader(answer.error_code) || is_about_the_leader(answer.acknowledge_error_code);
        if is_elsewhere && let Some(topic) = image.topic_by_id(&id) {
            answer.leader = hints.leader_of(topic, answer.index).unwrap_or(answer.leader);
        }
        push(&mut topics, id, answer);
    }
    ShareFetchResponse {
        lock_timeout_ms: settings.lock_ms(),
        topics,
        node_endpoints: hints.into_endpoints(),
        ..Default::default()
    }
}

fn count_traffic(cx: &Context, image: &Image, partitions: &BTreeMap<Named, ShareFetchedPartition>) {
    for ((topic, _), answer) in partitions {
        let bytes: usize = answer.records.iter().map(Bytes::len).sum();
        if bytes > 0 {
            cx.metrics().add(Metric::BytesOut, bytes as i64);
            cx.services.topic_traffic.on_fetched(image, *topic, bytes);
        }
    }
}

fn push(topics: &mut Vec<ShareFetchedTopic>, id: TopicId, answer: ShareFetchedPartition) {
    match topics.last_mut().filter(|last| last.id == id) {
        Some(last) => last.partitions.push(answer),
        None => topics.push(ShareFetchedTopic {
            id,
            partitions: vec![answer],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{answer_of, context};
    use crate::model::SHARE_STATE_TOPIC;
    use crate::record::{BatchBuilder, BatchHeader, Compression, ValidBatch};
    use crate::shard::tests::{TIMEOUT, broker, create, id};
    use crate::shard::{Acks, AppendItem, Router};
    use crate::wire::messages::{ShareFetchPartition, ShareFetchTopic, ShareForgottenTopic, kafka_string, kafka_uuid};

    fn fetch_of(epoch: i32, named: &[TopicId], forgotten: &[TopicId]) -> ShareFetchRequestData {
        let topic = |id: &TopicId| {
            ShareFetchTopic::default()
                .with_topic_id(kafka_uuid(*id))
                .with_partitions(vec![ShareFetchPartition::default()])
        };
        let forgotten_topic = |id: &TopicId| {
            ShareForgottenTopic::default()
                .with_topic_id(kafka_uuid(*id))
                .with_partitions(vec![0])
        };
        ShareFetchRequestData::default()
            .with_group_id(Some(kafka_string("g")))
            .with_member_id(Some(kafka_string("a")))
            .with_share_session_epoch(epoch)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_max_records(500)
            .with_batch_size(500)
            .with_topics(named.iter().map(topic).collect())
            .with_forgotten_topics_data(forgotten.iter().map(forgotten_topic).collect())
    }

    /// Topics with their errors, and how many ranges of records came.
    async fn fetched(cx: &Rc<Context>, request: &ShareFetchRequestData) -> Vec<(TopicId, i16, usize)> {
        let body = answer_of(cx, (&API, 1), request).await.unwrap();
        let answer = ShareFetchResponse::decode(body).unwrap();
        assert_eq!(answer.error_code, 0);
        let rows = answer.topics.iter().flat_map(|topic| {
            let rows = topic.partitions.iter();
            rows.map(|one| (topic.id, one.error_code, one.acquired.len()))
                .collect::<Vec<_>>()
        });
        rows.collect()
    }

    async fn append(router: &Router, topic: TopicId) {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(1, None, Some(b"value"), &[]);
        let bytes = builder.build();
        let batch = ValidBatch {
            header: BatchHeader::parse(&bytes).unwrap(),
            bytes,
            log_append_time_ms: -1,
        };
        let item = AppendItem {
            partition: id(topic, 0),
            batch,
            warrant: crate::partition::Warrant::None,
        };
        let deadline = rt::now().after(TIMEOUT);
        while router.append(vec![item.clone()], Acks::All, TIMEOUT).await[0].error != ErrorCode::None {
            assert!(rt::now() < deadline, "nothing can be appended");
            rt::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A partition that the broker cannot serve is named once, and reported until it is forgotten: the client waits for it,
    /// and another leader may yet be this one. It holds up no other.
    #[test]
    fn what_is_not_served_stays_in_the_session() {
        let root = tempfile::tempdir().unwrap();
        broker(root.path(), 1, |_, router| async move {
            create(&router, SHARE_STATE_TOPIC, 3, &[]).await;
            let (topic, nowhere) = (create(&router, "t", 1, &[]).await, TopicId([9; 16]));
            let cx = Rc::new(context(&router));
            let unknown = (nowhere, ErrorCode::UnknownTopicId.code(), 0);
            assert!(
                fetched(&cx, &fetch_of(0, &[topic, nowhere], &[]))
                    .await
                    .contains(&unknown)
            );
            let deadline = rt::now().after(TIMEOUT);
            for epoch in 1.. {
                append(&router, topic).await;
                let rows = fetched(&cx, &fetch_of(epoch, &[], &[])).await;
                assert!(rows.contains(&unknown), "{rows:?}");
                if rows
                    .iter()
                    .any(|(of, error, ranges)| *of == topic && *error == 0 && *ranges > 0)
                {
                    assert_eq!(fetched(&cx, &fetch_of(epoch + 1, &[nowhere], &[nowhere])).await, []);
                    return;
                }
                assert!(rt::now() < deadline, "the other partition's record does not come");
            }
        });
    }
}
