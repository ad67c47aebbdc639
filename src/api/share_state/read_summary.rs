//! ReadShareGroupStateSummary: where share partitions begin, and under which epochs.
//!
//! A partition of the topic of the state itself stands for all that it keeps of the group: so a group's coordinator learns
//! from other brokers what the group has read, which no request of Kafka's asks for.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::api::{Answer, Api, Context, Refusal, Request};
use crate::model::{ErrorCode, PartitionId, SHARE_STATE_TOPIC, TopicId};
use crate::shard::list_here;
use crate::share::{Kept, NOWHERE, StateKey};
use crate::wire::ApiKey;
use crate::wire::messages::{
    KafkaString, ReadShareGroupStateSummaryRequestData, ReadShareGroupStateSummaryResponseData, ReadStateSummaryData,
    ReadStateSummaryResult, StateSummaryResultPartition, kafka_uuid, topic_id,
};

use super::{check_group, locate};
use crate::api::cluster_view::led_by_name;
use crate::api::shares::group_name;

pub const API: Api = Api {
    key: ApiKey::READ_SHARE_GROUP_STATE_SUMMARY,
    name: "ReadShareGroupStateSummary",
    versions: 0..=1,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<ReadShareGroupStateSummaryRequestData>(&cx)?;
    let state_topic = cx.image().topic(SHARE_STATE_TOPIC).map(|topic| topic.id);
    let mut results = Vec::with_capacity(message.topics.len());
    for topic in &message.topics {
        match state_topic == Some(topic_id(topic.topic_id)) {
            true => results.extend(of_logs(&cx, &message.group_id, topic).await),
            false => results.push(of_partitions(&cx, &message.group_id, topic).await),
        }
    }
    let response = ReadShareGroupStateSummaryResponseData {
        results,
        ..Default::default()
    };
    Answer::message(&response, version)
}

async fn of_partitions(cx: &Context, group: &KafkaString, asked: &ReadStateSummaryData) -> ReadStateSummaryResult {
    let mut partitions = Vec::with_capacity(asked.partitions.len());
    for one in &asked.partitions {
        let summary = match locate(cx, group, asked.topic_id, one.partition) {
            Ok((log, key)) => listed(cx, log, &key).await,
            Err(error) => Err(error),
        };
        partitions.push(row(one.partition, summary));
    }
    ReadStateSummaryResult {
        topic_id: asked.topic_id,
        partitions,
        ..Default::default()
    }
}

/// What is not kept has not begun.
async fn listed(cx: &Context, log: PartitionId, key: &StateKey) -> Result<Kept, ErrorCode> {
    let listed = list_here(cx.router(), vec![log], &key.group).await?;
    let found = listed.into_iter().find(|(known, _)| known == key);
    let mut kept = Kept::default();
    kept.saved.start = NOWHERE;
    Ok(found.map_or(kept, |(_, kept)| kept))
}

async fn of_logs(cx: &Context, group: &KafkaString, asked: &ReadStateSummaryData) -> Vec<ReadStateSummaryResult> {
    let mut topics: BTreeMap<TopicId, Vec<StateSummaryResultPartition>> = BTreeMap::new();
    for one in &asked.partitions {
        match all_of_log(cx, group, one.partition).await {
            Ok(kept) => {
                for (key, kept) in kept {
                    topics.entry(key.topic).or_default().push(row(key.index, Ok(kept)));
                }
            }
            Err(error) => {
                let log = topics.entry(topic_id(asked.topic_id)).or_default();
                log.push(row(one.partition, Err(error)));
            }
        }
    }
    let results = topics.into_iter().map(|(topic, partitions)| ReadStateSummaryResult {
        topic_id: kafka_uuid(topic),
        partitions,
        ..Default::default()
    });
    results.collect()
}

async fn all_of_log(cx: &Context, group: &KafkaString, index: i32) -> Result<Vec<(StateKey, Kept)>, ErrorCode> {
    check_group(group)?;
    let log = led_by_name(&cx.image(), SHARE_STATE_TOPIC, index, cx.broker_id()).map_err(|error| match error {
        ErrorCode::NotLeaderOrFollower => ErrorCode::NotCoordinator,
        error => error,
    })?;
    list_here(cx.router(), vec![log], &group_name(group.as_str())).await
}

fn row(index: i32, summary: Result<Kept, ErrorCode>) -> StateSummaryResultPartition {
    let refused = |error: ErrorCode| StateSummaryResultPartition {
        partition: index,
        error_code: error.code(),
        ..Default::default()
    };
    match summary {
        Ok(Kept { epochs, saved }) => StateSummaryResultPartition {
            state_epoch: epochs.state,
            leader_epoch: epochs.leader,
            start_offset: saved.start,
            delivery_complete_count: i32::try_from(saved.settled).unwrap_or(i32::MAX),
            ..refused(ErrorCode::None)
        },
        Err(error) => refused(error),
    }
}
