//! Produce: validates each partition's batch on the connection's core and enqueues the appends in request order; the future
//! only joins the outcomes, so several requests of one connection can be in flight together.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::metadata::{Image, Topic};
use crate::metrics::Metric;
use crate::model::{BrokerId, ErrorCode, PartitionId};
use crate::partition::Warrant;
use crate::record::{Invalid, InvalidRecord, Rules, ValidBatch};
use crate::rt::{self, Instant};
use crate::shard::{Acks, AppendItem, AppendOutcome};
use crate::wire::ApiKey;
use crate::wire::produce::{
    ProducePartition, ProducePartitionResponse, ProduceRequest, ProduceResponse, ProduceTopicResponse,
};

use super::cluster_view::{hosted_partition, is_internal};
use super::leader_hints::{LeaderHints, is_about_the_leader};
use super::verification::{Transaction, append_verified};
use super::{Answer, Api, Context, Handling, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::PRODUCE,
    name: "Produce",
    // librdkafka before 2.11.1 gives up compression where 0 is not advertised. //= KAFKA-18659
    versions: 0..=12,
    pipelined: true,
    handle,
};

fn handle(cx: Rc<Context>, request: Request) -> Handling {
    let version = request.version();
    let message = match ProduceRequest::decode_with_trailing(request.body, version) {
        Ok((message, trailing)) => {
            cx.count_trailing(trailing);
            if is_zookeepers_hello(&message, version, trailing) {
                return Box::pin(async { Err(Refusal::ZookeepersHello) });
            }
            message
        }
        Err(error) => return Box::pin(async move { Err(error.into()) }),
    };
    let admin = request.header.client_id.as_deref() == Some(ADMIN_CLIENT_ID);
    let image = cx.image();
    let plan = Planner {
        image: &image,
        cx: &cx,
        version,
        admin,
        now_ms: rt::wall_ms(),
    }
    .plan(&message);
    count_requests(&cx, &image, &plan);
    let timeout = Duration::from_millis(u64::try_from(message.timeout_ms).unwrap_or(0));
    // A request without a valid acks value has no item, so the value put in its place is never used.
    let acks = acks_of(message.acks).unwrap_or(Acks::Leader);
    // Kept for a second attempt: a copy of each header, and a share in the request's bytes.
    let kept = plan.transaction.map(|transaction| (transaction, plan.items.clone()));
    let outcomes = cx.router().append(plan.items, acks, timeout);
    Box::pin(async move {
        let mut outcomes = outcomes.await;
        if let Some((transaction, items)) = kept {
            append_verified(&cx, &transaction, items, &mut outcomes, (acks, timeout)).await;
        }
        let mut response = join(plan.topics, outcomes);
        count_failures(&cx, &response);
        if has_error(&response) {
            on_errors(&mut response, &cx, version);
        }
        match (acks, has_error(&response)) {
            //= protocol: acks=0 has no response; an error closes the connection
            (Acks::None, true) => Err(Refusal::SilentProduceFailed),
            (Acks::None, false) => Ok(Answer::Silent),
            _ => Ok(Answer::Body(response.encode(version))),
        }
    })
}

/// What a ZooKeeper client sends first reads as an empty request of version 0 without an answer, and bytes behind it. It
/// would wait for ever.
fn is_zookeepers_hello(message: &ProduceRequest, version: i16, trailing: usize) -> bool {
    version == 0 && message.topics.is_empty() && trailing > 0
}

/// From here on batches are sent; before it, message sets of the older formats.
const FIRST_VERSION_WITH_BATCHES: i16 = 3;
/// From here on a response can say where the leader is. //= KIP-951
const FIRST_VERSION_WITH_LEADERS: i16 = 10;

/// Kafka's own tools may write to internal topics under this client id.
const ADMIN_CLIENT_ID: &[u8] = b"__admin_client";

