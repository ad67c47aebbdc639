//! DescribeShareGroupOffsets: where share groups begin, and how much lies before them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::metadata::Image;
use crate::model::{ErrorCode, PartitionId};
use crate::share::{NOWHERE, Saved};
use crate::wire::ApiKey;
use crate::wire::messages::{
    DescribeShareGroupOffsetsRequestData, DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsResponseData,
    DescribeShareGroupOffsetsResponseGroup, DescribeShareGroupOffsetsResponsePartition,
    DescribeShareGroupOffsetsResponseTopic, kafka_string, kafka_uuid, text,
};

use super::log_ends::log_ends;
use super::share_group_describe::describe;
use super::share_offsets::{KeptOfGroup, kept};
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::DESCRIBE_SHARE_GROUP_OFFSETS,
    name: "DescribeShareGroupOffsets",
    versions: 0..=1,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// What is not known.
const NONE: i64 = -1;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<DescribeShareGroupOffsetsRequestData>(&cx)?;
    let mut groups = Vec::with_capacity(message.groups.len());
    for group in message.groups {
        let id = text(&group.group_id);
        let answer = match offsets(&cx, &id, &group).await {
            Ok(topics) => DescribeShareGroupOffsetsResponseGroup {
                topics,
                ..Default::default()
            },
            Err(error) => DescribeShareGroupOffsetsResponseGroup {
                error_code: error.code(),
                ..Default::default()
            },
        };
        groups.push(DescribeShareGroupOffsetsResponseGroup {
            group_id: kafka_string(&id),
            ..answer
        });
    }
    let response = DescribeShareGroupOffsetsResponseData {
        groups,
        ..Default::default()
    };
    Answer::message(&response, version)
}

async fn offsets(
    cx: &Context,
    id: &str,
    group: &DescribeShareGroupOffsetsRequestGroup,
) -> Result<Vec<DescribeShareGroupOffsetsResponseTopic>, ErrorCode> {
    describe(cx, id).await?;
    let kept = kept(cx, id).await?;
    let ends = log_ends(cx, kept.keys().copied()).await;
    let image = cx.image();
    Ok(asked(&image, group, &kept)
        .into_iter()
        .map(|(topic, indexes)| answer(&image, &topic, indexes, &kept, &ends))
        .collect())
}

/// What the request names, or all that is kept of topics that there are.
fn asked(
    image: &Image,
    group: &DescribeShareGroupOffsetsRequestGroup,
    kept: &KeptOfGroup,
) -> BTreeMap<String, BTreeSet<i32>> {
    let mut asked: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    match &group.topics {
        Some(topics) => {
            for topic in topics {
                asked
                    .entry(text(&topic.topic_name))
                    .or_default()
                    .extend(&topic.partitions);
            }
        }
        None => {
            for partition in kept.keys() {
                if let Some(topic) = image.topic_by_id(&partition.topic) {
                    asked.entry(topic.name.to_string()).or_default().insert(partition.index);
                }
            }
        }
    }
    asked
}

fn answer(
    image: &Image,
    name: &str,
    indexes: BTreeSet<i32>,
    kept: &KeptOfGroup,
    ends: &BTreeMap<PartitionId, i64>,
) -> DescribeShareGroupOffsetsResponseTopic {
    let topic = image.topic(name);
    let partitions = indexes.into_iter().map(|index| {
        let unknown = DescribeShareGroupOffsetsResponsePartition {
            partition_index: index,
            start_offset: NONE,
            lag: NONE,
            ..Default::default()
        };
        let Some(topic) = topic else {
            return DescribeShareGroupOffsetsResponsePartition {
                error_code: ErrorCode::UnknownTopicOrPartition.code(),
                ..unknown
            };
        };
        let partition = PartitionId { topic: topic.id, index };
        let Some(kept) = kept.get(&partition).filter(|kept| kept.saved.start > NOWHERE) else {
            return unknown;
        };
        DescribeShareGroupOffsetsResponsePartition {
            start_offset: kept.saved.start,
            leader_epoch: kept.epochs.leader,
            lag: ends.get(&partition).map_or(NONE, |end| lag(&kept.saved, *end)),
            ..unknown
        }
    });
    DescribeShareGroupOffsetsResponseTopic {
        topic_name: kafka_string(name),
        topic_id: topic.map(|topic| kafka_uuid(topic.id)).unwrap_or_default(),
        partitions: partitions.collect(),
        ..Default::default()
    }
}

/// Records that wait for a member to settle them.
fn lag(saved: &Saved, end: i64) -> i64 {
    (end - saved.start - saved.settled).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is settled behind the start is no lag; a start that lies further on than the end means none.
    #[test]
    fn lag_counts_what_is_not_settled() {
        let saved = |start, settled| Saved {
            start,
            settled,
            batches: Vec::new(),
        };
        assert_eq!(lag(&saved(10, 3), 20), 7);
        assert_eq!(lag(&saved(20, 0), 20), 0);
        assert_eq!(lag(&saved(30, 0), 20), 0);
    }
}
