//! The life of a broker: registered, active, fenced, shutting down, gone; and what each step does to its partitions.

use std::collections::BTreeSet;

use super::change::{self, Change, Elect, Gone};
use super::placement::emptiest;
use super::{Live, Scratch, refuse};
use crate::metadata::command::{CommandError, Registration, Reply};
use crate::metadata::image::{BrokerState, Image, ImageEpoch, PartitionState};
use crate::metadata::record::{self, Record};
use crate::model::{BrokerId, DirId, ErrorCode, PartitionId};
#[cfg(test)]
use crate::rt;

pub fn register(scratch: &mut Scratch<'_>, asked: &Registration) -> Result<Reply, CommandError> {
    let known = scratch.image.brokers.get(&asked.id).cloned();
    if let Some(known) = &known {
        if known.incarnation == asked.incarnation {
            return Ok(Reply::RegisterBroker { epoch: known.epoch });
        }
        check_session(&scratch.image, scratch.live, known)?;
    }
    check_log_dirs(&scratch.image, asked)?;
    let last_epoch = known.as_ref().map(|known| known.epoch);
    let state = BrokerState {
        id: asked.id,
        epoch: next_commit(&scratch.image).max(last_epoch.map_or(0, |last| last.saturating_add(1))),
        incarnation: asked.incarnation,
        rack: asked.rack.clone(),
        endpoints: asked.endpoints.clone(),
        fenced: true,
        in_controlled_shutdown: None,
        log_dirs: asked.log_dirs.clone(),
        full_dirs: Vec::new(),
    };
    scratch.push(Record::RegisterBroker(record::RegisterBroker::from(&state)));
    let is_whole = is_whole(last_epoch, asked);
    leave(scratch, asked.id, |_, partition| {
        let directory = partition.directory_of(asked.id);
        match directory.is_some_and(|directory| !state.has_online(&directory)) {
            true => Some(Gone::Lost(asked.id)),
            false if is_whole => Some(Gone::Whole(asked.id)),
            false => Some(Gone::Unsynced(asked.id)),
        }
    });
    if asked.has_all_dirs {
        replace_lost_directories(scratch, asked.id);
    }
    Ok(Reply::RegisterBroker { epoch: state.epoch })
}

/// Of a broker all of whose directories are there: what was in one that is no more gets one that is, the one that holds the
/// fewest, and begins anew there, where somebody else has everything. Where nobody has, it stays missed: the directory may
/// be found again; or somebody may become the leader later, and is copied from then.
pub fn replace_lost_directories(scratch: &mut Scratch<'_>, id: BrokerId) {
    let image = &scratch.image;
    let Some(log_dirs) = image.brokers.get(&id).map(|broker| broker.log_dirs.clone()) else {
        return;
    };
    let in_place: usize = log_dirs.iter().map(|dir| image.partitions_in(dir)).sum();
    if in_place == image.partitions_on(id) {
        return;
    }
    let own = image.derived.of_broker(id).cloned().unwrap_or_default();
    for partition in own.iter() {
        let image = &scratch.image;
        let Some((_, state)) = image.partition(partition) else {
            continue;
        };
        let (Some(at), Some(emptiest)) = (lost_replica(state, id, &log_dirs), emptiest(image, &log_dirs)) else {
            continue;
        };
        let mut target = state.clone();
        target.directories[at] = emptiest;
        change::push(scratch, partition, Change::to(target, Elect::Clean));
    }
}

/// The place of the broker's replica, if that is in none of these directories and others have everything.
fn lost_replica(state: &PartitionState, id: BrokerId, log_dirs: &[DirId]) -> Option<usize> {
    let mut holders = state.isr.iter().chain(&state.elr).peekable();
    if holders.peek().is_none() || holders.any(|holder| *holder == id) {
        return None;
    }
    let is_lost = |dir: &DirId| *dir != DirId::UNASSIGNED && !log_dirs.contains(dir);
    let at = state.replicas.iter().position(|replica| *replica == id)?;
    state.directories.get(at).is_some_and(is_lost).then_some(at)
}