/// The appends, and the response with a place for each of their outcomes.
struct Plan {
    items: Vec<AppendItem>,
    topics: Vec<PlannedTopic>,
    /// Of all batches that are transactional.
    transaction: Option<Transaction>,
}

struct PlannedTopic {
    name: Bytes,
    partitions: Vec<Planned>,
}

/// A partition's answer: known already, or the next outcome.
enum Planned {
    Failed(ProducePartitionResponse),
    Appended(i32),
}

struct Planner<'a> {
    image: &'a Image,
    cx: &'a Context,
    version: i16,
    admin: bool,
    now_ms: i64,
}

impl Planner<'_> {
    fn plan(&self, request: &ProduceRequest) -> Plan {
        let mut items: Vec<AppendItem> = Vec::new();
        let mut transaction = None;
        let acks = acks_of(request.acks);
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let known = match acks {
                Some(_) => self.topic(&topic.name),
                None => Err(ErrorCode::InvalidRequiredAcks),
            };
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let item = known
                    .map_err(Fault::plain)
                    .and_then(|topic| self.item(topic, partition))
                    .and_then(|item| self.with_transaction(item, request, &mut transaction));
                partitions.push(match item {
                    Ok(item) => {
                        items.push(item);
                        Planned::Appended(partition.index)
                    }
                    Err(fault) => Planned::Failed(fault.response(partition.index)),
                });
            }
            topics.push(PlannedTopic {
                name: topic.name.clone(),
                partitions,
            });
        }
        Plan {
            items,
            topics,
            transaction,
        }
    }

    fn topic(&self, name: &[u8]) -> Result<&Topic, ErrorCode> {
        let name = std::str::from_utf8(name).map_err(|_| ErrorCode::InvalidTopicException)?;
        if is_internal(name) && !self.admin {
            return Err(ErrorCode::InvalidTopicException);
        }
        self.image
            .topic(name)
            .map(AsRef::as_ref)
            .ok_or(ErrorCode::UnknownTopicOrPartition)
    }

    fn item(&self, topic: &Topic, partition: &ProducePartition) -> Result<AppendItem, Fault> {
        // Whether it leads is for the owner to say, which keeps a producer's batches in order through refusals.
        let id = hosted_partition(topic, partition.index, self.cx.broker_id()).map_err(Fault::plain)?;
        let records = partition.records.clone().ok_or_else(Fault::no_batch)?;
        valid_item(id, records, &rules(topic, self.version), self.now_ms)
    }

    /// The transactional batches of a request are one producer's, under the request's transactional id.
    fn with_transaction(
        &self,
        item: AppendItem,
        request: &ProduceRequest,
        transaction: &mut Option<Transaction>,
    ) -> Result<AppendItem, Fault> {
        let header = &item.batch.header;
        if !header.is_transactional() {
            return Ok(item);
        }
        let id = request.transactional_id.as_deref().map(std::str::from_utf8);
        let Some(Ok(id)) = id else {
            return Err(Fault::plain(ErrorCode::TransactionalIdAuthorizationFailed));
        };
        let transaction = transaction.get_or_insert_with(|| Transaction {
            id: id.into(),
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            version: self.version,
        });
        if (header.producer_id, header.producer_epoch) != (transaction.producer_id, transaction.producer_epoch) {
            return Err(Fault::with(
                ErrorCode::InvalidProducerIdMapping,
                "transactional batches of one request come from more than one producer".to_string(),
            ));
        }
        Ok(item)
    }
}

fn valid_item(partition: PartitionId, records: Bytes, rules: &Rules, now_ms: i64) -> Result<AppendItem, Fault> {
    let check = match rules.produce_version < FIRST_VERSION_WITH_BATCHES {
        true => ValidBatch::check_old,
        false => ValidBatch::check,
    };
    let batch = check(records, rules, now_ms).map_err(Fault::from)?;
    Ok(AppendItem {
        partition,
        batch,
        warrant: Warrant::None,
    })
}

