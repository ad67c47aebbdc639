//! ListPartitionReassignments: the partitions that are being moved, from the image. kafka-topics --describe asks for it.

use std::rc::Rc;

use crate::metadata::{Image, PartitionState, Topic};
use crate::wire::ApiKey;
use crate::wire::messages::{
    ListPartitionReassignmentsRequestData, ListPartitionReassignmentsResponseData, OngoingPartitionReassignment,
    OngoingTopicReassignment, kafka_string,
};

use super::cluster_view::numbers;
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::LIST_PARTITION_REASSIGNMENTS,
    name: "ListPartitionReassignments",
    versions: 0..=0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<ListPartitionReassignmentsRequestData>(&cx)?;
    Answer::message(&list(&cx.image(), &message), version)
}

/// Of the topics and partitions asked for: of all, for a null list.
fn list(image: &Image, request: &ListPartitionReassignmentsRequestData) -> ListPartitionReassignmentsResponseData {
    let ongoing: Vec<OngoingTopicReassignment> = match &request.topics {
        None => image
            .topics
            .values()
            .filter_map(|topic| moving(topic, |_| true))
            .collect(),
        Some(asked) => asked
            .iter()
            .filter_map(|asked| {
                let topic = image.topic(asked.name.as_str())?;
                moving(topic, |index| asked.partition_indexes.contains(&index))
            })
            .collect(),
    };
    ListPartitionReassignmentsResponseData {
        topics: ongoing,
        ..Default::default()
    }
}

fn moving(topic: &Topic, wanted: impl Fn(i32) -> bool) -> Option<OngoingTopicReassignment> {
    let is_moving = |state: &&PartitionState| !state.adding.is_empty() || !state.removing.is_empty();
    let states = topic.partitions.iter().filter(is_moving);
    let partitions: Vec<_> = states.filter(|state| wanted(state.index)).map(reassignment).collect();
    (!partitions.is_empty()).then(|| OngoingTopicReassignment {
        name: kafka_string(&topic.name),
        partitions,
        ..Default::default()
    })
}

fn reassignment(state: &PartitionState) -> OngoingPartitionReassignment {
    OngoingPartitionReassignment {
        partition_index: state.index,
        replicas: numbers(&state.replicas),
        adding_replicas: numbers(&state.adding),
        removing_replicas: numbers(&state.removing),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::api::testing;
    use crate::model::BrokerId;
    use crate::wire::messages::{Encode, ListPartitionReassignmentsTopics};

    /// Only what is being moved, and of that what was asked for.
    #[test]
    fn partitions_that_move_are_listed() {
        let mut image = testing::image(&[("a", 2), ("b", 1)]);
        let mut topic = Topic::clone(image.topic("a").expect("created above"));
        topic.partitions[1].replicas = vec![BrokerId(2), BrokerId(1)];
        topic.partitions[1].adding = vec![BrokerId(2)];
        topic.partitions[1].removing = vec![BrokerId(1)];
        image.topics.insert("a".into(), Arc::new(topic));
        let listed = |topics: Option<Vec<(&str, Vec<i32>)>>| {
            let topic = |(name, partition_indexes): (&str, Vec<i32>)| ListPartitionReassignmentsTopics {
                name: kafka_string(name),
                partition_indexes,
                ..Default::default()
            };
            let request = ListPartitionReassignmentsRequestData {
                topics: topics.map(|topics| topics.into_iter().map(topic).collect()),
                ..Default::default()
            };
            list(&image, &request)
        };
        let all = listed(None);
        assert_eq!(all.topics.len(), 1);
        let moving = &all.topics[0].partitions[0];
        assert_eq!((moving.partition_index, &moving.replicas), (1, &vec![2, 1]));
        assert_eq!(
            (&moving.adding_replicas, &moving.removing_replicas),
            (&vec![2], &vec![1])
        );
        assert_eq!(
            listed(Some(vec![("a", vec![0]), ("b", vec![0]), ("c", vec![0])])).topics,
            []
        );
        assert_eq!(listed(Some(vec![("a", vec![0, 1])])).topics, all.topics);
        all.encode(0).expect("version 0 carries it");
    }
}
