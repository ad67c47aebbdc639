//! Commands that wait for their turn, and whom their answers go to.

use super::super::command::{Command, CommandError, Reply};
use super::super::engine::Answered;
use super::super::image::ImageEpoch;
use crate::rt::OneshotTx;

pub(super) struct Waiting {
    pub command: Command,
    pub answer: Answer,
}

pub(super) enum Answer {
    /// To a shard of this node.
    Own(OneshotTx<Result<Reply, CommandError>>),
    /// To another node.
    Other(OneshotTx<Answered>),
    /// The control thread asked itself.
    Nobody,
}

impl Answer {
    pub fn send(self, reply: Result<Reply, CommandError>, epoch: ImageEpoch) {
        match self {
            Answer::Own(answer) => answer.send(reply),
            Answer::Other(answer) => answer.send((reply, epoch)),
            Answer::Nobody => {}
        }
    }
}
