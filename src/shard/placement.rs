//! Which shard owns a partition: a pure function of its id and the number of shards, the same on every shard.

use crate::model::{PartitionId, ShardId, TopicId};

/// The partitions of a topic lie on consecutive shards, so each topic is spread as evenly as its partitions allow, and
/// topics start at different shards. Nothing on disk depends on it: another number of shards only moves the owners.
pub fn owner(partition: PartitionId, shards: usize) -> ShardId {
    let at = u64::from(hash(partition.topic)) + u64::from(partition.index.unsigned_abs());
    ShardId((at % shards as u64) as u16)
}

/// Every bit of the id counts, also where ids share bits (a UUID's version, ids that are counted up).
fn hash(topic: TopicId) -> u32 {
    let mix = |sum: u64, byte: &u8| (sum.rotate_left(8) ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (topic.0.iter().fold(0, mix) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A topic's partitions differ by at most one between shards.
    #[test]
    fn topics_are_spread_evenly() {
        for (shards, topic) in [(1, 7), (2, 8), (3, 200), (8, 31)] {
            let mut owned = vec![0; shards];
            for index in 0..20 {
                let topic = TopicId([topic; 16]);
                owned[usize::from(owner(PartitionId { topic, index }, shards).0)] += 1;
            }
            assert!(
                owned.iter().max().unwrap() - owned.iter().min().unwrap() <= 1,
                "{owned:?}"
            );
        }
    }

    /// Topics of one partition do not all fall on the same shard.
    #[test]
    fn small_topics_start_at_different_shards() {
        let mut owned = [0; 4];
        for topic in 0..=255 {
            let topic = TopicId(std::array::from_fn(|at| if at == 3 { topic } else { topic / 3 }));
            owned[usize::from(owner(PartitionId { topic, index: 0 }, 4).0)] += 1;
        }
        assert!(owned.iter().all(|count| *count > 20), "{owned:?}");
    }
}
