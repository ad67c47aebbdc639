//! The way to the control thread from any shard: commands there, images back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::command::{Command, CommandError, Reply};
use super::image::Image;
use crate::config::{BrokerConfig, Reread};
use crate::model::ErrorCode;
use crate::rt::{LaneFull, OneshotTx, Rx, Tx, lane, oneshot};

/// Commands that wait for the control thread.
const COMMANDS_MAX: usize = 1024;

/// A new image, as each shard gets it over its lane. The whole image: shards reconcile themselves with it.
#[derive(Clone)]
pub struct Published {
    pub image: Arc<Image>,
}

/// Where the control thread sends new images: one callback per shard, given at start. It is called on the control
/// thread and must not wait.
pub type Updates = Vec<Box<dyn Fn(Published) + Send>>;

/// Cloneable, Send.
#[derive(Clone)]
pub struct Handle {
    commands: Tx<Request>,
    stopping: Arc<AtomicBool>,
    join: Arc<Mutex<Option<Join>>>,
}

type Join = Box<dyn FnOnce() + Send>;

/// What the control thread is sent.
pub(super) enum Request {
    Command {
        command: Command,
        answer: OneshotTx<Result<Reply, CommandError>>,
    },
    /// This broker's file as it is now.
    Reread {
        config: Box<BrokerConfig>,
        answer: OneshotTx<Reread>,
    },
    /// Look at the stop flag.
    Stop,
}

/// The control thread's end of all handles.
pub(super) struct Inbox {
    pub requests: Rx<Request>,
    pub stopping: Arc<AtomicBool>,
}

pub(super) fn handle() -> (Handle, Inbox) {
    let (commands, requests) = lane(COMMANDS_MAX);
    let stopping = Arc::new(AtomicBool::new(false));
    let inbox = Inbox {
        requests,
        stopping: stopping.clone(),
    };
    (
        Handle {
            commands,
            stopping,
            join: Arc::default(),
        },
        inbox,
    )
}

impl Handle {
    /// Decides, makes it durable, publishes the image to all shards, then answers. Err: the control thread is gone or the disk failed.
    pub async fn submit(&self, command: Command) -> Result<Reply, CommandError> {
        let (answer, answered) = oneshot();
        match self.commands.try_send(Request::Command { command, answer }) {
            Ok(()) => answered.await.unwrap_or_else(|| Err(stopped())),
            Err(LaneFull(_)) if self.commands.is_closed() => Err(stopped()),
            Err(LaneFull(_)) => Err(CommandError {
                code: ErrorCode::RequestTimedOut,
                message: format!("{COMMANDS_MAX} commands wait for the controller already"),
            }),
        }
    }

    /// Takes what a running broker can take of its file, and publishes the image to all shards. `None`: the control thread is
    /// gone or busy.
    pub async fn reread(&self, config: BrokerConfig) -> Option<Reread> {
        let (answer, answered) = oneshot();
        let config = Box::new(config);
        self.commands.try_send(Request::Reread { config, answer }).ok()?;
        answered.await
    }

    /// Ends the control thread after the commands that it has taken up. Commands after it are refused.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        // A full lane wakes the thread as well.
        let _ = self.commands.try_send(Request::Stop);
    }

    /// Waits for the control thread's end: for `main`, never on a shard.
    pub fn join(&self) {
        let join = self.join.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(join) = join {
            join();
        }
    }

    pub(super) fn set_join(&self, join: Join) {
        *self.join.lock().unwrap_or_else(PoisonError::into_inner) = Some(join);
    }
}

fn stopped() -> CommandError {
    let message = "the controller has stopped".to_owned();
    CommandError {
        code: ErrorCode::NotController,
        message,
    }
}
