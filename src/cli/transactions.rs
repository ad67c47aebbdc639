//! `kafka-transactions.sh`: list and describe transactions and producers, find hanging ones and end them; flags and output
//! as Kafka 4.3 has them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};

use super::connect::ConnectArgs;
use crate::client::{ClientError, Cluster, Connection, with_coordinators_of};
use crate::model::{BrokerId, ErrorCode};
use crate::rt;
use crate::wire::messages::*;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List transactions
    List {
        /// Only transactions that have run for longer than this many milliseconds; below 0: all
        #[arg(long, allow_negative_numbers = true)]
        duration_filter: Option<i64>,
        /// Only transactional ids that match this regular expression as a whole
        #[arg(long)]
        transactional_id_pattern: Option<String>,
    },
    /// Describe the state of a transactional id
    Describe {
        #[arg(long)]
        transactional_id: String,
    },
    /// Describe the active producers of a partition
    DescribeProducers {
        /// Ask this broker instead of the leader
        #[arg(long)]
        broker_id: Option<i32>,
        #[arg(long)]
        topic: String,
        #[arg(long)]
        partition: i32,
    },
    /// Abort a hanging transaction in a partition
    Abort(AbortArgs),
    /// Find transactions that nobody will end
    FindHanging(FindArgs),
    /// Abort whatever transaction a transactional id has open, and fence its producer
    ForceTerminate {
        #[arg(long)]
        transactional_id: String,
    },
}

#[derive(clap::Args)]
struct AbortArgs {
    #[arg(long)]
    topic: String,
    #[arg(long)]
    partition: i32,
    /// Where the transaction begins; enough to name it
    #[arg(long)]
    start_offset: Option<i64>,
    #[arg(long, requires_all = ["producer_epoch", "coordinator_epoch"])]
    producer_id: Option<i64>,
    #[arg(long)]
    producer_epoch: Option<i16>,
    #[arg(long, allow_negative_numbers = true)]
    coordinator_epoch: Option<i32>,
}