/// Its last life ended in order, and has left everything that it held.
fn is_whole(last_epoch: Option<i64>, asked: &Registration) -> bool {
    #[cfg(test)]
    if rt::sim::is_off(rt::sim::Rule::UncleanEnd) {
        return true;
    }
    last_epoch == Some(asked.clean_epoch)
}

/// The number of the commit that holds what is decided now.
fn next_commit(image: &Image) -> i64 {
    i64::try_from(image.epoch.0).unwrap_or(i64::MAX).saturating_add(1)
}

fn check_session(image: &Image, live: &Live, known: &BrokerState) -> Result<(), CommandError> {
    if known.fenced || !live.has_session(image, known.id) {
        return Ok(());
    }
    let message = format!(
        "Another broker is registered with id {}. If it was started again, this passes once the session of its \
         earlier life is over.",
        known.id.0
    );
    refuse(ErrorCode::DuplicateBrokerRegistration, message)
}

fn check_log_dirs(image: &Image, asked: &Registration) -> Result<(), CommandError> {
    let invalid = |message: String| refuse(ErrorCode::InvalidRegistration, message);
    if asked.log_dirs.is_empty() {
        return invalid("No directories specified in request".to_owned());
    }
    let mut seen = BTreeSet::new();
    for directory in &asked.log_dirs {
        if *directory == DirId::UNASSIGNED {
            return invalid("Reserved directory ID in request".to_owned());
        }
        if !seen.insert(directory) {
            return invalid("Duplicate directory ID in request".to_owned());
        }
    }
    let others = image.brokers.values().filter(|broker| broker.id != asked.id);
    for other in others {
        if let Some(shared) = other.log_dirs.iter().find(|directory| seen.contains(directory)) {
            return invalid(format!(
                "Broker {} is already registered with directory {shared}",
                other.id.0
            ));
        }
    }
    Ok(())
}

pub fn unregister(scratch: &mut Scratch<'_>, id: BrokerId) -> Result<Reply, CommandError> {
    let Some(epoch) = scratch.image.brokers.get(&id).map(|known| known.epoch) else {
        let message = format!("Broker ID {} is not currently registered", id.0);
        return refuse(ErrorCode::BrokerIdNotRegistered, message);
    };
    scratch.push(Record::UnregisterBroker(record::UnregisterBroker { id: id.0, epoch }));
    leave(scratch, id, |_, _| Some(Gone::Whole(id)));
    Ok(Reply::UnregisterBroker)
}

/// A session is over, unless the broker was heard since that was found.
pub fn fence_silent(scratch: &mut Scratch<'_>, id: BrokerId, epoch: i64) -> Reply {
    let known = scratch.image.brokers.get(&id);
    let is_silent = known
        .is_some_and(|known| known.epoch == epoch && !known.fenced && !scratch.live.has_session(&scratch.image, id));
    if is_silent {
        fence(scratch, id);
    }
    Reply::FenceSilent { was_fenced: is_silent }
}

/// It leads nothing and is in no ISR until it is heard again.
pub fn fence(scratch: &mut Scratch<'_>, id: BrokerId) {
    push_change(scratch, id, |broker| {
        broker.fenced = true;
        broker.in_controlled_shutdown = None;
    });
    leave(scratch, id, |_, _| Some(Gone::Whole(id)));
}

/// Partitions that had nobody may have it now. The others take it into their ISRs when it has caught up.
pub fn unfence(scratch: &mut Scratch<'_>, id: BrokerId) {
    push_change(scratch, id, |broker| broker.fenced = false);
    let derived = &scratch.image.derived;
    let Some(own) = derived.of_broker(id) else { return };
    let waiting: Vec<_> = derived
        .leaderless()
        .iter()
        .filter(|partition| own.contains(*partition))
        .copied()
        .collect();
    for partition in waiting {
        elect_again(scratch, &partition);
    }
}

/// It leads nothing any more, and what it knows of the ISRs ends here.
pub fn begin_shutdown(scratch: &mut Scratch<'_>, id: BrokerId) {
    let commit = ImageEpoch(scratch.image.epoch.0.saturating_add(1));
    push_change(scratch, id, |broker| broker.in_controlled_shutdown = Some(commit));
    leave(scratch, id, |_, _| Some(Gone::Whole(id)));
}

