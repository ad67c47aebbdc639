//! What a partition becomes when its replicas, its ISR or the brokers around it change: the rules of reassignments, of the
//! ELR, of elections and of epochs. Everything that changes a partition that exists goes through here.

use super::Scratch;
use crate::metadata::image::{Image, PartitionState, Topic};
use crate::metadata::record::{self, Record};
use crate::model::{BrokerId, LeaderEpoch, PartitionId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elect {
    /// The leader stays if it may; else the first replica that holds everything.
    Clean,
    /// The first replica of the assignment if it holds everything, whoever leads.
    Preferred,
    /// As `Clean`, and if nobody holds everything, the first that is alive.
    Unclean,
}

/// A replica that leaves the ISR, and what may be missing of it when it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It stays as it was.
    Whole(BrokerId),
    /// Records that were not synced: it is not eligible any more.
    Unsynced(BrokerId),
    /// Its disk: it must not even lead for want of anybody better.
    Lost(BrokerId),
}

/// A change that is asked for. The rules may add to it.
pub struct Change {
    /// The state now, with what is asked for put in its place: replicas, directories, adding, removing, ISR, recovery.
    target: PartitionState,
    elect: Elect,
    gone: Option<Gone>,
}

impl Elect {
    /// What a topic allows when nobody asks for an election.
    pub fn of(topic: &Topic) -> Elect {
        match topic.config.unclean_leader_election {
            true => Elect::Unclean,
            false => Elect::Clean,
        }
    }
}

impl Gone {
    fn replica(self) -> BrokerId {
        match self {
            Gone::Whole(replica) | Gone::Unsynced(replica) | Gone::Lost(replica) => replica,
        }
    }
}

impl Change {
    pub fn to(target: PartitionState, elect: Elect) -> Change {
        Change {
            target,
            elect,
            gone: None,
        }
    }

    pub fn without(before: &PartitionState, gone: Gone, elect: Elect) -> Change {
        let mut target = before.clone();
        target.isr.retain(|member| *member != gone.replica());
        Change {
            target,
            elect,
            gone: Some(gone),
        }
    }
}

/// Decides the change and puts it into the scratch. The state after it; `None`: nothing changes.
pub fn push(scratch: &mut Scratch<'_>, id: &PartitionId, change: Change) -> Option<PartitionState> {
    let (topic, before) = scratch.image.partition(id)?;
    let after = settle(&scratch.image, topic, before, change)?;
    let record = record::Partition::new(id.topic, &after);
    scratch.push(Record::Partition(record));
    Some(after)
}

/// The state that a change leads to; `None`: the one before it.
pub fn settle(image: &Image, topic: &Topic, before: &PartitionState, change: Change) -> Option<PartitionState> {
    let Change {
        target: mut after,
        elect,
        gone,
    } = change;
    finish_reassignment(&mut after);
    let min_isr = topic.min_isr(after.replicas.len());
    derive_elr(before, &mut after, min_isr, gone);
    let may_lead = |replica: BrokerId| may_lead(image, &after, replica);
    let elected = self::elect(before, &after, elect, may_lead);
    install(before, &mut after, elected);
    if after.isr.len() >= min_isr {
        after.elr.clear();
    }
    (after != *before).then(|| with_epochs(before, after))
}

/// Whether the replica's broker is active and the disk that holds it is there: only then may it lead, or be in sync.
pub fn may_lead(image: &Image, state: &PartitionState, replica: BrokerId) -> bool {
    let (broker, directory) = (image.brokers.get(&replica), state.directory_of(replica));
    match (broker, directory) {
        (Some(broker), Some(directory)) => broker.is_active() && broker.has_online(&directory),
        _ => false,
    }
}

/// Once all replicas that shall stay are in sync, the others go. //= KIP-455
fn finish_reassignment(state: &mut PartitionState) {
    let stays = |replica: &BrokerId| !state.removing.contains(replica);
    let mut staying = state.replicas.iter().filter(|replica| stays(replica)).peekable();
    if !state.is_reassigned() || staying.peek().is_none() || !staying.all(|replica| state.isr.contains(replica)) {
        return;
    }
    let removing = std::mem::take(&mut state.removing);
    state.adding.clear();
    remove_replicas(state, &removing);
}

