//! What a command leads to: records and an answer, or a refusal in Kafka's words. Pure: no clock, no random generator,
//! no input or output; the same image and command always give the same records. One file per family of commands.
//!
//! Each item of a command is decided on an image that holds the items before it, so that two items of one request are
//! held to the same rules as two requests.

mod alter_partition;
mod brokers;
mod change;
mod configs;
mod elections;
mod heartbeat;
mod live;
mod names;
mod partitions;
mod placement;
mod producer_ids;
mod reassign;
mod topics;

use std::collections::{BTreeMap, BTreeSet};

use super::command::{Command, CommandError, Reply};
use super::image::Image;
use super::record::Record;
use crate::model::{ErrorCode, TopicId};

pub use live::{Contact, Live, next_session_end, silent_brokers};
pub use placement::spread;
pub use producer_ids::PRODUCER_IDS_PER_BLOCK;

/// Partitions that one request may create, as KRaft has it.
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;
/// Partitions of which one broker may hold a replica: beyond it recovery and the image take too long.
pub const PARTITIONS_PER_BROKER_MAX: usize = 100_000;

/// The random part of a decision, drawn before it.
#[derive(Clone, Debug)]
pub struct Draw {
    /// One for each topic that the command may create.
    pub topic_ids: Vec<TopicId>,
    /// Where the placement of replicas begins.
    pub placement: u64,
}

#[derive(Clone, Debug)]
pub struct Decision {
    /// Empty: nothing changes, the answer needs no commit.
    pub records: Vec<Record>,
    pub reply: Reply,
}

/// Err: the command as a whole is refused; items that are refused stand in the reply.
pub fn decide(image: &Image, live: &Live, command: &Command, draw: &Draw) -> Result<Decision, CommandError> {
    let mut scratch = Scratch::new(image, live, draw);
    let reply = reply(&mut scratch, command)?;
    let records = if command.validate_only() {
        Vec::new()
    } else {
        scratch.records
    };
    Ok(Decision { records, reply })
}

fn reply(scratch: &mut Scratch<'_>, command: &Command) -> Result<Reply, CommandError> {
    Ok(match command {
        Command::CreateTopics { topics, .. } => Reply::CreateTopics(topics::create(scratch, topics)?),
        Command::DeleteTopics { topics } => Reply::DeleteTopics(topics::delete(scratch, topics)),
        Command::CreatePartitions { topics, .. } => Reply::CreatePartitions(partitions::create(scratch, topics)?),
        Command::AlterConfigs { changes, .. } => Reply::AlterConfigs(configs::alter(scratch, changes)),
        Command::AllocateProducerIds { broker, epoch } => producer_ids::allocate(scratch, *broker, *epoch)?,
        Command::RegisterBroker(asked) => brokers::register(scratch, asked)?,
        Command::Heartbeat(beat) => heartbeat::heartbeat(scratch, beat)?,
        Command::FenceSilent { broker, epoch } => brokers::fence_silent(scratch, *broker, *epoch),
        Command::UnregisterBroker { broker } => brokers::unregister(scratch, *broker)?,
        Command::AlterPartition(asked) => Reply::AlterPartition(alter_partition::alter(scratch, asked)?),
        Command::AssignDirectories(asked) => Reply::AssignDirectories(alter_partition::assign(scratch, asked)?),
        Command::ElectLeaders { election, partitions } => {
            Reply::ElectLeaders(elections::elect(scratch, *election, partitions.as_deref()))
        }
        Command::BalanceLeaders => elections::balance(scratch),
        Command::ElectOffline => elections::elect_offline(scratch),
        Command::AlterReassignments {
            partitions,
            allow_factor_change,
        } => Reply::AlterReassignments(reassign::alter(scratch, partitions, *allow_factor_change)),
        // The image does not know: the control loop answers them.
        Command::DescribeQuorum | Command::RemoveVoter { .. } | Command::AddVoter(_) => {
            return refuse(ErrorCode::InvalidRequest, "the quorum is not part of the metadata");
        }
    })
}

/// A decision under way: the image with what was decided so far.
struct Scratch<'a> {
    image: Image,
    live: &'a Live,
    draw: &'a Draw,
    records: Vec<Record>,
}

impl<'a> Scratch<'a> {
    fn new(image: &Image, live: &'a Live, draw: &'a Draw) -> Scratch<'a> {
        Scratch {
            image: image.clone(),
            live,
            draw,
            records: Vec::new(),
        }
    }

    fn push(&mut self, record: Record) {
        self.image.apply(&record);
        self.records.push(record);
    }
}

fn refuse<T>(code: ErrorCode, message: impl Into<String>) -> Result<T, CommandError> {
    Err(CommandError {
        code,
        message: message.into(),
    })
}

/// The keys that stand in a request more than once.
fn duplicates<K: Ord>(keys: impl IntoIterator<Item = K>) -> BTreeSet<K> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_insert(0) += 1;
    }
    counts
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(key, _)| key)
        .collect()
}

#[cfg(test)]
mod tests;
