//! A command on its way to the controller, wherever that is: tried again until one answers, but never twice where it may
//! have been carried out.

use std::time::Duration;

use super::super::command::{Command, CommandError, Reply};
use super::super::engine::{NoAnswer, Remote};
use super::super::handle::Handle;
use crate::model::{BrokerId, ErrorCode};
use crate::rt::{self, OneshotTx};

/// For a controller to be found and to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A heartbeat that is late is worth nothing: the next one is due.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(2);
const RETRY_PAUSE: Duration = Duration::from_millis(50);

pub(super) async fn forward(
    remote: Remote,
    handle: Handle,
    me: BrokerId,
    command: Command,
    answer: OneshotTx<Result<Reply, CommandError>>,
) {
    let patience = match command {
        Command::Heartbeat(_) | Command::RegisterBroker(_) => HEARTBEAT_PATIENCE,
        _ => PATIENCE,
    };
    let deadline = rt::now().after(patience);
    let mut obstacle = "no controller is elected".to_owned();
    while rt::now() < deadline {
        let answered = match remote.leader() {
            None => None,
            Some(node) if node == me => Some(handle.submit_here(command.clone()).await),
            Some(node) => match remote.ask(node, &command, deadline.since(rt::now())).await {
                Ok(answered) => Some(answered),
                Err(NoAnswer::Unreachable(error)) => {
                    obstacle = format!("node {}: {error}", node.0);
                    None
                }
                Err(NoAnswer::Unknown(error)) => return answer.send(Err(timed_out(&error.to_string()))),
            },
        };
        match answered {
            Some(answered) if !is_refused(&answered.0) => return handle.settle(answered, answer),
            _ => rt::sleep(RETRY_PAUSE).await,
        }
    }
    answer.send(Err(timed_out(&obstacle)));
}

fn is_refused(answer: &Result<Reply, CommandError>) -> bool {
    answer
        .as_ref()
        .is_err_and(|error| error.code == ErrorCode::NotController)
}

fn timed_out(why: &str) -> CommandError {
    CommandError {
        code: ErrorCode::RequestTimedOut,
        message: format!("the controller has not answered: {why}"),
    }
}
