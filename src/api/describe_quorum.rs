//! DescribeQuorum: who keeps the metadata, and how far each has come, for kafka-metadata-quorum. The controller answers,
//! whichever broker is asked. //= KIP-595, KIP-836

use std::rc::Rc;

use crate::metadata::{Command, CommandError, QuorumMember, QuorumState, Reply};
use crate::model::{ErrorCode, TopicId};
use crate::wire::ApiKey;
use crate::wire::messages::{
    DescribeQuorumRequestData, DescribeQuorumResponseData, DescribedQuorumListener, DescribedQuorumNode,
    DescribedQuorumPartition, DescribedQuorumReplica, DescribedQuorumTopic, kafka_string, kafka_uuid,
};

use super::{Answer, Api, Context, Refusal, Request, wrong_reply};

pub const API: Api = Api {
    key: ApiKey::DESCRIBE_QUORUM,
    name: "DescribeQuorum",
    versions: 0..=2,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

/// The name under which the log of the metadata is asked for; it is no topic that a client could read.
const METADATA_TOPIC: &str = "__cluster_metadata";
/// Before it nothing tells where the nodes are.
const FIRST_VERSION_WITH_NODES: i16 = 2;
const FIRST_VERSION_WITH_DIRECTORIES: i16 = 2;
const UNKNOWN: i64 = -1;

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<DescribeQuorumRequestData>(&cx)?;
    if !is_of_metadata(&message) {
        return Answer::message(&unknown_partitions(&message), version);
    }
    let listener = cx.config().quorum.as_ref().map(|quorum| quorum.listener_name.as_str());
    let response = match cx.router().metadata().submit(Command::DescribeQuorum).await {
        Ok(Reply::DescribeQuorum(state)) => respond(&state, listener, version),
        Ok(_) => refused(&wrong_reply()),
        Err(error) => refused(&error),
    };
    Answer::message(&response, version)
}

fn is_of_metadata(request: &DescribeQuorumRequestData) -> bool {
    match request.topics.as_slice() {
        [topic] => {
            let partitions = topic.partitions.as_slice();
            topic.topic_name.as_str() == METADATA_TOPIC && matches!(partitions, [only] if only.partition_index == 0)
        }
        _ => false,
    }
}

fn unknown_partitions(request: &DescribeQuorumRequestData) -> DescribeQuorumResponseData {
    let partition = |partition_index| DescribedQuorumPartition {
        partition_index,
        error_code: ErrorCode::UnknownTopicOrPartition.code(),
        ..Default::default()
    };
    let topics = request.topics.iter().map(|topic| DescribedQuorumTopic {
        topic_name: topic.topic_name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|asked| partition(asked.partition_index))
            .collect(),
        ..Default::default()
    });
    DescribeQuorumResponseData {
        topics: topics.collect(),
        ..Default::default()
    }
}

fn refused(error: &CommandError) -> DescribeQuorumResponseData {
    DescribeQuorumResponseData {
        error_code: error.code.code(),
        error_message: Some(kafka_string(&error.message)),
        ..Default::default()
    }
}

/// `listener`: the name of the one that the nodes of the quorum have for each other.
fn respond(state: &QuorumState, listener: Option<&str>, version: i16) -> DescribeQuorumResponseData {
    let partition = DescribedQuorumPartition {
        leader_id: state.leader.0,
        leader_epoch: i32::try_from(state.term).unwrap_or(i32::MAX),
        high_watermark: number(Some(state.committed_end)),
        current_voters: state.voters.iter().map(|member| replica(member, version)).collect(),
        observers: state.learners.iter().map(|member| replica(member, version)).collect(),
        ..Default::default()
    };
    let members = state.voters.iter().chain(&state.learners);
    DescribeQuorumResponseData {
        topics: vec![DescribedQuorumTopic {
            topic_name: kafka_string(METADATA_TOPIC),
            partitions: vec![partition],
            ..Default::default()
        }],
        nodes: match listener.filter(|_| version >= FIRST_VERSION_WITH_NODES) {
            Some(name) => members.filter_map(|member| node(member, name)).collect(),
            None => Vec::new(),
        },
        ..Default::default()
    }
}

