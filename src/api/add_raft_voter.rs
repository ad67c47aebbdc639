//! AddRaftVoter: a node that runs is taken into the quorum, by its number, its directory and the address of its controller
//! listener. The controller does it, whichever broker is asked. It answers once the quorum has taken it down, be it that the
//! asker would be content with less (`ack_when_committed`). //= KIP-853, KIP-1186

use std::rc::Rc;

use crate::metadata::{Command, CommandError, NewVoter, Reply};
use crate::model::{BrokerId, DirId, ErrorCode, TopicId};
use crate::wire::ApiKey;
use crate::wire::messages::{AddRaftVoterRequestData, AddRaftVoterResponseData, kafka_string, topic_id};

use super::remove_raft_voter::check_cluster;
use super::{Answer, Api, Context, Refusal, Request, wrong_reply};

pub const API: Api = Api {
    key: ApiKey::ADD_RAFT_VOTER,
    name: "AddRaftVoter",
    versions: 0..=1,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<AddRaftVoterRequestData>(&cx)?;
    let response = match add(&cx, &message).await {
        Ok(()) => AddRaftVoterResponseData::default(),
        Err(error) => AddRaftVoterResponseData {
            error_code: error.code.code(),
            error_message: Some(kafka_string(&error.message)),
            ..Default::default()
        },
    };
    Answer::message(&response, version)
}

async fn add(cx: &Context, message: &AddRaftVoterRequestData) -> Result<(), CommandError> {
    check_cluster(message.cluster_id.as_ref(), &cx.image().cluster_id)?;
    let config = cx.config();
    let listener = config.quorum.as_ref().map(|quorum| quorum.listener_name.as_str());
    let command = Command::AddVoter(new_voter(message, listener)?);
    match cx.router().metadata().submit(command).await {
        Ok(Reply::AddVoter) => Ok(()),
        Ok(_) => Err(wrong_reply()),
        Err(error) => Err(error),
    }
}

/// `listener`: the name of the one that the nodes of the quorum have for each other.
fn new_voter(message: &AddRaftVoterRequestData, listener: Option<&str>) -> Result<NewVoter, CommandError> {
    let refused = |message: String| CommandError {
        code: ErrorCode::InvalidRequest,
        message,
    };
    let directory = topic_id(message.voter_directory_id);
    if message.voter_id < 0 || directory == TopicId::ZERO {
        return Err(refused("Add voter request didn't include a valid voter".to_owned()));
    }
    let mut listeners = message.listeners.iter();
    let is_meant = |name: &str| listener.is_none_or(|ours| ours.eq_ignore_ascii_case(name));
    let found = listeners.find(|one| is_meant(one.name.as_str()) && !one.host.as_str().is_empty() && one.port != 0);
    let found = found.ok_or_else(|| {
        refused(format!(
            "Add voter request didn't include the endpoint of the listener {}",
            listener.unwrap_or_default()
        ))
    })?;
    Ok(NewVoter {
        node: BrokerId(message.voter_id),
        directory: DirId(directory.0),
        host: found.host.as_str().to_owned(),
        port: found.port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::{AddRaftVoterListener, kafka_uuid};

    fn listener(name: &str, host: &str) -> AddRaftVoterListener {
        AddRaftVoterListener::default()
            .with_name(kafka_string(name))
            .with_host(kafka_string(host))
            .with_port(9093)
    }

    /// A number, a directory and the address on the quorum's listener are what it takes.
    #[test]
    fn a_voter_without_an_address_is_none() {
        let message = AddRaftVoterRequestData::default()
            .with_voter_id(4)
            .with_voter_directory_id(kafka_uuid(TopicId([7; 16])))
            .with_listeners(vec![listener("LAN", "a"), listener("CONTROLLER", "b")]);
        let new = |message: &AddRaftVoterRequestData| new_voter(message, Some("CONTROLLER"));
        let found = new(&message).unwrap();
        assert_eq!(
            (found.node, found.directory, found.host.as_str(), found.port),
            (BrokerId(4), DirId([7; 16]), "b", 9093)
        );
        for bad in [
            message.clone().with_voter_id(-1),
            message.clone().with_voter_directory_id(kafka_uuid(TopicId::ZERO)),
            message.clone().with_listeners(vec![listener("LAN", "a")]),
            message.clone().with_listeners(vec![listener("CONTROLLER", "")]),
        ] {
            assert_eq!(new(&bad).unwrap_err().code, ErrorCode::InvalidRequest);
        }
    }
}