/// Takes replicas out of the assignment and of everything that only a replica can be in.
pub fn remove_replicas(state: &mut PartitionState, gone: &[BrokerId]) {
    let mut directories = state.directories.iter().copied();
    let paired = state
        .replicas
        .iter()
        .copied()
        .map(|replica| (replica, directories.next()));
    let kept: Vec<_> = paired.filter(|(replica, _)| !gone.contains(replica)).collect();
    state.replicas = kept.iter().map(|(replica, _)| *replica).collect();
    state.directories = kept.iter().filter_map(|(_, directory)| *directory).collect();
    for list in [&mut state.isr, &mut state.elr, &mut state.last_known_elr] {
        list.retain(|member| !gone.contains(member));
    }
}

/// Who falls out of an ISR that is too small stays eligible, since nothing is acknowledged without it. An ISR that is large
/// enough ends that for all. //= KIP-966
fn derive_elr(before: &PartitionState, after: &mut PartitionState, min_isr: usize, gone: Option<Gone>) {
    let lost = match gone {
        Some(Gone::Unsynced(replica) | Gone::Lost(replica)) => Some(replica),
        Some(Gone::Whole(_)) | None => None,
    };
    let was_eligible = |replica: &BrokerId| before.isr.contains(replica) || after.elr.contains(replica);
    let stays = |replica: &BrokerId| !after.isr.contains(replica) && Some(*replica) != lost;
    let eligible = after.replicas.iter().copied().filter(|r| was_eligible(r) && stays(r));
    after.elr = match after.isr.len() >= min_isr {
        true => Vec::new(),
        false => eligible.collect(),
    };
    if let Some(Gone::Lost(replica)) = gone {
        after.last_known_elr.retain(|last| *last != replica);
    }
}

enum Elected {
    Cleanly(BrokerId),
    /// Records may be lost.
    Uncleanly(BrokerId),
    Nobody,
}

fn elect(
    before: &PartitionState,
    after: &PartitionState,
    elect: Elect,
    may_lead: impl Fn(BrokerId) -> bool,
) -> Elected {
    let holds_all = |replica: &BrokerId| {
        let is_eligible = after.isr.is_empty() && after.elr.contains(replica);
        (is_eligible || after.isr.contains(replica)) && may_lead(*replica)
    };
    let replicas = || after.replicas.iter().copied();
    let preferred = replicas().next().filter(|_| elect == Elect::Preferred);
    let mut in_order = preferred.into_iter().chain(before.leader).chain(replicas());
    if let Some(leader) = in_order.find(holds_all) {
        return Elected::Cleanly(leader);
    }
    let nobody_holds_all = after.isr.is_empty() && after.elr.is_empty();
    let last = after.last_known_elr.iter().copied().filter(|_| nobody_holds_all);
    let anybody = replicas().filter(|_| elect == Elect::Unclean);
    let mut in_need = last.chain(anybody);
    match in_need.find(|replica| after.replicas.contains(replica) && may_lead(*replica)) {
        Some(leader) => Elected::Uncleanly(leader),
        None => Elected::Nobody,
    }
}

fn install(before: &PartitionState, after: &mut PartitionState, elected: Elected) {
    let last = after.last_known_elr.clone();
    (after.leader, after.last_known_elr) = match elected {
        Elected::Cleanly(leader) | Elected::Uncleanly(leader) => (Some(leader), Vec::new()),
        Elected::Nobody => (None, before.leader.map_or(last, |leader| vec![leader])),
    };
    match elected {
        Elected::Cleanly(leader) if !after.isr.contains(&leader) => {
            after.isr = vec![leader];
            after.elr.retain(|replica| *replica != leader);
        }
        Elected::Uncleanly(leader) => {
            after.isr = vec![leader];
            after.elr.clear();
            after.leader_recovering = true;
        }
        Elected::Cleanly(_) | Elected::Nobody => {}
    }
}

/// A replica that is dropped must not go on as one in the epoch in which it was one.
fn with_epochs(before: &PartitionState, mut after: PartitionState) -> PartitionState {
    let is_dropped = |replica: &BrokerId| !after.replicas.contains(replica);
    let is_new_term = before.leader != after.leader || before.replicas.iter().any(is_dropped);
    after.leader_epoch = LeaderEpoch(before.leader_epoch.0 + i32::from(is_new_term));
    after.partition_epoch = before.partition_epoch + 1;
    after
}