#[derive(clap::Args)]
struct FindArgs {
    /// Look at the partitions of this broker only
    #[arg(long)]
    broker_id: Option<i32>,
    /// Minutes that a transaction may be open
    #[arg(long, default_value_t = 15)]
    max_transaction_timeout: i64,
    /// Look at this topic only
    #[arg(long)]
    topic: Option<String>,
    /// Look at this partition only
    #[arg(long)]
    partition: Option<i32>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connect.cluster("admin")?;
    match args.action {
        Action::List {
            duration_filter,
            transactional_id_pattern,
        } => list(&mut cluster, duration_filter, transactional_id_pattern.as_deref())?,
        Action::Describe { transactional_id } => describe(&mut cluster, &transactional_id)?,
        Action::DescribeProducers {
            broker_id,
            topic,
            partition,
        } => describe_producers(&mut cluster, broker_id, &topic, partition)?,
        Action::Abort(args) => abort(&mut cluster, &args)?,
        Action::FindHanging(args) => find_hanging(&mut cluster, &args)?,
        Action::ForceTerminate { transactional_id } => force_terminate(&mut cluster, &transactional_id)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(cluster: &mut Cluster, duration: Option<i64>, pattern: Option<&str>) -> anyhow::Result<()> {
    let request = ListTransactionsRequestData::default()
        .with_duration_filter(duration.unwrap_or(-1))
        .with_transactional_id_pattern(pattern.map(kafka_string));
    let listed = list_all(cluster, &request).context("Failed to list transactions")?;
    let row = |(broker, listed): &(BrokerId, ListedTransaction)| {
        vec![
            text(&listed.transactional_id),
            broker.0.to_string(),
            listed.producer_id.to_string(),
            text(&listed.transaction_state),
        ]
    };
    print_table(
        &["TransactionalId", "Coordinator", "ProducerId", "TransactionState"],
        listed.iter().map(row).collect(),
    );
    Ok(())
}

/// What each broker's coordinators list.
fn list_all(
    cluster: &mut Cluster,
    request: &ListTransactionsRequestData,
) -> anyhow::Result<Vec<(BrokerId, ListedTransaction)>> {
    let mut all = Vec::new();
    for broker in cluster.metadata(Some(&[]), false)?.brokers {
        let broker = BrokerId(broker.node_id);
        let answer = with_coordinators_of(cluster, broker, request, |answer| answer.error_code)?;
        ClientError::check(answer.error_code, None)?;
        all.extend(answer.transaction_states.into_iter().map(|listed| (broker, listed)));
    }
    Ok(all)
}

fn describe(cluster: &mut Cluster, id: &str) -> anyhow::Result<()> {
    let (broker, described) = describe_one(cluster, id)
        .with_context(|| format!("Failed to describe transaction state of transactional-id `{id}`"))?;
    let started = (described.transaction_start_time_ms >= 0).then_some(described.transaction_start_time_ms);
    let or_none = |number: Option<i64>| number.map_or("None".to_owned(), |number| number.to_string());
    let row = vec![
        broker.0.to_string(),
        id.to_owned(),
        described.producer_id.to_string(),
        described.producer_epoch.to_string(),
        text(&described.transaction_state),
        described.transaction_timeout_ms.to_string(),
        or_none(started),
        or_none(started.map(|started| rt::wall_ms() - started)),
        partitions(&described)
            .iter()
            .map(|(topic, index)| format!("{topic}-{index}"))
            .collect::<Vec<_>>()
            .join(","),
    ];
    let headers = [
        "CoordinatorId",
        "TransactionalId",
        "ProducerId",
        "ProducerEpoch",
        "TransactionState",
        "TransactionTimeoutMs",
        "CurrentTransactionStartTimeMs",
        "TransactionDurationMs",
        "TopicPartitions",
    ];
    print_table(&headers, vec![row]);
    Ok(())
}

fn describe_one(cluster: &mut Cluster, id: &str) -> anyhow::Result<(BrokerId, DescribedTransaction)> {
    let broker = coordinator(cluster, id)?;
    let request = DescribeTransactionsRequestData::default().with_transactional_ids(vec![kafka_string(id)]);
    let answer = cluster.broker(broker)?.call(&request)?;
    let described = answer
        .transaction_states
        .into_iter()
        .next()
        .context("the broker said nothing")?;
    ClientError::check(described.error_code, None)?;
    Ok((broker, described))
}

fn partitions(described: &DescribedTransaction) -> Vec<(String, i32)> {
    let topics = described.topics.iter();
    topics
        .flat_map(|topic| topic.partitions.iter().map(|index| (text(&topic.topic), *index)))
        .collect()
}

/// The broker that has the transactional id.
fn coordinator(cluster: &mut Cluster, id: &str) -> anyhow::Result<BrokerId> {
    const TRANSACTION: i8 = 1;
    let request = FindCoordinatorRequestData::default()
        .with_key_type(TRANSACTION)
        .with_coordinator_keys(vec![kafka_string(id)]);
    retry(|| {
        let answer = cluster.ask(&request)?;
        let found = answer
            .coordinators
            .into_iter()
            .next()
            .context("the broker said nothing")?;
        ClientError::check(found.error_code, None)?;
        Ok(BrokerId(found.node_id))
    })
}

/// Tries again what passes: coordinators load, and transactions are ended.
fn retry<T>(mut attempt: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut left = RETRIES_MAX;
    loop {
        match attempt() {
            Err(problem) if left > 0 && is_passing(&problem) => {
                left -= 1;
                rt::tool::sleep(RETRY_PAUSE);
            }
            done => return done,
        }
    }
}

const RETRIES_MAX: u32 = 100;
const RETRY_PAUSE: Duration = Duration::from_millis(100);

fn is_passing(problem: &anyhow::Error) -> bool {
    let code = problem.downcast_ref::<ClientError>().and_then(ClientError::code);
    matches!(
        code,
        Some(
            ErrorCode::CoordinatorNotAvailable
                | ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::NotCoordinator
                | ErrorCode::ConcurrentTransactions
        )
    )
}

fn describe_producers(cluster: &mut Cluster, broker: Option<i32>, topic: &str, partition: i32) -> anyhow::Result<()> {
    let whom = broker.map_or("leader".to_owned(), |broker| format!("broker {broker}"));
    let producers = producers_of(cluster, broker, topic, partition)
        .with_context(|| format!("Failed to describe producers for partition {topic}-{partition} on {whom}"))?;
    let row = |producer: &DescribedProducer| {
        let start = producer.current_txn_start_offset;
        vec![
            producer.producer_id.to_string(),
            producer.producer_epoch.to_string(),
            producer.coordinator_epoch.to_string(),
            producer.last_sequence.to_string(),
            producer.last_timestamp.to_string(),
            if start < 0 {
                "None".to_owned()
            } else {
                start.to_string()
            },
        ]
    };
    let headers = [
        "ProducerId",
        "ProducerEpoch",
        "LatestCoordinatorEpoch",
        "LastSequence",
        "LastTimestamp",
        "CurrentTransactionStartOffset",
    ];
    print_table(&headers, producers.iter().map(row).collect());
    Ok(())
}

fn producers_of(
    cluster: &mut Cluster,
    broker: Option<i32>,
    topic: &str,
    partition: i32,
) -> anyhow::Result<Vec<DescribedProducer>> {
    let request = DescribeProducersRequestData::default().with_topics(vec![
        DescribeProducersTopic::default()
            .with_name(kafka_string(topic))
            .with_partition_indexes(vec![partition]),
    ]);
    let connection = match broker {
        Some(id) => cluster.broker(BrokerId(id))?,
        None => leader(cluster, topic, partition)?,
    };
    let answer = connection.call(&request)?;
    let described = answer.topics.into_iter().flat_map(|topic| topic.partitions).next();
    let described = described.context("the broker said nothing")?;
    ClientError::check(
        described.error_code,
        described.error_message.as_ref().map(KafkaString::as_str),
    )?;
    Ok(described.active_producers)
}

fn leader<'a>(cluster: &'a mut Cluster, topic: &str, partition: i32) -> anyhow::Result<&'a mut Connection> {
    let leaders = cluster.topic(topic, false)?.leaders;
    let leader = leaders.get(&partition).copied().flatten();
    let leader = leader.with_context(|| format!("partition {topic}-{partition} has no leader"))?;
    Ok(cluster.broker(leader)?)
}

