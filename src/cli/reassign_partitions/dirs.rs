//! Where replicas lie on the disks of their brokers, and how large they are there.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;

use super::plan::Move;
use crate::cli::partitions::{Named, name_of};
use crate::client::{ClientError, Cluster};
use crate::model::BrokerId;
use crate::wire::messages::*;

/// A broker, and a partition that it has a replica of: in the order in which Kafka's tool tells of them.
pub(super) type Replica = (i32, Named);

pub(super) struct OnDisk {
    pub(super) dir: String,
    pub(super) bytes: u64,
}

#[derive(Default)]
pub(super) struct Disks {
    pub(super) replicas: BTreeMap<Replica, OnDisk>,
    /// All directories of each broker that could be asked.
    dirs: BTreeMap<i32, BTreeSet<String>>,
}

/// Of these partitions. Brokers that cannot be asked are left out.
pub(super) fn look<'a>(cluster: &mut Cluster, partitions: impl Iterator<Item = &'a Named>) -> Disks {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, index) in partitions {
        topics.entry(topic).or_default().push(*index);
    }
    let topic = |(name, partitions): (&str, Vec<i32>)| {
        DescribableLogDirTopic::default()
            .with_topic(kafka_string(name))
            .with_partitions(partitions)
    };
    let request = DescribeLogDirsRequestData::default().with_topics(Some(topics.into_iter().map(topic).collect()));
    let mut disks = Disks::default();
    for broker in cluster.brokers() {
        match ask(cluster, broker, &request) {
            Ok(answer) => disks.add(broker, answer),
            Err(_) => cluster.forget(broker),
        }
    }
    disks
}

fn ask(
    cluster: &mut Cluster,
    broker: BrokerId,
    request: &DescribeLogDirsRequestData,
) -> Result<DescribeLogDirsResponseData, ClientError> {
    cluster.broker(broker)?.call(request)
}

impl Disks {
    fn add(&mut self, broker: BrokerId, answer: DescribeLogDirsResponseData) {
        for dir in answer.results {
            let path = text(&dir.log_dir);
            self.dirs.entry(broker.0).or_default().insert(path.clone());
            for topic in dir.topics {
                for partition in topic.partitions {
                    let id = (text(&topic.name), partition.partition_index);
                    let on_disk = OnDisk {
                        dir: path.clone(),
                        bytes: u64::try_from(partition.partition_size).unwrap_or(0),
                    };
                    self.replicas.insert((broker.0, id), on_disk);
                }
            }
        }
    }

    pub(super) fn dir_of(&self, replica: &Replica) -> Option<&str> {
        self.replicas.get(replica).map(|on_disk| on_disk.dir.as_str())
    }

    /// A directory that its broker does not have is refused. Among several the broker chooses itself, which is said.
    pub(super) fn check(&self, wanted: &BTreeMap<Replica, String>) -> anyhow::Result<()> {
        for (replica, dir) in wanted {
            let (broker, id) = replica;
            match self.dirs.get(broker) {
                Some(dirs) if !dirs.contains(dir) => bail!("broker {broker} has no log directory {dir}"),
                Some(dirs) if dirs.len() > 1 && self.dir_of(replica) != Some(dir) => eprintln!(
                    "Partition {} on broker {broker}: the broker chooses among its log directories itself; {dir} is not \
                     asked for.",
                    name_of(id)
                ),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether each replica is where it is wanted, in Kafka's sentences.
    pub(super) fn told(&self, wanted: &BTreeMap<Replica, String>) -> String {
        let line = |(replica, dir): (&Replica, &String)| {
            let (broker, id) = (replica.0, name_of(&replica.1));
            match self.dir_of(replica) {
                None => {
                    format!("Partition {id} cannot be found in any live log directory on broker {broker}.")
                }
                Some(is) if is == dir => format!("Reassignment of replica {id}-{broker} completed successfully."),
                Some(is) => format!("Partition {id} on broker {broker} is not being moved from log dir {is} to {dir}."),
            }
        };
        wanted.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// The directories that moves name.
pub(super) fn wanted(moves: &[Move]) -> BTreeMap<Replica, String> {
    let of_move = |one: &Move| {
        let id = one.id.clone();
        let dirs = one.replicas.clone().into_iter().zip(one.dirs.clone());
        dirs.filter_map(move |(broker, dir)| Some(((broker, id.clone()), dir?)))
    };
    moves.iter().flat_map(of_move).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sentences of Kafka 4.3.1's tool.
    #[test]
    fn places_are_told_in_kafkas_sentences() {
        let replica = |broker| (broker, ("foo".to_owned(), 0));
        let on_disk = OnDisk {
            dir: "/a".to_owned(),
            bytes: 1,
        };
        let disks = Disks {
            replicas: BTreeMap::from([(replica(1), on_disk)]),
            dirs: BTreeMap::from([(1, BTreeSet::from(["/a".to_owned()]))]),
        };
        let wants = |broker, dir: &str| BTreeMap::from([(replica(broker), dir.to_owned())]);
        assert_eq!(
            disks.told(&wants(1, "/a")),
            "Reassignment of replica foo-0-1 completed successfully."
        );
        assert_eq!(
            disks.told(&wants(1, "/b")),
            "Partition foo-0 on broker 1 is not being moved from log dir /a to /b."
        );
        assert_eq!(
            disks.told(&wants(2, "/a")),
            "Partition foo-0 cannot be found in any live log directory on broker 2."
        );
        assert_eq!(disks.told(&BTreeMap::new()), "");
        assert!(disks.check(&wants(1, "/a")).is_ok());
        assert!(disks.check(&wants(1, "/b")).is_err());
    }
}
