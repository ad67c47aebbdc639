//! AlterPartitionReassignments: partitions move to other brokers, or stop doing so. Decided by the controller. //= KIP-455

use std::rc::Rc;

use crate::metadata::{Command, CommandError, NewReplicas, Reply};
use crate::model::{BrokerId, ErrorCode};
use crate::wire::ApiKey;
use crate::wire::messages::{
    AlterPartitionReassignmentsRequestData, AlterPartitionReassignmentsResponseData, ReassignablePartitionResponse,
    ReassignableTopicResponse, kafka_string, text,
};

use super::{Answer, Api, Context, Refusal, Request, wrong_reply};

pub const API: Api = Api {
    key: ApiKey::ALTER_PARTITION_REASSIGNMENTS,
    name: "AlterPartitionReassignments",
    versions: 0..=1,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<AlterPartitionReassignmentsRequestData>(&cx)?;
    let command = Command::AlterReassignments {
        partitions: partitions(&message),
        allow_factor_change: message.allow_replication_factor_change,
    };
    let response = match cx.router().metadata().submit(command).await {
        Ok(Reply::AlterReassignments(outcomes)) => respond(&message, outcomes),
        Ok(_) => refused(&wrong_reply()),
        Err(error) => refused(&error),
    };
    Answer::message(&response, version)
}

fn partitions(request: &AlterPartitionReassignmentsRequestData) -> Vec<NewReplicas> {
    let asked = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| NewReplicas {
            topic: text(&topic.name),
            index: partition.partition_index,
            replicas: partition
                .replicas
                .as_ref()
                .map(|ids| ids.iter().map(|id| BrokerId(*id)).collect()),
        })
    });
    asked.collect()
}

fn refused(error: &CommandError) -> AlterPartitionReassignmentsResponseData {
    AlterPartitionReassignmentsResponseData {
        error_code: error.code.code(),
        error_message: Some(kafka_string(&error.message)),
        ..Default::default()
    }
}

/// Outcomes are in the order of the request.
fn respond(
    request: &AlterPartitionReassignmentsRequestData,
    outcomes: Vec<Result<(), CommandError>>,
) -> AlterPartitionReassignmentsResponseData {
    let mut outcomes = outcomes.into_iter();
    let mut outcome = |partition_index| {
        let (code, message) = match outcomes.next().unwrap_or_else(|| Err(wrong_reply())) {
            Ok(()) => (ErrorCode::None, None),
            Err(error) => (error.code, Some(kafka_string(&error.message))),
        };
        ReassignablePartitionResponse {
            partition_index,
            error_code: code.code(),
            error_message: message,
            ..Default::default()
        }
    };
    let mut responses = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
        responses.push(ReassignableTopicResponse {
            name: topic.name.clone(),
            partitions: indexes.map(&mut outcome).collect(),
            ..Default::default()
        });
    }
    AlterPartitionReassignmentsResponseData {
        allow_replication_factor_change: request.allow_replication_factor_change,
        responses,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::{Encode, ReassignablePartition, ReassignableTopic};

    /// A null list of replicas undoes a move; outcomes find their partitions; every version encodes.
    #[test]
    fn moves_are_asked_for_and_answered_in_order() {
        let partition = |partition_index, replicas| ReassignablePartition {
            partition_index,
            replicas,
            ..Default::default()
        };
        let topic = |name, partitions| ReassignableTopic {
            name: kafka_string(name),
            partitions,
            ..Default::default()
        };
        let request = AlterPartitionReassignmentsRequestData {
            topics: vec![
                topic("a", vec![partition(0, Some(vec![2, 3])), partition(4, None)]),
                topic("b", vec![partition(1, Some(vec![1]))]),
            ],
            ..Default::default()
        };
        let asked = partitions(&request);
        let replicas = |ids: &[i32]| Some(ids.iter().map(|id| BrokerId(*id)).collect::<Vec<_>>());
        let got: Vec<_> = asked
            .iter()
            .map(|one| (&*one.topic, one.index, one.replicas.clone()))
            .collect();
        assert_eq!(
            got,
            [("a", 0, replicas(&[2, 3])), ("a", 4, None), ("b", 1, replicas(&[1]))]
        );
        let error = CommandError {
            code: ErrorCode::NoReassignmentInProgress,
            message: "nothing moves".to_string(),
        };
        let response = respond(&request, vec![Ok(()), Err(error), Ok(())]);
        let codes = response.responses.iter().flat_map(|topic| &topic.partitions);
        assert_eq!(codes.map(|one| one.error_code).collect::<Vec<_>>(), [0, 85, 0]);
        for version in API.versions {
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
    }
}
