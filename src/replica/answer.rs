//! What becomes of each partition of a leader's answer. Pure.

use bytes::Bytes;

use super::partitions::Partitions;
use crate::model::{ErrorCode, PartitionId};
use crate::shard::{Cut, CutLog, Fetched};
use crate::wire::fetch::{FetchPartitionResponse, FetchResponse};

/// An answer, by what is to be done about its partitions.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// For the log, or the offsets beside it.
    pub(super) fetched: Vec<Fetched>,
    /// Our log holds what the leader's does not.
    pub(super) cuts: Vec<CutLog>,
    /// Our end is outside of the leader's log.
    pub(super) outside: Vec<PartitionId>,
    /// A newer image will say who leads, and in which epoch.
    pub(super) over: Vec<PartitionId>,
    /// Asked for again after a rest.
    pub(super) failed: Vec<(PartitionId, ErrorCode)>,
}

/// Partitions that are not copied from this leader any more are left out.
pub(super) fn sort(response: FetchResponse, partitions: &Partitions) -> Sorted {
    let mut sorted = Sorted::default();
    for topic in response.topics {
        for answer in topic.partitions {
            let id = PartitionId {
                topic: topic.id,
                index: answer.index,
            };
            sorted.add(id, answer, partitions);
        }
    }
    sorted
}

impl Sorted {
    fn add(&mut self, id: PartitionId, answer: FetchPartitionResponse, partitions: &Partitions) {
        let Some(known) = partitions.get(id) else { return };
        match (ErrorCode::from_code(answer.error_code), answer.diverging_epoch) {
            (ErrorCode::None, Some((epoch, end_offset))) => self.cuts.push(CutLog {
                life: known.life,
                cut: Cut::Diverging { epoch, end_offset },
            }),
            (ErrorCode::None, None) => self.fetched.push(Fetched {
                life: known.life,
                offset: known.end.offset,
                records: joined(answer.records),
                high_watermark: answer.high_watermark,
                log_start: answer.log_start_offset,
            }),
            (ErrorCode::OffsetOutOfRange, _) => self.outside.push(id),
            (ErrorCode::FencedLeaderEpoch, _) => self.over.push(id),
            (error, _) => self.failed.push((id, error)),
        }
    }
}

/// One slice, which is how a frame holds them.
fn joined(records: Vec<Bytes>) -> Bytes {
    let mut records = records.into_iter();
    match (records.next(), records.next()) {
        (None, _) => Bytes::new(),
        (Some(only), None) => only,
        (Some(first), Some(second)) => [first, second]
            .into_iter()
            .chain(records)
            .collect::<Vec<_>>()
            .concat()
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BrokerId, Incarnation, LeaderEpoch, TopicId};
    use crate::shard::{Follow, FollowerLife, LogEnd};
    use crate::wire::fetch::FetchTopicResponse;

    const TOPIC: TopicId = TopicId([3; 16]);

    fn partitions(count: i32) -> Partitions {
        let mut partitions = Partitions::default();
        for index in 0..count {
            let partition = PartitionId { topic: TOPIC, index };
            partitions.begin(Follow {
                life: FollowerLife {
                    partition,
                    incarnation: Incarnation(1),
                    leader_epoch: LeaderEpoch(4),
                },
                leader: BrokerId(2),
                end: LogEnd {
                    offset: 10 + i64::from(index),
                    last_epoch: 3,
                    log_start: 0,
                },
            });
        }
        partitions
    }

    fn answer(index: i32, error: ErrorCode) -> FetchPartitionResponse {
        FetchPartitionResponse {
            index,
            error_code: error.code(),
            high_watermark: 9,
            log_start_offset: 2,
            ..Default::default()
        }
    }

    /// Data and offsets go to the log, a diverging epoch cuts it, and each error has its consequence.
    #[test]
    fn each_partition_gets_what_its_answer_asks_for() {
        let data = FetchPartitionResponse {
            records: vec![Bytes::from_static(b"batch"), Bytes::from_static(b"es")],
            ..answer(0, ErrorCode::None)
        };
        let diverging = FetchPartitionResponse {
            diverging_epoch: Some((2, 7)),
            ..answer(1, ErrorCode::None)
        };
        let errors = [
            answer(2, ErrorCode::OffsetOutOfRange),
            answer(3, ErrorCode::FencedLeaderEpoch),
            answer(4, ErrorCode::UnknownLeaderEpoch),
            answer(5, ErrorCode::NotLeaderOrFollower),
            answer(6, ErrorCode::None),
        ];
        let response = FetchResponse {
            topics: vec![FetchTopicResponse {
                name: Bytes::new(),
                id: TOPIC,
                partitions: [data, diverging].into_iter().chain(errors).collect(),
            }],
            ..Default::default()
        };
        let sorted = sort(response, &partitions(6));
        let [fetched] = &sorted.fetched[..] else {
            panic!("one partition has data, and one is not copied: {sorted:?}")
        };
        assert_eq!((fetched.offset, &fetched.records[..]), (10, &b"batches"[..]));
        assert_eq!((fetched.high_watermark, fetched.log_start), (9, 2));
        let [cut] = &sorted.cuts[..] else { panic!("{sorted:?}") };
        assert_eq!(
            cut.cut,
            Cut::Diverging {
                epoch: 2,
                end_offset: 7
            }
        );
        let indexes = |ids: &[PartitionId]| ids.iter().map(|id| id.index).collect::<Vec<_>>();
        assert_eq!((indexes(&sorted.outside), indexes(&sorted.over)), (vec![2], vec![3]));
        let failed: Vec<_> = sorted.failed.iter().map(|(id, error)| (id.index, *error)).collect();
        assert_eq!(
            failed,
            [(4, ErrorCode::UnknownLeaderEpoch), (5, ErrorCode::NotLeaderOrFollower)]
        );
    }
}
