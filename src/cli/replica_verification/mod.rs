//! `kafka-replica-verification.sh`: reads the replicas of partitions side by side, as a consumer that any replica answers,
//! and says where they differ and how far behind the reading is; flags and output as Kafka 4.3 has them.

mod compare;
mod stamp;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;

use self::compare::{Copy, Verdict, compare};
use self::stamp::stamp;
use super::connect::ConnectArgs;
use super::consumer_groups::offsets_at;
use super::partitions::{self, Named, name_of};
use crate::client::{ClientError, Cluster};
use crate::model::{BrokerId, ErrorCode, NO_EPOCH, TopicId};
use crate::rt::{self, Instant, now, tool};
use crate::wire::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use crate::wire::messages::text;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
    /// Bytes to read of each replica at a time
    #[arg(long, default_value_t = 1 << 20)]
    fetch_size: i32,
    /// How long a broker may wait for new records, in milliseconds
    #[arg(long, default_value_t = 1_000)]
    max_wait_ms: i32,
    /// A regular expression over whole names of topics
    #[arg(long, default_value = ".*")]
    topics_include: String,
    /// Where to begin: a time in milliseconds, -1 for the end, -2 for the beginning
    #[arg(long, default_value_t = LATEST, allow_negative_numbers = true)]
    time: i64,
    /// How often to report, in milliseconds
    #[arg(long, default_value_t = 30_000)]
    report_interval_ms: u64,
    /// Stop once everything that is there now is compared; exit with 1 if replicas differ
    #[arg(long)]
    once: bool,
}

/// ListOffsets' times.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// The replica id of a consumer that any replica answers. //= protocol: the debugging consumer
const DEBUGGING_CONSUMER: i32 = -2;
/// After a look in which a broker did not answer.
const PAUSE: Duration = Duration::from_millis(200);

struct Verification<'a> {
    args: &'a Args,
    cluster: Cluster,
    /// The replicas of each partition.
    replicas: BTreeMap<Named, Vec<i32>>,
    /// Up to where the replicas of each are known to be the same.
    verified: BTreeMap<Named, i64>,
    /// With --once: where the verification of each may stop.
    ends: BTreeMap<Named, i64>,
    has_mismatch: bool,
    reported_at: Instant,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut cluster = args.connect.cluster("ReplicaVerification")?;
    let replicas = replicas(&mut cluster, &args.topics_include)?;
    let verified = starts(&mut cluster, &replicas, args.time)?;
    let ends = match args.once {
        true => offsets_at(&mut cluster, replicas.keys().cloned(), LATEST)?,
        false => BTreeMap::new(),
    };
    println!("{}: verification process is started", stamp(rt::wall_ms()));
    let mut verification = Verification {
        args: &args,
        cluster,
        replicas,
        verified,
        ends,
        has_mismatch: false,
        reported_at: now(),
    };
    loop {
        let answers = verification.fetch()?;
        if let Err(()) = verification.compare(answers) {
            return Ok(ExitCode::FAILURE);
        }
        if args.once && verification.is_done() {
            return Ok(match verification.has_mismatch {
                true => ExitCode::FAILURE,
                false => ExitCode::SUCCESS,
            });
        }
    }
}

/// Of the topics that match.
fn replicas(cluster: &mut Cluster, pattern: &str) -> anyhow::Result<BTreeMap<Named, Vec<i32>>> {
    let whole = regex::Regex::new(&format!("^(?:{})$", pattern.replace(',', "|")))
        .with_context(|| format!("{pattern} is an invalid regex"))?;
    let all = cluster.metadata(None, false)?.topics;
    let names: Vec<String> = all.iter().filter_map(|topic| topic.name.as_ref().map(text)).collect();
    let names: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| whole.is_match(name))
        .collect();
    if names.is_empty() {
        bail!(
            "No topics found. --topics-include, if specified, is either filtering out all topics or there is no topic."
        );
    }
    let mut replicas = BTreeMap::new();
    for (name, topic) in partitions::describe(cluster, &names)? {
        for partition in topic.partitions {
            replicas.insert((name.clone(), partition.index), partition.replicas);
        }
    }
    Ok(replicas)
}

/// Where a time is behind all records, the end.
fn starts(
    cluster: &mut Cluster,
    replicas: &BTreeMap<Named, Vec<i32>>,
    time: i64,
) -> anyhow::Result<BTreeMap<Named, i64>> {
    let mut starts = offsets_at(cluster, replicas.keys().cloned(), time)?;
    if !matches!(time, LATEST | EARLIEST) {
        let late: Vec<Named> = replicas
            .keys()
            .filter(|id| !starts.contains_key(*id))
            .cloned()
            .collect();
        starts.extend(offsets_at(cluster, late, LATEST)?);
    }
    match replicas.keys().find(|id| !starts.contains_key(*id)) {
        Some(unled) => bail!("partition {} has no leader to ask where it begins", name_of(unled)),
        None => Ok(starts),
    }
}

