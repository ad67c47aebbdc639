//! Where the leader's log begins and ends, asked for by a follower whose own end lies outside of it.
//!
//! Kafka's way: a log that is longer than the leader's (which lost its end in an unclean election) is cut to the leader's
//! end; one that ends before the leader's begins is given up and begins anew where the leader's does.

use super::partitions::Partitions;
use crate::metadata::Image;
use crate::model::{BrokerId, ErrorCode, PartitionId};
use crate::shard::{BrokerConnection, CallProblem, Cut, CutLog};
use crate::wire::ApiKey;
use crate::wire::messages::{
    BODY_BYTES_MAX_FETCH, Decode, Encode, ListOffsetsPartition, ListOffsetsRequestData, ListOffsetsResponseData,
    ListOffsetsTopic, kafka_string,
};

const VERSION: i16 = 7;
/// //= protocol: ListOffsets, the timestamps that stand for the end and the start of the log
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// What to do about each partition; those that the leader did not answer, or that are inside by now, with `None`.
pub(super) async fn look_up(
    connection: &mut BrokerConnection,
    image: &Image,
    me: BrokerId,
    outside: &[PartitionId],
    partitions: &Partitions,
) -> Result<Vec<(PartitionId, Option<CutLog>)>, CallProblem> {
    let ends = ask(connection, image, me, outside, partitions, LATEST).await?;
    let starts = ask(connection, image, me, outside, partitions, EARLIEST).await?;
    let cuts = outside.iter().zip(ends.into_iter().zip(starts));
    Ok(cuts
        .map(|(id, (end, start))| (*id, cut(partitions, *id, start, end)))
        .collect())
}

fn cut(partitions: &Partitions, id: PartitionId, start: Option<i64>, end: Option<i64>) -> Option<CutLog> {
    let known = partitions.get(id)?;
    let (start, end) = (start?, end?);
    let cut = if end < known.end.offset {
        Cut::LeaderEnd(end)
    } else if known.end.offset < start {
        Cut::StartAt(start)
    } else {
        return None;
    };
    Some(CutLog { life: known.life, cut })
}

/// One offset per partition, in order.
async fn ask(
    connection: &mut BrokerConnection,
    image: &Image,
    me: BrokerId,
    outside: &[PartitionId],
    partitions: &Partitions,
    timestamp: i64,
) -> Result<Vec<Option<i64>>, CallProblem> {
    let topics = outside.iter().filter_map(|id| {
        let topic = image.topic_by_id(&id.topic)?;
        let partition = ListOffsetsPartition {
            partition_index: id.index,
            current_leader_epoch: partitions.get(*id)?.life.leader_epoch.0,
            timestamp,
            ..Default::default()
        };
        Some(ListOffsetsTopic {
            name: kafka_string(&topic.name),
            partitions: vec![partition],
            ..Default::default()
        })
    });
    let request = ListOffsetsRequestData {
        replica_id: me.0,
        topics: topics.collect(),
        ..Default::default()
    };
    let body = vec![request.encode(VERSION)?];
    let answer = connection.call(ApiKey::LIST_OFFSETS, VERSION, body).await?;
    let answer = ListOffsetsResponseData::decode(answer, VERSION, BODY_BYTES_MAX_FETCH)?;
    let offset_of = |id: &PartitionId| {
        let name = &image.topic_by_id(&id.topic)?.name;
        let mut found = answer.topics.iter().filter(|topic| topic.name.as_str() == &**name);
        let partition = found.find_map(|topic| topic.partitions.iter().find(|one| one.partition_index == id.index))?;
        (partition.error_code == ErrorCode::None.code()).then_some(partition.offset)
    };
    Ok(outside.iter().map(offset_of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Incarnation, LeaderEpoch, TopicId};
    use crate::shard::{Follow, FollowerLife, LogEnd};

    /// Longer than the leader's log, wholly below it, inside of it, or not answered.
    #[test]
    fn a_log_outside_of_the_leaders_is_cut_or_begun_anew() {
        let id = PartitionId {
            topic: TopicId([1; 16]),
            index: 0,
        };
        let mut partitions = Partitions::default();
        partitions.begin(Follow {
            life: FollowerLife {
                partition: id,
                incarnation: Incarnation(1),
                leader_epoch: LeaderEpoch(0),
            },
            leader: BrokerId(2),
            end: LogEnd {
                offset: 50,
                last_epoch: 0,
                log_start: 10,
            },
        });
        let cut = |start, end| cut(&partitions, id, start, end).map(|cut| cut.cut);
        assert_eq!(cut(Some(0), Some(49)), Some(Cut::LeaderEnd(49)));
        assert_eq!(cut(Some(51), Some(90)), Some(Cut::StartAt(51)));
        assert_eq!(cut(Some(50), Some(90)), None);
        assert_eq!(cut(Some(0), Some(50)), None);
        assert_eq!(cut(None, Some(90)), None);
    }
}
