//! Bytes and messages by topic, of one shard's connections.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use crate::metadata::{Image, ImageEpoch};
use crate::metrics::{Cells, Entry, TOPICS_MAX, TopicCells};
use crate::model::{ShardId, TopicId};

/// The cells of the topics that this shard's clients have used. Those of deleted topics go when room is needed.
pub struct TopicTraffic {
    metrics: Cells,
    known: RefCell<HashMap<TopicId, Counted>>,
    /// The newest image that deleted topics were looked for in.
    cleared: Cell<Option<ImageEpoch>>,
}

type Counted = Entry<(TopicId, ShardId), TopicCells>;

impl TopicTraffic {
    pub fn new(metrics: Cells) -> TopicTraffic {
        TopicTraffic {
            metrics,
            known: RefCell::default(),
            cleared: Cell::default(),
        }
    }

    pub fn on_produced(&self, image: &Image, topic: TopicId, bytes: usize, messages: i32) {
        self.count(image, topic, |cells| {
            cells.on_produced(bytes as u64, u64::try_from(messages).unwrap_or(0));
        });
    }

    pub fn on_fetched(&self, image: &Image, topic: TopicId, bytes: usize) {
        self.count(image, topic, |cells| cells.on_fetched(bytes as u64));
    }

    fn count(&self, image: &Image, topic: TopicId, count: impl FnOnce(&TopicCells)) {
        let mut known = self.known.borrow_mut();
        if let Some(cells) = known.get(&topic) {
            return count(cells);
        }
        let is_full = known.len() >= TOPICS_MAX.min(image.topics_by_id.len());
        if is_full && self.cleared.replace(Some(image.epoch)) != Some(image.epoch) {
            known.retain(|id, _| image.topic_by_id(id).is_some());
        }
        if known.len() < TOPICS_MAX {
            let key = (topic, self.metrics.id());
            let cells = self.metrics.topics().enter(key, TopicCells::default());
            count(&cells);
            known.insert(topic, cells);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing;
    use crate::metrics::Registry;

    /// Counts add up per topic, and a deleted topic's cells go once another topic needs the room.
    #[test]
    fn topics_are_counted_while_they_exist() {
        let registry = Registry::new(1);
        let traffic = TopicTraffic::new(registry.shard(0));
        let (first, second) = (TopicId([1; 16]), TopicId([2; 16]));
        let image = testing::image(&[("a", 1)]);
        traffic.on_produced(&image, first, 100, 2);
        traffic.on_produced(&image, first, 50, 1);
        traffic.on_fetched(&image, first, 70);
        let listed = registry.topics().list();
        let counted = listed[0].1.get();
        assert_eq!((counted.bytes_in, counted.messages_in, counted.bytes_out), (150, 3, 70));
        let mut later = testing::image(&[("a", 1), ("b", 1)]);
        later.topics_by_id.remove(&first);
        traffic.on_fetched(&later, second, 1);
        let left: Vec<_> = registry.topics().list().iter().map(|((id, _), _)| *id).collect();
        assert_eq!(left, [second]);
    }
}
