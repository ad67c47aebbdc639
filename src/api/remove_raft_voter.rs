//! RemoveRaftVoter: a node that will not come back, or comes back without its metadata, is taken out of the quorum, by its
//! number and its directory. The controller does it, whichever broker is asked. //= KIP-853

use std::rc::Rc;

use crate::metadata::{Command, CommandError, Reply};
use crate::model::{BrokerId, DirId, ErrorCode};
use crate::wire::ApiKey;
use crate::wire::messages::{
    KafkaString, RemoveRaftVoterRequestData, RemoveRaftVoterResponseData, kafka_string, text, topic_id,
};

use super::{Answer, Api, Context, Refusal, Request, wrong_reply};

pub const API: Api = Api {
    key: ApiKey::REMOVE_RAFT_VOTER,
    name: "RemoveRaftVoter",
    versions: 0..=0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<RemoveRaftVoterRequestData>(&cx)?;
    let response = match remove(&cx, &message).await {
        Ok(()) => RemoveRaftVoterResponseData::default(),
        Err(error) => RemoveRaftVoterResponseData {
            error_code: error.code.code(),
            error_message: Some(kafka_string(&error.message)),
            ..Default::default()
        },
    };
    Answer::message(&response, version)
}

async fn remove(cx: &Context, message: &RemoveRaftVoterRequestData) -> Result<(), CommandError> {
    check_cluster(message.cluster_id.as_ref(), &cx.image().cluster_id)?;
    let command = Command::RemoveVoter {
        node: BrokerId(message.voter_id),
        directory: DirId(topic_id(message.voter_directory_id).0),
    };
    match cx.router().metadata().submit(command).await {
        Ok(Reply::RemoveVoter) => Ok(()),
        Ok(_) => Err(wrong_reply()),
        Err(error) => Err(error),
    }
}

pub(super) fn check_cluster(theirs: Option<&KafkaString>, ours: &str) -> Result<(), CommandError> {
    match theirs.map(text) {
        Some(theirs) if theirs != ours => Err(CommandError {
            code: ErrorCode::InconsistentClusterId,
            message: format!("This is cluster {ours}, not {theirs}"),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voter_of_another_cluster_is_not_ours() {
        let of = |cluster: Option<&str>| {
            let cluster = cluster.map(kafka_string);
            check_cluster(cluster.as_ref(), "a").map_err(|error| error.code)
        };
        assert_eq!(
            [of(None), of(Some("a")), of(Some("b"))],
            [Ok(()), Ok(()), Err(ErrorCode::InconsistentClusterId)]
        );
    }
}
