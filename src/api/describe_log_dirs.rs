//! DescribeLogDirs: what each log directory holds, for kafka-log-dirs and for every UI that shows sizes.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::metadata::{Image, Topic};
use crate::model::{BrokerId, ErrorCode, PartitionId};
use crate::rt;
use crate::shard::{LogSize, LogSizeItem};
use crate::wire::ApiKey;
use crate::wire::messages::{
    DescribeLogDirsPartition, DescribeLogDirsRequestData, DescribeLogDirsResponseData, DescribeLogDirsResult,
    DescribeLogDirsTopic, kafka_string,
};

use super::{Answer, Api, Context, Refusal, Request};

pub const API: Api = Api {
    key: ApiKey::DESCRIBE_LOG_DIRS,
    name: "DescribeLogDirs",
    versions: 1..=4,
    pipelined: false,
    handle: |cx, request| Box::pin(handle(cx, request)),
};

async fn handle(cx: Rc<Context>, request: Request) -> Result<Answer, Refusal> {
    let version = request.version();
    let message = request.decode::<DescribeLogDirsRequestData>(&cx)?;
    // They are the broker's: who asks every node would add them up.
    if cx.is_shard_node() {
        return Answer::message(&DescribeLogDirsResponseData::default(), version);
    }
    let partitions = hosted(&cx.image(), &message, cx.broker_id());
    let items = partitions
        .iter()
        .map(|hosted| LogSizeItem { partition: hosted.id })
        .collect();
    let sizes = cx.router().log_sizes(items).await;
    let mut dirs = Vec::with_capacity(cx.config().log_dirs.len());
    for path in &cx.config().log_dirs {
        dirs.push(Dir {
            path: path.to_string_lossy().into_owned(),
            space: rt::Dir::space(path.clone()).await.ok(),
        });
    }
    Answer::message(&respond(&dirs, &partitions, &sizes), version)
}

struct Hosted {
    topic: Arc<str>,
    id: PartitionId,
}

struct Dir {
    path: String,
    /// Bytes free and in all; `None`: the file system does not answer.
    space: Option<(u64, u64)>,
}

/// The partitions asked for that have a replica here: all of them for a null list.
fn hosted(image: &Image, request: &DescribeLogDirsRequestData, me: BrokerId) -> Vec<Hosted> {
    let of_topic = |topic: &Arc<Topic>, wanted: &dyn Fn(i32) -> bool| -> Vec<Hosted> {
        let here = topic
            .partitions
            .iter()
            .filter(|state| state.replicas.contains(&me) && wanted(state.index));
        here.map(|state| Hosted {
            topic: topic.name.clone(),
            id: PartitionId {
                topic: topic.id,
                index: state.index,
            },
        })
        .collect()
    };
    match &request.topics {
        None => image
            .topics
            .values()
            .flat_map(|topic| of_topic(topic, &|_| true))
            .collect(),
        Some(topics) => topics
            .iter()
            .filter_map(|asked| Some((image.topic(asked.topic.as_str())?, &asked.partitions)))
            .flat_map(|(topic, indexes)| of_topic(topic, &|index| indexes.contains(&index)))
            .collect(),
    }
}

fn respond(dirs: &[Dir], partitions: &[Hosted], sizes: &[LogSize]) -> DescribeLogDirsResponseData {
    let results = dirs.iter().map(|dir| {
        let is_inside = |(_, size): &(&Hosted, &LogSize)| size.log_dir.as_deref() == Some(&dir.path);
        result(dir, partitions.iter().zip(sizes).filter(is_inside).collect())
    });
    DescribeLogDirsResponseData {
        results: results.collect(),
        ..Default::default()
    }
}

