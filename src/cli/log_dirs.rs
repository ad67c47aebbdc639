//! `kafka-log-dirs.sh`: what the brokers' log directories hold, as Kafka 4.3's JSON.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context, bail};
use serde_json::Value;

use super::connect::{ServerArgs, list_of};
use crate::client::{ClientError, Cluster};
use crate::model::{BrokerId, ErrorCode};
use crate::wire::messages::*;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connect: ServerArgs,
    /// Describe the log directories
    #[arg(long, required = true)]
    describe: bool,
    /// Only of these brokers, as 0,1,2
    #[arg(long, value_delimiter = ',', value_name = "ID,…")]
    broker_list: Vec<i32>,
    /// Only these topics, separated by commas
    #[arg(long, value_delimiter = ',', value_name = "TOPIC,…")]
    topic_list: Vec<String>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connect.cluster("log-dirs-tool")?;
    let brokers = chosen(&mut cluster, &args.broker_list)?;
    println!("Querying brokers for log directories information");
    let topics: BTreeSet<&str> = args.topic_list.iter().map(String::as_str).collect();
    let mut described = Vec::new();
    for id in &brokers {
        described.push((*id, ask(&mut cluster, *id).with_context(|| format!("broker {id}"))?));
    }
    println!("Received log directory information from brokers {}", list_of(&brokers));
    println!("{}", json(&described, &topics));
    Ok(ExitCode::SUCCESS)
}

/// Those asked for, which must all be there, or all.
fn chosen(cluster: &mut Cluster, asked: &[i32]) -> anyhow::Result<Vec<i32>> {
    let answer = cluster.metadata(Some(&[]), false)?;
    let there: BTreeSet<i32> = answer.brokers.iter().map(|broker| broker.node_id).collect();
    let asked: BTreeSet<i32> = asked.iter().copied().collect();
    let missing: Vec<i32> = asked.difference(&there).copied().collect();
    let there: Vec<i32> = there.into_iter().collect();
    if !missing.is_empty() {
        bail!(
            "ERROR: The given brokers do not exist from --broker-list: {}. Current existent brokers: {}",
            list_of(&missing),
            list_of(&there)
        );
    }
    Ok(if asked.is_empty() {
        there
    } else {
        asked.into_iter().collect()
    })
}

/// Everything: topics are chosen afterwards, so that one that is not there is no error.
fn ask(cluster: &mut Cluster, broker: i32) -> anyhow::Result<Vec<DescribeLogDirsResult>> {
    let request = DescribeLogDirsRequestData::default().with_topics(None);
    let answer = cluster.broker(BrokerId(broker))?.call(&request)?;
    ClientError::check(answer.error_code, None)?;
    Ok(answer.results)
}

/// In one line, with the fields in Kafka's order. `topics`: empty for all.
fn json(described: &[(i32, Vec<DescribeLogDirsResult>)], topics: &BTreeSet<&str>) -> String {
    let brokers = described.iter().map(|(id, dirs)| {
        let dirs = joined(dirs.iter().map(|dir| dir_json(dir, topics)));
        format!("{{\"broker\":{id},\"logDirs\":[{dirs}]}}")
    });
    format!("{{\"brokers\":[{}],\"version\":1}}", joined(brokers))
}

fn dir_json(dir: &DescribeLogDirsResult, topics: &BTreeSet<&str>) -> String {
    let wanted = |topic: &&DescribeLogDirsTopic| topics.is_empty() || topics.contains(topic.name.as_str());
    let partitions = dir.topics.iter().filter(wanted).flat_map(|topic| {
        topic.partitions.iter().map(|partition| {
            let name = Value::from(format!("{}-{}", topic.name.as_str(), partition.partition_index));
            format!(
                "{{\"partition\":{name},\"size\":{},\"offsetLag\":{},\"isFuture\":{}}}",
                partition.partition_size, partition.offset_lag, partition.is_future_key
            )
        })
    });
    format!(
        "{{\"partitions\":[{}],\"error\":{},\"logDir\":{}}}",
        joined(partitions),
        error(ErrorCode::from_code(dir.error_code)),
        Value::from(dir.log_dir.as_str())
    )
}

/// The class that Kafka's client has for it.
fn error(code: ErrorCode) -> Value {
    match code {
        ErrorCode::None => Value::Null,
        ErrorCode::KafkaStorageError => Value::from("org.apache.kafka.common.errors.KafkaStorageException"),
        other => Value::from(format!("org.apache.kafka.common.errors.{other:?}Exception")),
    }
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields in Kafka's order; a directory that failed says so; topics that were not asked for are left out.
    #[test]
    fn directories_are_told_in_kafkas_json() {
        let topic = |name: &str, size| {
            let partition = DescribeLogDirsPartition::default().with_partition_size(size);
            DescribeLogDirsTopic::default()
                .with_name(kafka_string(name))
                .with_partitions(vec![partition])
        };
        let dir = DescribeLogDirsResult::default()
            .with_log_dir(kafka_string("/a"))
            .with_topics(vec![topic("t1", 7), topic("t2", 9)]);
        let failed = DescribeLogDirsResult::default()
            .with_log_dir(kafka_string("/b"))
            .with_error_code(ErrorCode::KafkaStorageError.code());
        let described = [(1, vec![dir, failed])];
        let expected = "{\"brokers\":[{\"broker\":1,\"logDirs\":[{\"partitions\":[{\"partition\":\"t1-0\",\"size\":7,\
                        \"offsetLag\":0,\"isFuture\":false}],\"error\":null,\"logDir\":\"/a\"},{\"partitions\":[],\"error\":\
                        \"org.apache.kafka.common.errors.KafkaStorageException\",\"logDir\":\"/b\"}]}],\"version\":1}";
        assert_eq!(json(&described, &BTreeSet::from(["t1"])), expected);
    }
}