fn abort(cluster: &mut Cluster, args: &AbortArgs) -> anyhow::Result<()> {
    let (topic, partition) = (args.topic.as_str(), args.partition);
    let marker = match (args.start_offset, args.producer_id) {
        (Some(start), _) => marker_of_transaction(cluster, topic, partition, start)?,
        (None, Some(producer_id)) => WritableTxnMarker::default()
            .with_producer_id(producer_id)
            .with_producer_epoch(args.producer_epoch.unwrap_or_default())
            .with_coordinator_epoch(args.coordinator_epoch.unwrap_or_default().max(0)),
        (None, None) => bail!(
            "The transaction to abort must be identified either with --start-offset (for brokers on 3.0 or above) or \
             with --producer-id, --producer-epoch, and --coordinator-epoch (for older brokers)"
        ),
    };
    let marker = marker.with_topics(vec![
        WritableTxnMarkerTopic::default()
            .with_name(kafka_string(topic))
            .with_partition_indexes(vec![partition]),
    ]);
    let request = WriteTxnMarkersRequestData::default().with_markers(vec![marker]);
    let answer = leader(cluster, topic, partition)?.call(&request)?;
    let mut topics = answer.markers.into_iter().flat_map(|marker| marker.topics);
    let outcome = topics.next().and_then(|topic| topic.partitions.into_iter().next());
    let outcome = outcome.context("the broker said nothing")?;
    ClientError::check(outcome.error_code, None)
        .with_context(|| format!("Failed to abort the transaction on partition {topic}-{partition}"))?;
    Ok(())
}

/// The abort of the open transaction that begins at this offset.
fn marker_of_transaction(
    cluster: &mut Cluster,
    topic: &str,
    partition: i32,
    start_offset: i64,
) -> anyhow::Result<WritableTxnMarker> {
    let producers = producers_of(cluster, None, topic, partition)
        .with_context(|| format!("Failed to validate producer state for partition {topic}-{partition}"))?;
    let found = producers
        .iter()
        .find(|producer| producer.current_txn_start_offset == start_offset);
    let producer = found.with_context(|| {
        format!(
            "Could not find any open transactions starting at offset {start_offset} on partition {topic}-{partition}"
        )
    })?;
    Ok(WritableTxnMarker::default()
        .with_producer_id(producer.producer_id)
        .with_producer_epoch(i16::try_from(producer.producer_epoch)?)
        .with_coordinator_epoch(producer.coordinator_epoch.max(0)))
}

/// An open transaction of one partition.
struct Open {
    topic: String,
    partition: i32,
    producer: DescribedProducer,
}

fn find_hanging(cluster: &mut Cluster, args: &FindArgs) -> anyhow::Result<()> {
    if args.topic.is_none() && args.broker_id.is_none() {
        bail!("The `find-hanging` command requires either --topic or --broker-id to limit the scope of the search");
    }
    if args.partition.is_some() && args.topic.is_none() {
        bail!("The --partition argument requires --topic to be provided");
    }
    let mut open = open_transactions(cluster, args)?;
    let alive = known_to_coordinators(cluster, &open)?;
    open.retain(|open| {
        let partitions = alive.get(&open.producer.producer_id);
        !partitions.is_some_and(|partitions| partitions.contains(&(open.topic.clone(), open.partition)))
    });
    let now_ms = rt::wall_ms();
    let row = |open: &Open| {
        vec![
            open.topic.clone(),
            open.partition.to_string(),
            open.producer.producer_id.to_string(),
            open.producer.producer_epoch.to_string(),
            open.producer.coordinator_epoch.to_string(),
            open.producer.current_txn_start_offset.to_string(),
            open.producer.last_timestamp.to_string(),
            ((now_ms - open.producer.last_timestamp) / MINUTE_MS).to_string(),
        ]
    };
    let headers = [
        "Topic",
        "Partition",
        "ProducerId",
        "ProducerEpoch",
        "CoordinatorEpoch",
        "StartOffset",
        "LastTimestamp",
        "Duration(min)",
    ];
    print_table(&headers, open.iter().map(row).collect());
    Ok(())
}