/// Of a directory that is offline nothing is told but that.
fn result(dir: &Dir, inside: Vec<(&Hosted, &LogSize)>) -> DescribeLogDirsResult {
    let is_offline = inside
        .iter()
        .any(|(_, size)| size.error == ErrorCode::KafkaStorageError);
    let Some((usable_bytes, total_bytes)) = dir.space.filter(|_| !is_offline) else {
        return DescribeLogDirsResult {
            error_code: ErrorCode::KafkaStorageError.code(),
            log_dir: kafka_string(&dir.path),
            total_bytes: -1,
            usable_bytes: -1,
            ..Default::default()
        };
    };
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for (hosted, size) in inside {
        topics.entry(&hosted.topic).or_default().push(DescribeLogDirsPartition {
            partition_index: hosted.id.index,
            partition_size: if size.error.is_none() { size.size_bytes } else { -1 },
            ..Default::default()
        });
    }
    let topic = |(name, partitions)| DescribeLogDirsTopic {
        name: kafka_string(name),
        partitions,
        ..Default::default()
    };
    DescribeLogDirsResult {
        log_dir: kafka_string(&dir.path),
        topics: topics.into_iter().map(topic).collect(),
        total_bytes: i64::try_from(total_bytes).unwrap_or(i64::MAX),
        usable_bytes: i64::try_from(usable_bytes).unwrap_or(i64::MAX),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing;
    use crate::wire::messages::{DescribableLogDirTopic, Encode};

    /// Behaviour 68: every directory is named, also an empty one and one that fails; every version encodes.
    #[test]
    fn every_directory_is_described() {
        let image = testing::image(&[("a", 2), ("b", 1)]);
        let partitions = hosted(
            &image,
            &DescribeLogDirsRequestData {
                topics: None,
                ..Default::default()
            },
            BrokerId(1),
        );
        let size = |dir: &str, size_bytes| LogSize {
            error: ErrorCode::None,
            size_bytes,
            log_dir: Some(dir.to_string()),
        };
        let sizes = [size("/x", 1), size("/y", 2), size("/x", 3)];
        let dir = |path: &str, space| Dir {
            path: path.to_string(),
            space,
        };
        let dirs = [dir("/x", Some((9, 20))), dir("/y", Some((8, 30))), dir("/z", None)];
        let response = respond(&dirs, &partitions, &sizes);
        let counts: Vec<_> = response
            .results
            .iter()
            .map(|dir| (dir.error_code, dir.topics.len()))
            .collect();
        assert_eq!(counts, [(0, 2), (0, 1), (56, 0)]);
        assert_eq!(response.results[1].topics[0].partitions[0].partition_size, 2);
        let space = |at: usize| (response.results[at].usable_bytes, response.results[at].total_bytes);
        assert_eq!([space(0), space(1), space(2)], [(9, 20), (8, 30), (-1, -1)]);
        for version in API.versions {
            response
                .encode(version)
                .unwrap_or_else(|error| panic!("version {version}: {error}"));
        }
    }

    /// A directory that went offline says so, however well its file system answers.
    #[test]
    fn an_offline_directory_says_so() {
        let image = testing::image(&[("a", 1)]);
        let all = DescribeLogDirsRequestData {
            topics: None,
            ..Default::default()
        };
        let failed = LogSize {
            error: ErrorCode::KafkaStorageError,
            size_bytes: -1,
            log_dir: Some("/x".to_string()),
        };
        let dir = Dir {
            path: "/x".to_string(),
            space: Some((9, 20)),
        };
        let response = respond(&[dir], &hosted(&image, &all, BrokerId(1)), &[failed]);
        let result = &response.results[0];
        assert_eq!(
            (result.error_code, result.usable_bytes, result.topics.len()),
            (56, -1, 0)
        );
    }

    /// Only what was asked for, and only replicas of this broker.
    #[test]
    fn partitions_are_those_asked_for() {
        let image = testing::image(&[("a", 3)]);
        let topic = DescribableLogDirTopic {
            topic: kafka_string("a"),
            partitions: vec![2, 7],
            ..Default::default()
        };
        let request = DescribeLogDirsRequestData {
            topics: Some(vec![topic]),
            ..Default::default()
        };
        let indexes: Vec<_> = hosted(&image, &request, BrokerId(1))
            .iter()
            .map(|hosted| hosted.id.index)
            .collect();
        assert_eq!(indexes, [2]);
        assert!(hosted(&image, &request, BrokerId(2)).is_empty());
    }
}
