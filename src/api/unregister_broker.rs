//! UnregisterBroker: the cluster forgets a broker that will not come back. Decided by the controller, which takes it out of
//! every ISR. //= KIP-631

use std::rc::Rc;

use crate::config::BrokerConfig;
use crate::metadata::{Command, CommandError, Reply};
use crate::model::{BrokerId, ErrorCode};
use crate::wire::ApiKey;
use crate::wire::messages::{UnregisterBrokerRequestData, UnregisterBrokerResponseData, kafka_string};

use super::{Answer, Api, Context, Refusal, Request, wrong_reply};

pub const API: Api = Api {
    key: ApiKey::UNREGISTER_BROKER,
    name: "UnregisterBroker",
    versions: 0..=0,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<UnregisterBrokerRequestData>(&cx)?;
    let broker = BrokerId(message.broker_id);
    let outcome = match may_go(cx.config(), broker) {
        Err(error) => Err(error),
        Ok(()) => match cx
            .router()
            .metadata()
            .submit(Command::UnregisterBroker { broker })
            .await
        {
            Ok(Reply::UnregisterBroker) => Ok(()),
            Ok(_) => Err(wrong_reply()),
            Err(error) => Err(error),
        },
    };
    Answer::message(&respond(outcome), version)
}

/// A node alone registers at its start only: without itself it would lead nothing until then.
fn may_go(config: &BrokerConfig, broker: BrokerId) -> Result<(), CommandError> {
    if config.quorum.is_some() || broker.0 != config.broker_id {
        return Ok(());
    }
    Err(CommandError {
        code: ErrorCode::InvalidRequest,
        message: format!(
            "Broker {} is the only node of its cluster and cannot leave it",
            broker.0
        ),
    })
}

fn respond(outcome: Result<(), CommandError>) -> UnregisterBrokerResponseData {
    match outcome {
        Ok(()) => UnregisterBrokerResponseData::default(),
        Err(error) => UnregisterBrokerResponseData {
            error_code: error.code.code(),
            error_message: Some(kafka_string(&error.message)),
            ..Default::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A node alone keeps itself; any other id is the controller's affair.
    #[test]
    fn a_node_alone_cannot_be_unregistered() {
        let config = BrokerConfig {
            broker_id: 1,
            ..BrokerConfig::embedded(Path::new("/nowhere"))
        };
        let refused = respond(may_go(&config, BrokerId(1)));
        assert_eq!(refused.error_code, ErrorCode::InvalidRequest.code());
        assert_eq!(may_go(&config, BrokerId(2)), Ok(()));
    }
}
