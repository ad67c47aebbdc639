//! Who reads what: each partition by as many members as it takes to keep all of them busy, and each member about as many
//! partitions as any other. What a member reads already it goes on reading where that leaves the others their part.

use std::collections::{BTreeMap, BTreeSet};

use super::{Assignment, Member, MemberId};
use crate::group::catalog::Catalog;
use crate::model::TopicId;

type Partition = (TopicId, i32);

/// Members that read the same topics, and the partitions of these.
type Class = (BTreeSet<MemberId>, Vec<Partition>);

/// What each member is to read, by what it asks for and what there is.
pub(super) fn assign(members: &BTreeMap<MemberId, Member>, catalog: &dyn Catalog) -> BTreeMap<MemberId, Assignment> {
    let mut targets: BTreeMap<MemberId, Assignment> =
        members.keys().map(|id| (id.clone(), Assignment::new())).collect();
    for (class, partitions) in classes(members, catalog) {
        for (id, (topic, index)) in spread(&class, &partitions, members) {
            if let Some(target) = targets.get_mut(&id) {
                target.entry(topic).or_default().insert(index);
            }
        }
    }
    targets
}

/// Topics with the same readers are assigned together.
fn classes(members: &BTreeMap<MemberId, Member>, catalog: &dyn Catalog) -> Vec<Class> {
    let mut readers: BTreeMap<&str, BTreeSet<MemberId>> = BTreeMap::new();
    for (id, member) in members {
        for topic in &member.topics {
            readers.entry(topic).or_default().insert(id.clone());
        }
    }
    let mut classes: BTreeMap<BTreeSet<MemberId>, Vec<Partition>> = BTreeMap::new();
    for (topic, readers) in readers {
        if let Some(topic) = catalog.topic(topic) {
            let partitions = (0..topic.partitions).map(|index| (topic.id, index));
            classes.entry(readers).or_default().extend(partitions);
        }
    }
    classes.into_iter().collect()
}

/// Every partition goes to ⌈members / partitions⌉ members, and the members' numbers of partitions differ by one at most.
fn spread(
    class: &BTreeSet<MemberId>,
    partitions: &[Partition],
    members: &BTreeMap<MemberId, Member>,
) -> Vec<(MemberId, Partition)> {
    let sharing = class.len().div_ceil(partitions.len().max(1));
    let places = sharing * partitions.len();
    let mut readers: BTreeMap<Partition, usize> = partitions.iter().map(|partition| (*partition, 0)).collect();
    let mut given: Vec<(&MemberId, usize, BTreeSet<Partition>)> = Vec::with_capacity(class.len());
    for (at, id) in class.iter().enumerate() {
        let wanted = share_of(places, class.len(), at);
        let mut kept = BTreeSet::new();
        for (topic, indexes) in members.get(id).map(|member| &member.target).into_iter().flatten() {
            for index in indexes {
                let partition = (*topic, *index);
                if let Some(count) = readers
                    .get_mut(&partition)
                    .filter(|count| **count < sharing && kept.len() < wanted)
                {
                    *count += 1;
                    kept.insert(partition);
                }
            }
        }
        given.push((id, wanted, kept));
    }
    for (_, wanted, kept) in &mut given {
        while kept.len() < *wanted {
            let free = readers.iter_mut().filter(|(partition, _)| !kept.contains(*partition));
            let Some((partition, count)) = free.min_by_key(|(_, count)| **count) else {
                break;
            };
            *count += 1;
            kept.insert(*partition);
        }
    }
    let pairs = given
        .into_iter()
        .flat_map(|(id, _, kept)| kept.into_iter().map(move |partition| (id.clone(), partition)));
    pairs.collect()
}

/// The places of the one at `at`, where all of them are dealt out evenly.
fn share_of(places: usize, count: usize, at: usize) -> usize {
    (places * (at + 1)).div_ceil(count) - (places * at).div_ceil(count)
}