fn replica(member: &QuorumMember, version: i16) -> DescribedQuorumReplica {
    let directory = member.directory.filter(|_| version >= FIRST_VERSION_WITH_DIRECTORIES);
    DescribedQuorumReplica {
        replica_id: member.node.0,
        replica_directory_id: kafka_uuid(directory.map_or(TopicId::ZERO, |directory| TopicId(directory.0))),
        log_end_offset: number(member.log_end),
        last_fetch_timestamp: member.heard_ms.unwrap_or(UNKNOWN),
        last_caught_up_timestamp: member.caught_up_ms.unwrap_or(UNKNOWN),
        ..Default::default()
    }
}

fn node(member: &QuorumMember, listener: &str) -> Option<DescribedQuorumNode> {
    let (host, port) = member.address.as_ref()?;
    Some(DescribedQuorumNode {
        node_id: member.node.0,
        listeners: vec![DescribedQuorumListener {
            name: kafka_string(listener),
            host: kafka_string(host),
            port: *port,
            ..Default::default()
        }],
        ..Default::default()
    })
}

fn number(offset: Option<u64>) -> i64 {
    offset.map_or(UNKNOWN, |offset| i64::try_from(offset).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BrokerId, DirId};
    use crate::wire::messages::{DescribeQuorumPartition, DescribeQuorumTopic, Encode, topic_id};

    /// What is not known is -1, nodes have addresses from version 2 on, and every version encodes.
    #[test]
    fn the_quorum_is_told_in_every_version() {
        let mut state = QuorumState::alone(BrokerId(1), 5, 40, 1_000);
        state.voters[0].address = Some(("h".to_string(), 9093));
        state.learners.push(QuorumMember {
            node: BrokerId(2),
            directory: Some(DirId([7; 16])),
            address: None,
            log_end: None,
            heard_ms: None,
            caught_up_ms: None,
        });
        for version in API.versions {
            let response = respond(&state, Some("CONTROLLER"), version);
            let partition = &response.topics[0].partitions[0];
            assert_eq!(
                (partition.leader_id, partition.leader_epoch, partition.high_watermark),
                (1, 5, 40)
            );
            let learner = &partition.observers[0];
            let told = (learner.log_end_offset, learner.last_fetch_timestamp);
            assert_eq!(told, (-1, -1));
            let directories = [&partition.current_voters[0], learner].map(|one| topic_id(one.replica_directory_id));
            let known = if version < 2 { TopicId::ZERO } else { TopicId([7; 16]) };
            assert_eq!(directories, [TopicId::ZERO, known]);
            assert_eq!(response.nodes.len(), usize::from(version >= 2));
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
    }

    /// There is one partition to ask for; any other is unknown.
    #[test]
    fn other_partitions_are_unknown() {
        let request = |name: &str, indexes: &[i32]| DescribeQuorumRequestData {
            topics: vec![DescribeQuorumTopic {
                topic_name: kafka_string(name),
                partitions: indexes
                    .iter()
                    .map(|index| DescribeQuorumPartition::default().with_partition_index(*index))
                    .collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        assert!(is_of_metadata(&request("__cluster_metadata", &[0])));
        for (name, indexes) in [("orders", &[0][..]), ("__cluster_metadata", &[0, 1])] {
            let request = request(name, indexes);
            assert!(!is_of_metadata(&request));
            let response = unknown_partitions(&request);
            let errors = response.topics[0]
                .partitions
                .iter()
                .map(|partition| partition.error_code);
            assert_eq!(errors.collect::<Vec<_>>(), vec![3; indexes.len()]);
        }
    }
}
