//! CreatePartitions: more partitions for existing topics, decided by the controller.

use std::rc::Rc;

use crate::metadata::{Command, CommandError, NewPartitions, Reply};
use crate::model::{BrokerId, ErrorCode};
use crate::wire::ApiKey;
use crate::wire::messages::{
    CreatePartitionsRequestData, CreatePartitionsResponseData, CreatePartitionsTopic, CreatePartitionsTopicResult,
    KafkaString, kafka_string, text,
};

use super::topic_creation::until_visible;
use super::{Answer, Api, Context, Refusal, Request, wrong_reply};

pub const API: Api = Api {
    key: ApiKey::CREATE_PARTITIONS,
    name: "CreatePartitions",
    versions: 0..=3,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<CreatePartitionsRequestData>(&cx)?;
    let outcomes = submit(&cx, message.topics.iter().map(command).collect(), message.validate_only).await;
    if !message.validate_only {
        until_grown(&cx, &message.topics, &outcomes).await;
    }
    Answer::message(&respond(&message.topics, outcomes), version)
}

type Outcome = Result<(), CommandError>;

fn command(topic: &CreatePartitionsTopic) -> NewPartitions {
    let assignments = topic.assignments.as_ref().map(|assignments| {
        let brokers = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect();
        assignments
            .iter()
            .map(|assignment| brokers(&assignment.broker_ids))
            .collect()
    });
    NewPartitions {
        topic: text(&topic.name),
        count: topic.count,
        assignments,
    }
}

async fn submit(cx: &Context, topics: Vec<NewPartitions>, validate_only: bool) -> Vec<Outcome> {
    let count = topics.len();
    match cx
        .router()
        .metadata()
        .submit(Command::CreatePartitions { topics, validate_only })
        .await
    {
        Ok(Reply::CreatePartitions(outcomes)) => outcomes,
        Ok(_) => vec![Err(wrong_reply()); count],
        Err(error) => vec![Err(error); count],
    }
}

async fn until_grown(cx: &Context, topics: &[CreatePartitionsTopic], outcomes: &[Outcome]) {
    let grown: Vec<_> = topics
        .iter()
        .zip(outcomes)
        .filter(|(_, outcome)| outcome.is_ok())
        .collect();
    until_visible(cx, |image| {
        grown.iter().all(|(asked, _)| {
            let partitions = image
                .topic(asked.name.as_str())
                .map_or(usize::MAX, |topic| topic.partitions.len());
            i32::try_from(partitions).unwrap_or(i32::MAX) >= asked.count
        })
    })
    .await;
}

fn respond(topics: &[CreatePartitionsTopic], outcomes: Vec<Outcome>) -> CreatePartitionsResponseData {
    let mut outcomes = outcomes.into_iter();
    let results = topics.iter().map(|topic| {
        let outcome = outcomes.next().unwrap_or_else(|| Err(wrong_reply()));
        result(topic.name.clone(), outcome)
    });
    CreatePartitionsResponseData {
        results: results.collect(),
        ..Default::default()
    }
}

fn result(name: KafkaString, outcome: Outcome) -> CreatePartitionsTopicResult {
    let (code, message) = match outcome {
        Ok(()) => (ErrorCode::None, None),
        Err(error) => (error.code, Some(kafka_string(&error.message))),
    };
    CreatePartitionsTopicResult {
        name,
        error_code: code.code(),
        error_message: message,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::Encode;

    #[test]
    fn every_topic_is_answered_in_every_version() {
        let topic = |name| CreatePartitionsTopic {
            name: kafka_string(name),
            count: 4,
            ..Default::default()
        };
        let error = CommandError {
            code: ErrorCode::InvalidPartitions,
            message: "fewer".to_string(),
        };
        let response = respond(&[topic("a"), topic("b")], vec![Ok(()), Err(error)]);
        assert_eq!(
            response
                .results
                .iter()
                .map(|result| result.error_code)
                .collect::<Vec<_>>(),
            [0, 37]
        );
        for version in API.versions {
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
    }
}