fn rules(topic: &Topic, version: i16) -> Rules {
    let config = &topic.config;
    Rules {
        max_message_bytes: usize::try_from(config.max_message_bytes).unwrap_or(0),
        segment_bytes: usize::try_from(config.segment_bytes).unwrap_or(0),
        timestamp_type: config.timestamp_type,
        timestamp_before_max_ms: config.timestamp_before_max_ms,
        timestamp_after_max_ms: config.timestamp_after_max_ms,
        compacted: config.cleanup_policy.compact,
        compression: config.compression,
        produce_version: version,
    }
}

fn acks_of(acks: i16) -> Option<Acks> {
    match acks {
        0 => Some(Acks::None),
        1 => Some(Acks::Leader),
        -1 => Some(Acks::All),
        _ => None,
    }
}

/// Why a partition's batch was not appended.
#[derive(Debug)]
struct Fault {
    error: ErrorCode,
    message: Option<String>,
    records: Vec<InvalidRecord>,
}

impl Fault {
    fn plain(error: ErrorCode) -> Fault {
        Fault {
            error,
            message: None,
            records: Vec::new(),
        }
    }

    fn with(error: ErrorCode, message: String) -> Fault {
        Fault {
            error,
            message: Some(message),
            records: Vec::new(),
        }
    }

    fn no_batch() -> Fault {
        Fault::with(
            ErrorCode::InvalidRecord,
            "a produce request must hold one record batch per partition".to_string(),
        )
    }

    fn response(self, index: i32) -> ProducePartitionResponse {
        let records = self
            .records
            .into_iter()
            .map(|record| (record.batch_index, record.message))
            .collect();
        ProducePartitionResponse {
            index,
            error_code: self.error.code(),
            record_errors: records,
            error_message: self.message,
            ..Default::default()
        }
    }
}

impl From<Invalid> for Fault {
    fn from(invalid: Invalid) -> Fault {
        match invalid {
            Invalid::Corrupt(message) => Fault::with(ErrorCode::CorruptMessage, message),
            Invalid::InvalidRecord { message, records } => Fault {
                error: ErrorCode::InvalidRecord,
                message: Some(message),
                records,
            },
            Invalid::InvalidTimestamp { message, records } => Fault {
                error: ErrorCode::InvalidTimestamp,
                message: Some(message),
                records,
            },
            Invalid::MessageTooLarge(message) => Fault::with(ErrorCode::MessageTooLarge, message),
            Invalid::RecordListTooLarge(message) => Fault::with(ErrorCode::RecordListTooLarge, message),
            Invalid::UnsupportedCompression(message) => Fault::with(ErrorCode::UnsupportedCompressionType, message),
        }
    }
}

/// Puts the outcomes, which come in the order of the items, in their places.
fn join(topics: Vec<PlannedTopic>, outcomes: Vec<AppendOutcome>) -> ProduceResponse {
    let mut outcomes = outcomes.into_iter();
    let mut partition = |planned: Planned| match planned {
        Planned::Failed(response) => response,
        Planned::Appended(index) => match outcomes.next() {
            Some(outcome) => appended(index, outcome),
            // The shard is going down.
            None => Fault::plain(ErrorCode::NotLeaderOrFollower).response(index),
        },
    };
    let topics = topics.into_iter().map(|topic| ProduceTopicResponse {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(&mut partition).collect(),
    });
    ProduceResponse {
        topics: topics.collect(),
        ..Default::default()
    }
}

fn appended(index: i32, outcome: AppendOutcome) -> ProducePartitionResponse {
    ProducePartitionResponse {
        index,
        error_code: outcome.error.code(),
        base_offset: outcome.base_offset,
        log_append_time_ms: outcome.log_append_time_ms,
        log_start_offset: outcome.log_start_offset,
        error_message: outcome.message,
        ..Default::default()
    }
}

