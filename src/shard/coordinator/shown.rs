//! What others may know of the groups without asking: brought up to date group by group, a bounded part at each tick.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Coordinator, Coordinators, Seat};
use crate::group::GroupLook;
use crate::metrics::{Cells, GroupEntry, GroupOffset, Metric};
use crate::model::PartitionId;
use crate::rt::{Instant, Now};
use crate::shard::state::Shard;

/// Groups and offsets that one tick looks at, give or take the last group's: some tens of microseconds.
const ROWS_PER_TICK: usize = 1_000;
/// From the beginning of one round through all groups to that of the next, or longer where there are many.
const ROUND: Duration = Duration::from_secs(1);

/// (a group's state, the gauge that counts the groups in it). A state of the newer protocols counts in the total alone.
const STATES: &[(&str, Metric)] = &[
    ("Empty", Metric::GroupsEmpty),
    ("Stable", Metric::GroupsStable),
    ("PreparingRebalance", Metric::GroupsPreparing),
    ("CompletingRebalance", Metric::GroupsCompleting),
];

#[derive(Default)]
pub(super) struct Shown {
    /// Of the last round; what this one has come by is in `next`.
    last: BTreeMap<Arc<str>, GroupEntry>,
    next: BTreeMap<Arc<str>, GroupEntry>,
    /// The group that this round has come to; `None` between two rounds.
    reached: Option<(PartitionId, Arc<str>)>,
    due: Option<Instant>,
    counts: Counts,
}

/// What a round has counted so far.
#[derive(Default)]
struct Counts {
    groups: i64,
    offsets: i64,
    left_out: i64,
    states: [i64; STATES.len()],
}

impl Shard {
    /// To be called at each tick.
    pub(in crate::shard) fn show_groups(&mut self, now: Now) {
        let Coordinators { seats, shown, .. } = &mut self.coordinators;
        if shown.reached.is_none() {
            if shown.due.is_some_and(|due| now.instant < due) {
                return;
            }
            shown.due = Some(now.instant.after(ROUND));
        }
        let limit = self.config.metrics_group_offsets_max;
        let reached = shown.reached.take();
        let first = reached.as_ref().map(|(id, _)| *id);
        let mut rows = 0;
        for (id, seat) in seats.range(first.unwrap_or(FIRST)..) {
            let Seat::Active(active) = seat else { continue };
            let Coordinator::Group(groups) = &active.coordinator else {
                continue;
            };
            let after = reached.as_ref().filter(|(reached, _)| reached == id);
            for group in groups.look(after.map(|(_, group)| &**group)) {
                rows += shown.show(group, &self.metrics, limit);
                if rows >= ROWS_PER_TICK {
                    shown.reached = Some((*id, group.id().clone()));
                    return;
                }
            }
        }
        shown.end_round(&self.metrics);
    }
}

/// No partition's id is lower.
const FIRST: PartitionId = PartitionId {
    topic: crate::model::TopicId::ZERO,
    index: i32::MIN,
};

impl Shown {
    /// Returns how many rows it was.
    fn show(&mut self, group: GroupLook<'_>, metrics: &Cells, limit: usize) -> usize {
        let rows = 1 + group.offsets().count();
        let state = group.state();
        self.counts.count(state, rows);
        let known = self.last.remove(group.id());
        let entry = known.filter(|entry| entry.set_offsets(group.offsets()));
        match entry.or_else(|| enter(group, rows - 1, metrics, limit)) {
            Some(entry) => {
                entry.set(state, group.members());
                self.next.insert(group.id().clone(), entry);
            }
            None => self.counts.left_out += rows as i64,
        }
        rows
    }

    /// Groups that the round has not come by are gone.
    fn end_round(&mut self, metrics: &Cells) {
        self.last = std::mem::take(&mut self.next);
        let counts = std::mem::take(&mut self.counts);
        metrics.set(Metric::Groups, counts.groups);
        metrics.set(Metric::GroupOffsets, counts.offsets);
        metrics.set(Metric::GroupOffsetsLeftOut, counts.left_out);
        for ((_, metric), count) in STATES.iter().zip(counts.states) {
            metrics.set(*metric, count);
        }
    }
}

impl Counts {
    fn count(&mut self, state: &str, rows: usize) {
        self.groups += 1;
        self.offsets += rows as i64 - 1;
        if let Some(at) = STATES.iter().position(|(name, _)| *name == state) {
            self.states[at] += 1;
        }
    }
}

fn enter(group: GroupLook<'_>, count: usize, metrics: &Cells, limit: usize) -> Option<GroupEntry> {
    let offset = |(topic, partition, committed): (&Arc<str>, i32, i64)| GroupOffset {
        topic: topic.clone(),
        partition,
        committed,
    };
    metrics
        .groups()
        .enter(group.id(), count, group.offsets().map(offset), limit)
}