const MINUTE_MS: i64 = 60_000;

/// Those that have been open for longer than any transaction should be.
fn open_transactions(cluster: &mut Cluster, args: &FindArgs) -> anyhow::Result<Vec<Open>> {
    let limit_ms = args.max_transaction_timeout.saturating_mul(MINUTE_MS);
    let mut open = Vec::new();
    for (topic, partition) in partitions_to_search(cluster, args)? {
        let producers = producers_of(cluster, args.broker_id, &topic, partition)
            .with_context(|| format!("Failed to describe producers for partition {topic}-{partition}"))?;
        let now_ms = rt::wall_ms();
        let hangs = |producer: &DescribedProducer| {
            producer.current_txn_start_offset >= 0 && now_ms - producer.last_timestamp > limit_ms
        };
        open.extend(producers.into_iter().filter(hangs).map(|producer| Open {
            topic: topic.clone(),
            partition,
            producer,
        }));
    }
    Ok(open)
}

fn partitions_to_search(cluster: &mut Cluster, args: &FindArgs) -> anyhow::Result<Vec<(String, i32)>> {
    if let (Some(topic), Some(partition)) = (&args.topic, args.partition) {
        return Ok(vec![(topic.clone(), partition)]);
    }
    let named = args.topic.as_deref().map(|topic| [topic]);
    let answer = cluster.metadata(named.as_ref().map(|names| names.as_slice()), false)?;
    let mut partitions = Vec::new();
    for topic in &answer.topics {
        ClientError::check(topic.error_code, None)?;
        let name = topic.name.as_ref().map(text).unwrap_or_default();
        let here = |partition: &&MetadataResponsePartition| {
            args.broker_id
                .is_none_or(|broker| partition.replica_nodes.contains(&broker))
        };
        let found = topic.partitions.iter().filter(here);
        partitions.extend(found.map(|partition| (name.clone(), partition.partition_index)));
    }
    Ok(partitions)
}

/// By producer id: the partitions that its coordinator will end.
fn known_to_coordinators(
    cluster: &mut Cluster,
    open: &[Open],
) -> anyhow::Result<BTreeMap<i64, BTreeSet<(String, i32)>>> {
    let mut known = BTreeMap::new();
    if open.is_empty() {
        return Ok(known);
    }
    let ids: BTreeSet<i64> = open.iter().map(|open| open.producer.producer_id).collect();
    let request = ListTransactionsRequestData::default()
        .with_duration_filter(-1)
        .with_producer_id_filters(ids.into_iter().collect());
    for (_, listed) in list_all(cluster, &request).context("Failed to list transactions")? {
        let described = match describe_one(cluster, listed.transactional_id.as_str()) {
            Ok((_, described)) => described,
            Err(problem) if is_unknown_id(&problem) => continue,
            Err(problem) => return Err(problem.context("Failed to describe transactions")),
        };
        known.insert(listed.producer_id, partitions(&described).into_iter().collect());
    }
    Ok(known)
}

fn is_unknown_id(problem: &anyhow::Error) -> bool {
    let code = problem.downcast_ref::<ClientError>().and_then(ClientError::code);
    code == Some(ErrorCode::TransactionalIdNotFound)
}

/// A producer of our own takes the id over, which aborts what is open and fences whoever had it.
fn force_terminate(cluster: &mut Cluster, id: &str) -> anyhow::Result<()> {
    let request = InitProducerIdRequestData::default()
        .with_transactional_id(Some(kafka_string(id)))
        .with_transaction_timeout_ms(1)
        .with_producer_id(-1)
        .with_producer_epoch(-1);
    // Not for an id that nobody has used: this would create it.
    describe_one(cluster, id).with_context(|| format!("Failed to force terminate transactionalId {id}"))?;
    retry(|| {
        let broker = coordinator(cluster, id)?;
        let answer = cluster.broker(broker)?.call(&request)?;
        Ok(ClientError::check(answer.error_code, None)?)
    })
    .with_context(|| format!("Failed to force terminate transactionalId {id}"))
}

/// As Kafka's tools print tables: columns as wide as their widest value, each followed by a tab.
pub(super) fn print_table(headers: &[&str], rows: Vec<Vec<String>>) {
    let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
    for line in table(headers, rows) {
        println!("{line}");
    }
}

fn table(headers: Vec<String>, mut rows: Vec<Vec<String>>) -> Vec<String> {
    rows.insert(0, headers);
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}\t"));
        cells.collect::<String>()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_their_widest_value() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            table(
                words(&["Id", "State"]),
                vec![words(&["abc", "Empty"]), words(&["d", "On"])]
            ),
            ["Id \tState\t", "abc\tEmpty\t", "d  \tOn   \t"]
        );
    }
}
