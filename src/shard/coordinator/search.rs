//! Looks for the topics that the regular expressions of groups match: through all names of the image, in a task that
//! lets others in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Seat;
use crate::group::{Found, Pattern, Search};
use crate::metadata::Image;
use crate::model::PartitionId;
use crate::rt::{self, Now};
use crate::shard::message::Job;
use crate::shard::state::Shard;

/// Own work before other tasks are let in.
const TURN_BUDGET: Duration = Duration::from_micros(200);

pub(in crate::shard) struct SearchJob {
    /// Which loading of the coordinator has ordered it.
    load: u64,
    search: Search,
    image: Arc<Image>,
}

pub(in crate::shard) struct SearchDone {
    load: u64,
    found: Found,
}

impl Shard {
    pub(super) fn begin_searches(&mut self, id: PartitionId) {
        let Some(Seat::Active(active)) = self.coordinators.seats.get_mut(&id) else {
            return;
        };
        let load = active.load;
        for search in active.coordinator.take_searches() {
            let image = self.image.clone();
            self.jobs
                .push(Job::Search(id, Box::new(SearchJob { load, search, image })));
        }
    }

    pub(in crate::shard) fn on_searched(&mut self, id: PartitionId, done: SearchDone, now: Now) {
        match self.coordinators.seats.get_mut(&id) {
            Some(Seat::Active(active)) if active.load == done.load => {
                let effects = active.coordinator.on_found(done.found, now);
                self.carry_out(id, effects, now);
            }
            _ => {}
        }
    }
}

impl SearchJob {
    pub(in crate::shard) async fn run(self) -> SearchDone {
        let mut topics = BTreeMap::new();
        let mut turn = rt::now();
        for regex in &self.search.regexes {
            let mut matched = BTreeSet::new();
            // One that is none any more matches nothing: it was checked when it came.
            let pattern = Pattern::new(regex);
            for name in self.image.topics.keys() {
                if pattern.as_ref().is_some_and(|pattern| pattern.matches(name)) {
                    matched.insert(name.to_string());
                }
                if rt::now().since(turn) >= TURN_BUDGET {
                    rt::yield_now().await;
                    turn = rt::now();
                }
            }
            topics.insert(regex.clone(), matched);
        }
        SearchDone {
            load: self.load,
            found: Found {
                group: self.search.group,
                version: self.image.epoch.0,
                topics,
            },
        }
    }
}
