//! AddRaftVoter: for kafka-metadata-quorum. The voters are the nodes of controller.quorum.voters, which join by themselves
//! once they run, so none is added this way: refused as Kafka refuses where the voters are configured (kraft.version 0).
//! //= KIP-853

use std::rc::Rc;

use crate::metadata::CommandError;
use crate::model::{ErrorCode, TopicId};
use crate::wire::ApiKey;
use crate::wire::messages::{AddRaftVoterRequestData, AddRaftVoterResponseData, kafka_string, topic_id};

use super::remove_raft_voter::check_cluster;
use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::ADD_RAFT_VOTER,
    name: "AddRaftVoter",
    versions: 0..=0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<AddRaftVoterRequestData>(&cx)?;
    let error = why_not(&message, &cx.image().cluster_id);
    let response = AddRaftVoterResponseData {
        error_code: error.code.code(),
        error_message: Some(kafka_string(&error.message)),
        ..Default::default()
    };
    Answer::message(&response, version)
}

fn why_not(message: &AddRaftVoterRequestData, cluster: &str) -> CommandError {
    if let Err(error) = check_cluster(message.cluster_id.as_ref(), cluster) {
        return error;
    }
    let is_voter = message.voter_id >= 0 && topic_id(message.voter_directory_id) != TopicId::ZERO;
    let (code, message) = match is_voter {
        false => (
            ErrorCode::InvalidRequest,
            "Add voter request didn't include a valid voter",
        ),
        true => (
            ErrorCode::UnsupportedVersion,
            "Cluster doesn't support adding voter because the kraft.version feature is 0: a node that \
             controller.quorum.voters of the others names joins by itself",
        ),
    };
    CommandError {
        code,
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::kafka_uuid;

    #[test]
    fn nobody_is_added() {
        let voter = AddRaftVoterRequestData::default()
            .with_voter_id(4)
            .with_voter_directory_id(kafka_uuid(TopicId([7; 16])));
        let code = |message: &AddRaftVoterRequestData| why_not(message, "a").code;
        assert_eq!(code(&voter), ErrorCode::UnsupportedVersion);
        let nobody = voter.clone().with_voter_directory_id(kafka_uuid(TopicId::ZERO));
        assert_eq!(code(&nobody), ErrorCode::InvalidRequest);
        let of_another = voter.with_cluster_id(Some(kafka_string("b")));
        assert_eq!(code(&of_another), ErrorCode::InconsistentClusterId);
    }
}