fn on_errors(response: &mut ProduceResponse, cx: &Context, version: i16) {
    let image = cx.image();
    if is_cut_off(cx) && was_led_here(response, &image, cx.broker_id()) {
        // A client that has no other connection would ask here again and again, also for metadata.
        cx.sends_away.set(true);
    } else if version >= FIRST_VERSION_WITH_LEADERS {
        name_leaders(response, &image, &cx.listener);
    }
}

/// Whether others may lead by now: a lease ends after two thirds of a session.
fn is_cut_off(cx: &Context) -> bool {
    let session_ms = u64::try_from(cx.config().broker_session_timeout_ms).unwrap_or(0);
    let since = rt::now().0.saturating_sub(session_ms * 1_000_000 / 3);
    !cx.router().metadata().may_lead(Instant(since))
}

/// Whether this broker, as far as it knows, leads what it has refused as not led here: it has not heard of the controller
/// lately.
fn was_led_here(response: &ProduceResponse, image: &Image, me: BrokerId) -> bool {
    response.topics.iter().any(|topic| {
        let known = std::str::from_utf8(&topic.name).ok().and_then(|name| image.topic(name));
        let mut refused = topic
            .partitions
            .iter()
            .filter(|one| is_about_the_leader(one.error_code));
        refused.any(|one| {
            let index = usize::try_from(one.index).ok();
            let state = index.and_then(|index| known?.partitions.get(index));
            state.is_some_and(|state| state.leader == Some(me))
        })
    })
}

/// Where the leaders are that a partition's error is about.
fn name_leaders(response: &mut ProduceResponse, image: &Image, listener: &str) {
    let mut hints = LeaderHints::new(image, listener);
    for topic in &mut response.topics {
        let known = std::str::from_utf8(&topic.name).ok().and_then(|name| image.topic(name));
        let about_the_leader = |partition: &&mut ProducePartitionResponse| is_about_the_leader(partition.error_code);
        for partition in topic.partitions.iter_mut().filter(about_the_leader) {
            partition.current_leader = known.and_then(|topic| hints.leader_of(topic, partition.index));
        }
    }
    response.node_endpoints = hints.into_endpoints();
}

fn errors(response: &ProduceResponse) -> impl Iterator<Item = &ProducePartitionResponse> {
    response
        .topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .filter(|partition| partition.error_code != 0)
}

fn has_error(response: &ProduceResponse) -> bool {
    errors(response).next().is_some()
}

fn count_requests(cx: &Context, image: &Image, plan: &Plan) {
    let partitions: usize = plan.topics.iter().map(|topic| topic.partitions.len()).sum();
    let bytes: usize = plan.items.iter().map(|item| item.batch.bytes.len()).sum();
    let records: i64 = plan
        .items
        .iter()
        .map(|item| i64::from(item.batch.header.record_count))
        .sum();
    cx.metrics().add(Metric::ProduceRequests, partitions as i64);
    cx.metrics().add(Metric::BytesIn, bytes as i64);
    cx.metrics().add(Metric::MessagesIn, records);
    for item in &plan.items {
        let (bytes, records) = (item.batch.bytes.len(), item.batch.header.record_count);
        let traffic = &cx.services.topic_traffic;
        traffic.on_produced(image, item.partition.topic, bytes, records);
    }
}