/// Log directories have failed: what is in them leads nothing and is in no ISR.
pub fn lose_directories(scratch: &mut Scratch<'_>, id: BrokerId, failed: &[DirId]) {
    let Some(known) = scratch.image.brokers.get(&id) else {
        return;
    };
    let newly: BTreeSet<_> = failed
        .iter()
        .filter(|dir| known.log_dirs.contains(dir))
        .copied()
        .collect();
    if newly.is_empty() {
        return;
    }
    push_change(scratch, id, |broker| broker.log_dirs.retain(|dir| !newly.contains(dir)));
    leave(scratch, id, |_, partition| {
        let directory = partition.directory_of(id);
        directory
            .is_some_and(|dir| newly.contains(&dir))
            .then_some(Gone::Whole(id))
    });
}

/// Log directories are full: what is in them goes out of the ISRs that can do without it, so that writes go on elsewhere. What
/// nobody else could take stays as it is: it can still be read.
pub fn fill_directories(scratch: &mut Scratch<'_>, id: BrokerId, full: &[DirId]) {
    let Some(known) = scratch.image.brokers.get(&id) else {
        return;
    };
    if known.full_dirs != full {
        let broker = BrokerState {
            full_dirs: full.to_vec(),
            ..known.as_ref().clone()
        };
        scratch.push(Record::BrokerSpace(record::BrokerSpace::from(&broker)));
    }
    if !full.is_empty() {
        let is_idle =
            |image: &Image, partition: &PartitionState| image.is_full(partition, id) && has_roomier(image, partition);
        leave(scratch, id, |image, partition| {
            is_idle(image, partition).then_some(Gone::Whole(id))
        });
    }
}

/// Somebody in sync may lead, and has space.
fn has_roomier(image: &Image, partition: &PartitionState) -> bool {
    let is_roomier =
        |member: &BrokerId| change::may_lead(image, partition, *member) && !image.is_full(partition, *member);
    partition.isr.iter().any(is_roomier)
}

/// A partition without a leader gets one, if there is one by the rules of its topic.
pub fn elect_again(scratch: &mut Scratch<'_>, id: &PartitionId) -> Option<PartitionState> {
    let (topic, state) = scratch.image.partition(id)?;
    let change = Change::to(state.clone(), Elect::of(topic));
    change::push(scratch, id, change)
}

fn push_change(scratch: &mut Scratch<'_>, id: BrokerId, change: impl FnOnce(&mut BrokerState)) {
    let Some(known) = scratch.image.brokers.get(&id) else {
        return;
    };
    let mut broker = known.as_ref().clone();
    change(&mut broker);
    scratch.push(Record::BrokerChange(record::BrokerChange::from(&broker)));
}

/// Takes the broker out of the ISRs of its partitions, of each as `how` says.
fn leave(scratch: &mut Scratch<'_>, id: BrokerId, how: impl Fn(&Image, &PartitionState) -> Option<Gone>) {
    let own = scratch.image.derived.of_broker(id).cloned().unwrap_or_default();
    for partition in own.iter() {
        let Some((topic, state)) = scratch.image.partition(partition) else {
            continue;
        };
        let counts = [&state.isr, &state.elr, &state.last_known_elr];
        let is_concerned = counts.iter().any(|list| list.contains(&id));
        if let Some(gone) = how(&scratch.image, state).filter(|_| is_concerned) {
            let change = Change::without(state, gone, Elect::of(topic));
            change::push(scratch, partition, change);
        }
    }
}

/// The request is of this life of the broker.
pub fn check_epoch(image: &Image, id: BrokerId, epoch: i64) -> Result<&BrokerState, CommandError> {
    match image.brokers.get(&id) {
        Some(known) if known.epoch == epoch => Ok(known),
        Some(known) => {
            let message = format!("Expected broker epoch {}, but got broker epoch {epoch}", known.epoch);
            refuse(ErrorCode::StaleBrokerEpoch, message)
        }
        None => refuse(
            ErrorCode::BrokerIdNotRegistered,
            format!("No broker registration found for broker id {}", id.0),
        ),
    }
}
