//! Offset commits at a steady rate: the CPU that the broker takes for them.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use corelane::client::{ClientError, Connection};
use corelane::wire::messages::{
    CreatableTopic, CreateTopicsRequestData, OffsetCommitRequestData, OffsetCommitRequestPartition,
    OffsetCommitRequestTopic, OffsetCommitResponseData, kafka_string,
};

use super::member::Member;
use super::{Row, cluster, connect, cpu_s, fresh};
use crate::brokers::Broker;

const PER_SECOND: usize = 10_000;
const THREADS: usize = 2;
/// Groups of a thread, each with its connection: a commit is answered before the next one of its group.
const GROUPS: usize = 50;
/// A JVM compiles what it needs.
const WARM_UP: Duration = Duration::from_secs(20);

pub fn measure(broker: &mut Broker, time: Duration) -> anyhow::Result<Vec<Row>> {
    let topic = topic_with_partitions(broker, 1)?;
    let stem = fresh("commits");
    commit_for(broker, &topic, &stem, WARM_UP)?;
    let used = cpu_s(broker)?;
    let (commits, took) = commit_for(broker, &topic, &stem, time)?;
    let cpu = cpu_s(broker)? - used;
    let per_second = commits as f64 / took.as_secs_f64();
    Ok(vec![Row {
        what: "CPU of 10,000 offset commits",
        value: cpu / commits as f64 * PER_SECOND as f64,
        unit: "s",
        goal: None,
        note: format!(
            "{commits} commits at {per_second:.0}/s over {} connections",
            THREADS * GROUPS
        ),
    }])
}

/// How many commits were answered, and within what time.
fn commit_for(broker: &Broker, topic: &str, stem: &str, time: Duration) -> anyhow::Result<(usize, Duration)> {
    let begun = Instant::now();
    let threads = (0..THREADS).map(|thread| {
        let connections = (0..GROUPS).map(|_| connect(broker)).collect::<Result<Vec<_>, _>>();
        let (topic, stem) = (topic.to_owned(), format!("{stem}-{thread}"));
        thread::spawn(move || commit_steadily(connections?, &topic, &stem, time))
    });
    let threads: Vec<_> = threads.collect();
    let mut commits = 0;
    for thread in threads {
        commits += thread.join().map_err(|_| anyhow!("a committer has panicked"))??;
    }
    Ok((commits, begun.elapsed()))
}

fn commit_steadily(mut connections: Vec<Connection>, topic: &str, stem: &str, time: Duration) -> anyhow::Result<usize> {
    let every = Duration::from_secs(1) / (PER_SECOND / THREADS) as u32;
    let begun = Instant::now();
    let mut commits = 0;
    while begun.elapsed() < time {
        let due = begun + every * commits as u32;
        // Some are due at once after each pause: a pause is never as short as asked for.
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            thread::sleep(early);
        }
        let at = commits % GROUPS;
        let connection = &mut connections[at];
        if connection.in_flight() > 0 {
            check(&connection.receive::<OffsetCommitRequestData>()?)?;
        }
        connection.send(&commit_request(&format!("{stem}-{at}"), None, topic, 1, commits as i64))?;
        commits += 1;
    }
    for connection in connections.iter_mut().filter(|connection| connection.in_flight() > 0) {
        check(&connection.receive::<OffsetCommitRequestData>()?)?;
    }
    Ok(commits)
}

fn check(answer: &OffsetCommitResponseData) -> Result<(), ClientError> {
    let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.try_for_each(|partition| ClientError::check(partition.error_code, None))
}

/// The same offset for every partition, of a member or of a consumer on its own.
pub fn commit_request(
    group: &str,
    member: Option<&Member>,
    topic: &str,
    partitions: i32,
    offset: i64,
) -> OffsetCommitRequestData {
    let partition = |index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(kafka_string("")))
    };
    let topic = OffsetCommitRequestTopic::default()
        .with_name(kafka_string(topic))
        .with_partitions((0..partitions).map(partition).collect());
    OffsetCommitRequestData::default()
        .with_group_id(kafka_string(group))
        .with_generation_id_or_member_epoch(member.map_or(-1, |member| member.generation))
        .with_member_id(kafka_string(member.map_or("", |member| &member.id)))
        .with_retention_time_ms(-1)
        .with_topics(vec![topic])
}

pub fn topic_with_partitions(broker: &Broker, partitions: i32) -> anyhow::Result<String> {
    let name = fresh("committed");
    let topic = CreatableTopic::default()
        .with_name(kafka_string(&name))
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    let request = CreateTopicsRequestData::default()
        .with_topics(vec![topic])
        .with_timeout_ms(30_000);
    let answer = cluster(broker)?.controller()?.call(&request)?;
    for topic in &answer.topics {
        ClientError::check(topic.error_code, None)?;
    }
    Ok(name)
}