fn count_failures(cx: &Context, response: &ProduceResponse) {
    let failures = errors(response).count();
    if failures > 0 {
        cx.metrics().add(Metric::FailedProduceRequests, failures as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicId;

    fn outcome(base_offset: i64) -> AppendOutcome {
        AppendOutcome {
            error: ErrorCode::None,
            message: None,
            base_offset,
            log_append_time_ms: -1,
            log_start_offset: 3,
            unverified: None,
        }
    }

    /// Behaviour 17.
    #[test]
    fn acks_other_than_minus_one_to_one_are_refused() {
        assert_eq!(
            [acks_of(-1), acks_of(0), acks_of(1)],
            [Some(Acks::All), Some(Acks::None), Some(Acks::Leader)]
        );
        assert_eq!([acks_of(2), acks_of(-2), acks_of(i16::MAX)], [None; 3]);
    }

    /// Outcomes find their partitions with failed ones in between; behaviour 26: base and log start offset are passed on.
    #[test]
    fn outcomes_are_joined_in_the_order_of_the_request() {
        let failed = Planned::Failed(Fault::plain(ErrorCode::UnknownTopicOrPartition).response(1));
        let first = PlannedTopic {
            name: "a".into(),
            partitions: vec![Planned::Appended(0), failed],
        };
        let second = PlannedTopic {
            name: "b".into(),
            partitions: vec![Planned::Appended(7)],
        };
        let response = join(vec![first, second], vec![outcome(10), outcome(20)]);
        let of = |topic: usize, partition: usize| {
            let response = &response.topics[topic].partitions[partition];
            (
                response.index,
                response.error_code,
                response.base_offset,
                response.log_start_offset,
            )
        };
        assert_eq!(
            (of(0, 0), of(0, 1), of(1, 0)),
            ((0, 0, 10, 3), (1, 3, -1, -1), (7, 0, 20, 3))
        );
        assert!(has_error(&response));
    }

    /// Behaviour 25: NOT_LEADER_OR_FOLLOWER says who leads, and where that broker is.
    #[test]
    fn the_leader_is_named_beside_an_error_about_it() {
        let image = crate::api::testing::image(&[("a", 2)]);
        let fault = |index, error| Planned::Failed(Fault::plain(error).response(index));
        let topic = PlannedTopic {
            name: "a".into(),
            partitions: vec![
                fault(1, ErrorCode::NotLeaderOrFollower),
                fault(7, ErrorCode::UnknownTopicOrPartition),
            ],
        };
        let mut response = join(vec![topic], vec![]);
        name_leaders(&mut response, &image, "PLAINTEXT");
        let leaders: Vec<_> = response.topics[0]
            .partitions
            .iter()
            .map(|one| one.current_leader)
            .collect();
        assert_eq!(leaders, [Some((1, 0)), None]);
        assert_eq!(
            (response.node_endpoints[0].node_id, response.node_endpoints.len()),
            (1, 1)
        );
    }

    /// Behaviours 16, 19 to 21: each finding of the validation has its code; record errors are kept.
    #[test]
    fn validation_findings_have_kafkas_codes() {
        let records = vec![InvalidRecord {
            batch_index: 2,
            message: Some("no key".to_string()),
        }];
        let text = String::new;
        let cases = [
            (Invalid::Corrupt(text()), ErrorCode::CorruptMessage),
            (Invalid::MessageTooLarge(text()), ErrorCode::MessageTooLarge),
            (Invalid::RecordListTooLarge(text()), ErrorCode::RecordListTooLarge),
            (
                Invalid::UnsupportedCompression(text()),
                ErrorCode::UnsupportedCompressionType,
            ),
            (
                Invalid::InvalidTimestamp {
                    message: text(),
                    records: vec![],
                },
                ErrorCode::InvalidTimestamp,
            ),
            (
                Invalid::InvalidRecord {
                    message: text(),
                    records,
                },
                ErrorCode::InvalidRecord,
            ),
        ];
        for (invalid, code) in cases {
            let response = Fault::from(invalid).response(0);
            assert_eq!(response.error_code, code.code());
            assert_eq!(
                response.record_errors.len(),
                usize::from(code == ErrorCode::InvalidRecord)
            );
        }
    }

    #[test]
    fn garbage_is_not_appended() {
        let image = crate::api::testing::image(&[("a", 1)]);
        let topic = image.topic("a").expect("created above");
        let id = PartitionId {
            topic: TopicId([1; 16]),
            index: 0,
        };
        let fault = valid_item(id, Bytes::from_static(b"garbage"), &rules(topic, 9), 0).expect_err("not a batch");
        assert_ne!(fault.error, ErrorCode::None);
    }
}