impl Verification<'_> {
    /// What each replica gives of each partition. All brokers are asked before the first answer is read.
    fn fetch(&mut self) -> anyhow::Result<BTreeMap<Named, BTreeMap<i32, Copy>>> {
        let mut brokers: Vec<i32> = self.replicas.values().flatten().copied().collect();
        brokers.sort_unstable();
        brokers.dedup();
        let mut asked = Vec::new();
        for broker in &brokers {
            let request = self.request(*broker);
            let sent = self.cluster.broker(BrokerId(*broker));
            match sent.and_then(|connection| connection.send(&request)) {
                Ok(()) => asked.push(*broker),
                Err(problem) => self.on_silence(*broker, &problem),
            }
        }
        let mut answers: BTreeMap<Named, BTreeMap<i32, Copy>> = BTreeMap::new();
        for broker in asked {
            let answer = self.cluster.broker(BrokerId(broker));
            match answer.and_then(|connection| connection.receive::<FetchRequest>()) {
                Ok(answer) => take(answer, broker, &mut answers)?,
                Err(problem) => self.on_silence(broker, &problem),
            }
        }
        Ok(answers)
    }

    fn request(&self, broker: i32) -> FetchRequest {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for (id, _) in self.replicas.iter().filter(|(_, replicas)| replicas.contains(&broker)) {
            let partition = FetchPartition {
                index: id.1,
                current_leader_epoch: NO_EPOCH,
                fetch_offset: self.verified.get(id).copied().unwrap_or(0),
                max_bytes: self.args.fetch_size,
                ..FetchPartition::default()
            };
            match topics.last_mut().filter(|topic| topic.name == id.0.as_bytes()) {
                Some(topic) => topic.partitions.push(partition),
                None => topics.push(FetchTopic {
                    name: Bytes::copy_from_slice(id.0.as_bytes()),
                    id: TopicId::ZERO,
                    partitions: vec![partition],
                }),
            }
        }
        FetchRequest {
            replica_id: DEBUGGING_CONSUMER,
            max_wait_ms: self.args.max_wait_ms,
            min_bytes: 1,
            topics,
            ..FetchRequest::default()
        }
    }

    /// What is on a broker that is down is compared once it is back.
    fn on_silence(&mut self, broker: i32, problem: &ClientError) {
        eprintln!("broker {broker} is not read now: {problem}");
        self.cluster.forget(BrokerId(broker));
        tool::sleep(PAUSE);
    }

    /// `Err`: the replicas of a partition do not even have the same offsets.
    fn compare(&mut self, mut answers: BTreeMap<Named, BTreeMap<i32, Copy>>) -> Result<(), ()> {
        let mut most: Option<(i64, &Named, i64)> = None;
        for (id, replicas) in &self.replicas {
            let copies = answers.remove(id).unwrap_or_default();
            let Verdict {
                next_offset,
                mismatches,
                is_fatal,
            } = compare(&name_of(id), replicas.len(), &copies);
            let at = stamp(rt::wall_ms());
            for mismatch in &mismatches {
                println!("{at}: partition {mismatch}");
            }
            self.has_mismatch |= !mismatches.is_empty();
            if is_fatal {
                return Err(());
            }
            let verified = self.verified.entry(id.clone()).or_insert(0);
            *verified = next_offset.unwrap_or(*verified);
            let high_watermark = copies.values().map(|copy| copy.high_watermark).max().unwrap_or(-1);
            let lag = high_watermark - *verified;
            if lag > most.map_or(-1, |(lag, ..)| lag) {
                most = Some((lag, id, *verified));
            }
        }
        let is_due = now().since(self.reported_at) > Duration::from_millis(self.args.report_interval_ms);
        if is_due || self.args.once && self.is_done() {
            self.reported_at = now();
            println!("{}: {}", stamp(rt::wall_ms()), report(most, self.replicas.len()));
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        let is_compared = |(id, end): (&Named, &i64)| self.verified.get(id) >= Some(end);
        self.ends.iter().all(is_compared)
    }
}

/// `most`: how far the one is behind that is furthest behind, which it is, and where.
fn report(most: Option<(i64, &Named, i64)>, partitions: usize) -> String {
    let (lag, name, offset) = match most {
        Some((lag, id, offset)) => (lag, name_of(id), offset),
        None => (-1, "null".to_owned(), -1),
    };
    format!("max lag is {lag} for partition {name} at offset {offset} among {partitions} partitions")
}

/// An error of one replica is told, and that replica compared once it has none.
fn take(answer: FetchResponse, broker: i32, answers: &mut BTreeMap<Named, BTreeMap<i32, Copy>>) -> anyhow::Result<()> {
    ClientError::check(answer.error_code, None)?;
    for topic in answer.topics {
        let name = String::from_utf8_lossy(&topic.name).into_owned();
        for partition in topic.partitions {
            let id = (name.clone(), partition.index);
            let code = ErrorCode::from_code(partition.error_code);
            if !code.is_none() {
                eprintln!(
                    "replica {broker} of partition {} is not read now: {code:?}",
                    name_of(&id)
                );
                tool::sleep(PAUSE);
                continue;
            }
            let records = partition.records.concat();
            let copy = Copy::read(partition.high_watermark, &records)
                .with_context(|| format!("Error in processing replica {broker} in partition {}", name_of(&id)))?;
            answers.entry(id).or_default().insert(broker, copy);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sentence of Kafka 4.3.1's tool.
    #[test]
    fn the_lag_is_reported_as_kafka_reports_it() {
        let id = ("foo".to_owned(), 3);
        assert_eq!(
            report(Some((7, &id, 40)), 5),
            "max lag is 7 for partition foo-3 at offset 40 among 5 partitions"
        );
        assert_eq!(
            report(None, 2),
            "max lag is -1 for partition null at offset -1 among 2 partitions"
        );
    }
}
