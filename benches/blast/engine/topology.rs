//! What must be known of the cluster before the load begins: versions, the topic's leaders, log ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use corelane::client::{Address, ClientError, Cluster, Connection, Request};
use corelane::model::ErrorCode;
use corelane::wire::ApiKey;
use corelane::wire::fetch::FetchRequest;
use corelane::wire::messages::{
    ApiVersionsRequestData, CreatableTopic, CreatableTopicConfig, CreatePartitionsRequestData, CreatePartitionsTopic,
    CreateTopicsRequestData, DeleteTopicsRequestData, ListOffsetsPartition, ListOffsetsRequestData, ListOffsetsTopic,
    kafka_string, text,
};
use corelane::wire::produce::ProduceRequest;

use super::workload::Workload;

const CLIENT: &str = "corelane-bench";
const ADMIN_TIMEOUT_MS: i32 = 30_000;
/// Kafka makes no more than 10,000 records of one request, and a topic takes one besides its partitions'.
const CREATED_AT_ONCE_MAX: i32 = 9_000;
/// How long a topic may take until all its partitions have leaders.
const PATIENCE: Duration = Duration::from_secs(120);
/// ListOffsets: the log's end.
const LATEST: i64 = -1;

/// A topic, where its partitions are led, and how to speak to its brokers.
#[derive(Clone, Debug)]
pub struct Topology {
    pub topic: String,
    /// `host:port` of each partition's leader.
    pub leaders: BTreeMap<i32, String>,
    pub produce_version: i16,
    pub fetch_version: i16,
}

impl Topology {
    /// Finds the topic; makes it first unless it is to be kept.
    pub fn prepare(bootstrap: &str, workload: &Workload) -> anyhow::Result<Topology> {
        let mut cluster = Cluster::connect(bootstrap, CLIENT)?;
        let topic = if workload.keep_topic {
            workload.topic.clone()
        } else {
            let fresh = format!("{}-{:x}", workload.topic, super::clock::now_ns());
            create(&mut cluster, &fresh, workload)?;
            fresh
        };
        let expected = if workload.keep_topic {
            1
        } else {
            workload.partitions as usize
        };
        let leaders = wait_for_leaders(&mut cluster, &topic, expected)?;
        let address: Address = leaders.values().next().context("a topic without partitions")?.parse()?;
        let ranges = version_ranges(&address)?;
        let topology = Topology {
            topic,
            leaders,
            produce_version: version_of::<ProduceRequest>(&ranges)?,
            fetch_version: version_of::<FetchRequest>(&ranges)?,
        };
        topology.wait_until_served()?;
        Ok(topology)
    }

