//! The way to the control thread from any shard: commands there, images back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::command::{Command, CommandError, Reply};
use super::engine::Answered;
use super::image::{Image, ImageEpoch};
use super::standing::Standing;
use crate::config::{BrokerConfig, Reread};
use crate::metrics::ControlCells;
use crate::model::ErrorCode;
use crate::rt::{self, Instant, LaneFull, OneshotTx, Rx, Tx, lane, oneshot};

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
    standing: Arc<Standing>,
    cells: ControlCells,
    join: Arc<Mutex<Option<Join>>>,
}

type Join = Box<dyn FnOnce() + Send>;

/// What the control thread is sent.
pub(super) enum Request {
    Command {
        command: Command,
        answer: OneshotTx<Result<Reply, CommandError>>,
    },
    /// Of another node: not to be passed on to a third.
    Here {
        command: Command,
        answer: OneshotTx<Answered>,
    },
    /// Another node has answered a command of this one, by an image of that epoch.
    Answered {
        answered: Answered,
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
    pub standing: Arc<Standing>,
}

pub(super) fn handle(cells: ControlCells) -> (Handle, Inbox) {
    let (commands, requests) = lane(COMMANDS_MAX);
    let stopping = Arc::new(AtomicBool::new(false));
    let standing = Arc::new(Standing::alone());
    let inbox = Inbox {
        requests,
        stopping: stopping.clone(),
        standing: standing.clone(),
    };
    (
        Handle {
            commands,
            stopping,
            standing,
            cells,
            join: Arc::default(),
        },
        inbox,
    )
}

impl Handle {
    /// Decides, makes it durable, publishes the image to all shards, then answers. In a cluster another node may decide: who
    /// asked sees what he asked for all the same. Err: the control thread is gone, the disk failed, or no controller was
    /// found in time; after REQUEST_TIMED_OUT it may have been done.
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

    /// The same, only if this node is the controller: else NOT_CONTROLLER. With the epoch of the image that the answer rests
    /// on.
    pub(super) async fn submit_here(&self, command: Command) -> Answered {
        let (answer, answered) = oneshot();
        match self.commands.try_send(Request::Here { command, answer }) {
            Ok(()) => answered
                .await
                .unwrap_or_else(|| (Err(stopped()), ImageEpoch::default())),
            Err(LaneFull(_)) => (Err(stopped()), ImageEpoch::default()),
        }
    }

    /// The controller is to hear of this broker at once.
    pub(super) fn nudge(&self) {
        self.standing.nudge();
    }

    /// What another node has answered, to be passed on once this node's image shows it.
    pub(super) fn settle(&self, answered: Answered, answer: OneshotTx<Result<Reply, CommandError>>) {
        // A full lane drops the answer's sender, which says that there is none.
        let _ = self.commands.try_send(Request::Answered { answered, answer });
    }

    /// This broker can lead: its logs are open, its listeners serve. Until then its heartbeats ask to be fenced.
    pub fn set_ready(&self) {
        self.standing.set_ready();
    }

    #[cfg(test)]
    pub fn enter_cluster(&self) -> Option<crate::rt::Rx<()>> {
        self.standing.enter_cluster()
    }

    /// As if the controller had not been heard of for long.
    #[cfg(test)]
    pub fn end_lease(&self) {
        self.standing.set_lease(Instant(0));
    }

    /// Whether this broker may act as a leader now: a controller that cannot hear it has not yet taken its leaderships
    /// away. Hygiene, not safety: that rests on epochs.
    pub fn may_lead(&self, now: Instant) -> bool {
        self.standing.may_lead(now)
    }

    /// Asks the controller to move what this broker leads elsewhere, and waits until it has; false where that took too long.
    pub async fn hand_over(&self, patience: std::time::Duration) -> bool {
        self.standing.hand_over(patience).await
    }

    /// This broker serves nobody any more: asks the controller to fence it, and waits until it is; false where that took too
    /// long.
    pub async fn depart(&self, patience: std::time::Duration) -> bool {
        self.standing.depart(patience).await
    }

    /// Takes what a running broker can take of its file, and publishes the image to all shards. `None`: the control thread is
    /// gone or busy.
    pub async fn reread(&self, config: BrokerConfig) -> Option<Reread> {
        let (answer, answered) = oneshot();
        let config = Box::new(config);
        self.commands.try_send(Request::Reread { config, answer }).ok()?;
        answered.await
    }

    /// What the control thread shows of itself.
    pub(super) fn cells(&self) -> &ControlCells {
        &self.cells
    }

    /// Has the whole process end in order, and say that it failed.
    pub(super) fn end_process(&self, why: &str) {
        tracing::error!(why, "ending this process");
        self.standing.set_failed();
        rt::ask_to_end();
    }

    /// Whether it was ended so.
    pub fn has_failed(&self) -> bool {
        self.standing.has_failed()
    }

    /// Ends the control thread after the commands that it has taken up. Commands after it are refused.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        // A full lane wakes the thread as well.
        let _ = self.commands.try_send(Request::Stop);
    }

    /// The control loop has ended.
    #[cfg(test)]
    pub fn has_ended(&self) -> bool {
        self.commands.is_closed()
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
