//! ShareFetch: records for a member of a share group, and what it says of those that it holds.
//!
//! Three steps, until something is acquired or the time is over: ask each share partition where its next record is; read
//! there, along the way of every fetch; acquire what was read. Two members may read the same batches, and the first to
//! acquire has them: nothing is locked while a read is under way, so a connection that closes meanwhile leaves nothing
//! behind.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::rc::Rc;

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

use super::leader_hints::{LeaderHints, is_about_the_leader};
use super::share_batches::{Batches, overlapping};
use super::share_group_describe::describe;
use super::share_session::{Member, Phase};
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
    let (named, errors) = named(cx, &message);
    let forgotten = forgotten(&message);
    let sessions = &cx.share_sessions;
    let (phase, partitions) = sessions.fetch(&member, message.share_session_epoch, &named, &forgotten)?;
    if phase == Phase::First
        && let Err(ErrorCode::GroupIdNotFound) = describe(cx, &member.0).await
    {
        // What would be kept for it could not be deleted with it.
        sessions.end(&member);
        return Err(ErrorCode::GroupIdNotFound);
    }
    let settings = shares::settings(cx, &member.0);
    let acknowledged = shares::acknowledge(cx, &member, &settings, said, is_renewal).await;
    let mut got = match phase {
        Phase::Final => BTreeMap::new(),
        _ if is_renewal => BTreeMap::new(),
        _ => records(cx, &member, &settings, partitions, wish(cx, &message)).await,
    };
    if phase == Phase::Final {
        sessions.end(&member);
    }
    for (named, error) in errors {
        got.insert(named, Got::refused(error));
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
    let wait = std::time::Duration::from_millis(u64::try_from(message.max_wait_ms).unwrap_or(0));
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

/// The partitions that the request names and this broker leads, and errors for the others.
fn named(cx: &Context, message: &ShareFetchRequestData) -> (Vec<PartitionId>, Vec<(Named, ErrorCode)>) {
    let image = cx.image();
    let (mut named, mut errors) = (Vec::new(), Vec::new());
    for topic in &message.topics {
        for asked in &topic.partitions {
            match shares::partition(cx, &image, topic.topic_id, asked.partition_index) {
                Ok(partition) => named.push(partition),
                Err(error) => errors.push(((topic_id(topic.topic_id), asked.partition_index), error)),
            }
        }
    }
    (named, errors)
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
    if partitions.is_empty() || wish.records_max <= 0 || wish.bytes_max == 0 {
        return BTreeMap::new();
    }
    loop {
        let watch = watch(cx, member, settings, &partitions, wish.until);
        let (ready, mut got) = next_offsets(cx, member, settings, &partitions).await;
        if got.is_empty() {
            let read = async {
                let items = read(cx, settings, &ready, wish).await;
                Some(items)
            };
            let changed = async {
                watch.await;
                None
            };
            if let Some(fetched) = future::or(read, changed).await {
                acquire(cx, member, settings, fetched, wish, &mut got).await;
            }
        }
        if !got.is_empty() || rt::now() >= wish.until {
            return got;
        }
    }
}

/// Where each partition's next record is, where there may be one; and those that cannot be asked.
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
    for (partition, answer) in asked {
        match answer.await {
            Ok(ShareReply::Next(Some(offset))) => ready.push((partition, offset)),
            Ok(_) => {}
            Err(error) => drop(errors.insert(name(partition), Got::refused(fetch_error(error)))),
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
        if is_about_the_leader(answer.error_code)
            && let Some(topic) = image.topic_by_id(&id)
        {
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