    /// A leader is named in the metadata before it serves: a request in between would be refused, and a load generator
    /// does not try again.
    fn wait_until_served(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.log_ends() {
                Ok(ends) if ends.len() == self.leaders.len() => return Ok(()),
                Err(problem) if Instant::now() > deadline => return Err(problem).context("a partition is not served"),
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Where each partition ends.
    pub fn log_ends(&self) -> anyhow::Result<BTreeMap<i32, i64>> {
        let mut by_leader: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for (partition, leader) in &self.leaders {
            by_leader.entry(leader).or_default().push(*partition);
        }
        let mut ends = BTreeMap::new();
        for (leader, partitions) in by_leader {
            let asked = partitions.iter().map(|index| {
                ListOffsetsPartition::default()
                    .with_partition_index(*index)
                    .with_timestamp(LATEST)
            });
            let topic = ListOffsetsTopic::default()
                .with_name(kafka_string(&self.topic))
                .with_partitions(asked.collect());
            let request = ListOffsetsRequestData::default()
                .with_replica_id(-1)
                .with_topics(vec![topic]);
            let answer = Connection::open(&leader.parse()?, CLIENT)?.call(&request)?;
            for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
                ClientError::check(partition.error_code, None)?;
                ends.insert(partition.partition_index, partition.offset);
            }
        }
        Ok(ends)
    }

    /// Removes the topic, so that the next slice finds the disk as this one did.
    pub fn delete(&self, bootstrap: &str) -> anyhow::Result<()> {
        let request = DeleteTopicsRequestData::default()
            .with_topic_names(vec![kafka_string(&self.topic)])
            .with_timeout_ms(ADMIN_TIMEOUT_MS);
        let answer = Cluster::connect(bootstrap, CLIENT)?.controller()?.call(&request)?;
        for topic in &answer.responses {
            ClientError::check(
                topic.error_code,
                topic.error_message.as_ref().map(|message| message.as_str()),
            )?;
        }
        Ok(())
    }
}

fn create(cluster: &mut Cluster, name: &str, workload: &Workload) -> anyhow::Result<()> {
    let mut topic = CreatableTopic::default()
        .with_name(kafka_string(name))
        .with_num_partitions(workload.partitions.min(CREATED_AT_ONCE_MAX))
        .with_replication_factor(workload.replication_factor);
    for setting in &workload.topic_configs {
        let (key, value) = setting
            .split_once('=')
            .with_context(|| format!("--topic-config {setting}: not key=value"))?;
        let config = CreatableTopicConfig::default().with_name(kafka_string(key));
        topic.configs.push(config.with_value(Some(kafka_string(value))));
    }
    let request = CreateTopicsRequestData::default()
        .with_topics(vec![topic])
        .with_timeout_ms(ADMIN_TIMEOUT_MS);
    let answer = cluster.controller()?.call(&request)?;
    let created = answer.topics.first().context("the answer names no topic")?;
    ClientError::check(
        created.error_code,
        created.error_message.as_ref().map(|message| message.as_str()),
    )
    .with_context(|| format!("create topic {name}"))?;
    if workload.partitions > CREATED_AT_ONCE_MAX {
        grow(cluster, name, workload.partitions)?;
    }
    Ok(())
}

fn grow(cluster: &mut Cluster, name: &str, partitions: i32) -> anyhow::Result<()> {
    let topic = CreatePartitionsTopic::default()
        .with_name(kafka_string(name))
        .with_count(partitions);
    let request = CreatePartitionsRequestData::default()
        .with_topics(vec![topic])
        .with_timeout_ms(ADMIN_TIMEOUT_MS);
    let answer = cluster.controller()?.call(&request)?;
    let grown = answer.results.first().context("the answer names no topic")?;
    ClientError::check(
        grown.error_code,
        grown.error_message.as_ref().map(|message| message.as_str()),
    )
    .with_context(|| format!("grow topic {name}"))
}

fn wait_for_leaders(cluster: &mut Cluster, topic: &str, partitions: usize) -> anyhow::Result<BTreeMap<i32, String>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match leaders(cluster, topic)? {
            Some(leaders) if leaders.len() >= partitions => return Ok(leaders),
            _ if Instant::now() > deadline => bail!("{topic} has partitions without a leader after {PATIENCE:?}"),
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// `None` as long as the topic, or one of its leaders, is not there.
fn leaders(cluster: &mut Cluster, topic: &str) -> anyhow::Result<Option<BTreeMap<i32, String>>> {
    let answer = cluster.metadata(Some(&[topic]), false)?;
    let Some(found) = answer.topics.first() else {
        return Ok(None);
    };
    match ErrorCode::from_code(found.error_code) {
        ErrorCode::None => {}
        ErrorCode::UnknownTopicOrPartition | ErrorCode::LeaderNotAvailable => return Ok(None),
        _ => ClientError::check(found.error_code, None)?,
    }
    let address = |leader: i32| {
        let broker = answer.brokers.iter().find(|broker| broker.node_id == leader)?;
        Some(format!("{}:{}", text(&broker.host), broker.port))
    };
    Ok(found
        .partitions
        .iter()
        .map(|partition| Some((partition.partition_index, address(partition.leader_id)?)))
        .collect())
}

fn version_ranges(address: &Address) -> anyhow::Result<BTreeMap<ApiKey, (i16, i16)>> {
    let request = ApiVersionsRequestData::default()
        .with_client_software_name(kafka_string(CLIENT))
        .with_client_software_version(kafka_string(env!("CARGO_PKG_VERSION")));
    let answer = Connection::open(address, CLIENT)?.call(&request)?;
    ClientError::check(answer.error_code, None)?;
    let range = |min, max| (min, max);
    Ok(answer
        .api_keys
        .iter()
        .map(|api| (ApiKey(api.api_key), range(api.min_version, api.max_version)))
        .collect())
}

/// The newest version that both sides speak.
fn version_of<R: Request>(ranges: &BTreeMap<ApiKey, (i16, i16)>) -> anyhow::Result<i16> {
    let (oldest, newest) = ranges
        .get(&R::KEY)
        .with_context(|| format!("the broker does not serve {:?}", R::KEY))?;
    let version = R::NEWEST.min(*newest);
    anyhow::ensure!(version >= R::OLDEST.max(*oldest), "no common version of {:?}", R::KEY);
    Ok(version)
}
