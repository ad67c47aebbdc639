//! Runs of partitions, topic by topic, over the members in the order of their names.

use std::collections::BTreeMap;

use super::{Subscribers, Targets};
use crate::group::classic::MemberId;
use crate::model::TopicId;

pub(super) fn assign(subscribers: &Subscribers<'_>, counts: &BTreeMap<TopicId, i32>) -> Targets {
    let mut targets: Targets = subscribers.keys().map(|id| (id.clone(), BTreeMap::new())).collect();
    // An instance keeps its place when it comes back under another member id.
    let mut ordered: Vec<(&str, &MemberId)> = subscribers
        .iter()
        .map(|(id, member)| (member.instance_id.unwrap_or(id), id))
        .collect();
    ordered.sort_unstable();
    for (topic, count) in counts {
        let readers = ordered.iter().map(|(_, id)| *id);
        let readers: Vec<&MemberId> = readers.filter(|id| subscribers[*id].topics.contains(topic)).collect();
        for (id, run) in readers.iter().zip(runs(*count, readers.len())) {
            if let Some(target) = targets.get_mut(*id).filter(|_| !run.is_empty()) {
                target.insert(*topic, run.collect());
            }
        }
    }
    targets
}

/// The first ones are longer by one where it does not come out even.
fn runs(count: i32, readers: usize) -> impl Iterator<Item = std::ops::Range<i32>> {
    let readers = i32::try_from(readers).unwrap_or(i32::MAX).max(1);
    let (len, longer) = (count / readers, count % readers);
    let start = move |at: i32| at * len + at.min(longer);
    (0..readers).map(move |at| start(at)..start(at + 1))
}
