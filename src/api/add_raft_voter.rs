//! AddRaftVoter: for kafka-metadata-quorum. The voters are the nodes of controller.quorum.voters, which join by themselves
//! once they run, so one that is there already is told of, and any other refused as Kafka refuses where the voters are
//! configured (kraft.version 0). //= KIP-853

use std::rc::Rc;

use crate::metadata::{Command, CommandError, QuorumState, Reply};
use crate::model::{BrokerId, ErrorCode};
use crate::wire::ApiKey;
use crate::wire::messages::{AddRaftVoterRequestData, AddRaftVoterResponseData, kafka_string};

use super::remove_raft_voter::check_cluster;
use super::{Answer, Api, Context, Refusal, Request, wrong_reply};

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
    let error = why_not(&cx, &message).await;
    let response = AddRaftVoterResponseData {
        error_code: error.code.code(),
        error_message: Some(kafka_string(&error.message)),
        ..Default::default()
    };
    Answer::message(&response, version)
}

async fn why_not(cx: &Context, message: &AddRaftVoterRequestData) -> CommandError {
    if let Err(error) = check_cluster(message.cluster_id.as_ref(), &cx.image().cluster_id) {
        return error;
    }
    match cx.router().metadata().submit(Command::DescribeQuorum).await {
        Ok(Reply::DescribeQuorum(state)) => refusal(BrokerId(message.voter_id), &state),
        Ok(_) => wrong_reply(),
        Err(error) => error,
    }
}

fn refusal(node: BrokerId, quorum: &QuorumState) -> CommandError {
    let voters: Vec<i32> = quorum.voters.iter().map(|voter| voter.node.0).collect();
    match voters.contains(&node.0) {
        true => CommandError {
            code: ErrorCode::DuplicateVoter,
            message: format!(
                "The voter id for {} is already part of the set of voters {voters:?}.",
                node.0
            ),
        },
        false => CommandError {
            code: ErrorCode::UnsupportedVersion,
            message: "Cluster doesn't support adding voter because the kraft.version feature is 0: a node that \
                      controller.quorum.voters of the others names joins by itself"
                .to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_votes_is_told_of_and_nobody_is_added() {
        let quorum = QuorumState::alone(BrokerId(3), 1, 1, 1);
        let codes = [3, 4].map(|node| refusal(BrokerId(node), &quorum).code);
        assert_eq!(codes, [ErrorCode::DuplicateVoter, ErrorCode::UnsupportedVersion]);
    }
}
