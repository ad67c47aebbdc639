//! ElectLeaders: the preferred replica leads again, or, where no replica in sync is left, any that is alive. Decided by the
//! controller.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::metadata::{Command, CommandError, Election, Reply};
use crate::model::ErrorCode;
use crate::wire::ApiKey;
use crate::wire::messages::{
    ElectLeadersPartitionResult, ElectLeadersRequestData, ElectLeadersResponseData, ReplicaElectionResult,
    kafka_string, text,
};

use super::{Answer, Api, Context, Refusal, Request, wrong_reply};

pub const API: Api = Api {
    key: ApiKey::ELECT_LEADERS,
    name: "ElectLeaders",
    versions: 0..=2,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// Before it only partitions have errors.
const FIRST_VERSION_WITH_AN_ERROR: i16 = 1;
/// //= protocol: the types of an election; version 0 has only the first
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<ElectLeadersRequestData>(&cx)?;
    let election = match message.election_type {
        PREFERRED => Election::Preferred,
        UNCLEAN => Election::Unclean,
        _ => return Answer::message(&refused(invalid_type(), &message, version), version),
    };
    let partitions = partitions(&message);
    let answer = cx
        .router()
        .metadata()
        .submit(Command::ElectLeaders { election, partitions });
    let response = match answer.await {
        Ok(Reply::ElectLeaders(results)) => respond(results),
        Ok(_) => refused(wrong_reply(), &message, version),
        Err(error) => refused(error, &message, version),
    };
    Answer::message(&response, version)
}

fn invalid_type() -> CommandError {
    CommandError {
        code: ErrorCode::InvalidRequest,
        message: "an election is preferred or unclean".to_string(),
    }
}

/// `None`: all partitions that need an election.
fn partitions(request: &ElectLeadersRequestData) -> Option<Vec<(String, i32)>> {
    let topics = request.topic_partitions.as_ref()?;
    let named = topics.iter().flat_map(|topic| {
        let name = text(&topic.topic);
        topic.partitions.iter().map(move |index| (name.clone(), *index))
    });
    Some(named.collect())
}

/// Of the whole request; where the version cannot say that, of each partition asked for.
fn refused(error: CommandError, request: &ElectLeadersRequestData, version: i16) -> ElectLeadersResponseData {
    if version < FIRST_VERSION_WITH_AN_ERROR {
        let asked = partitions(request).unwrap_or_default().into_iter();
        return respond(asked.map(|(topic, index)| (topic, index, Err(error.clone()))).collect());
    }
    ElectLeadersResponseData {
        error_code: error.code.code(),
        ..Default::default()
    }
}

fn respond(results: Vec<(String, i32, Result<(), CommandError>)>) -> ElectLeadersResponseData {
    let mut topics: BTreeMap<String, Vec<ElectLeadersPartitionResult>> = BTreeMap::new();
    for (topic, partition_id, result) in results {
        let (code, message) = match result {
            Ok(()) => (ErrorCode::None, None),
            Err(error) => (error.code, Some(kafka_string(&error.message))),
        };
        topics.entry(topic).or_default().push(ElectLeadersPartitionResult {
            partition_id,
            error_code: code.code(),
            error_message: message,
            ..Default::default()
        });
    }
    let results = topics
        .into_iter()
        .map(|(topic, partition_result)| ReplicaElectionResult {
            topic: kafka_string(&topic),
            partition_result,
            ..Default::default()
        });
    ElectLeadersResponseData {
        replica_election_results: results.collect(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::{ElectLeadersTopic, Encode};

    /// Each partition has its own outcome, below its topic; every version encodes.
    #[test]
    fn outcomes_are_grouped_by_topic() {
        let not_needed = CommandError {
            code: ErrorCode::ElectionNotNeeded,
            message: "it leads already".to_string(),
        };
        let response = respond(vec![
            ("b".to_string(), 0, Ok(())),
            ("a".to_string(), 3, Err(not_needed)),
            ("b".to_string(), 1, Ok(())),
        ]);
        let got: Vec<_> = response
            .replica_election_results
            .iter()
            .flat_map(|topic| &topic.partition_result)
            .map(|partition| (partition.partition_id, partition.error_code))
            .collect();
        assert_eq!(got, [(3, 84), (0, 0), (1, 0)]);
        let request = ElectLeadersRequestData {
            topic_partitions: Some(vec![ElectLeadersTopic {
                topic: kafka_string("a"),
                partitions: vec![7],
                ..Default::default()
            }]),
            ..Default::default()
        };
        for version in API.versions {
            let whole = refused(invalid_type(), &request, version);
            let said = (whole.error_code, whole.replica_election_results.len());
            assert_eq!(said, if version == 0 { (0, 1) } else { (42, 0) });
            whole.encode(version).expect("an error that the version carries");
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
    }
}
