//! The broker's resolved configuration: typed fields for what the code uses, the raw values for DescribeConfigs.
//!
//! Every value is looked up in the table through `Values`, so no default stands here. Resolving never stops at the
//! first problem: an operator wants to see all of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::check;
use super::groups::GroupConfig;
use super::listeners;
use super::properties::{ConfigProblem, Properties};
use super::quorum::{self, QuorumConfig};
use super::replication::ReplicationConfig;
use super::shard_nodes;
use super::shares::ShareConfig;
use super::topic::TopicConfig;
use super::transactions::TransactionConfig;
use super::values::{DynamicConfigs, Values};
use crate::logging::Levels;

/// The number of a broker whose file names none.
const BROKER_ID_DEFAULT: i32 = 0;
/// As broker.id: let ZooKeeper choose one.
const BROKER_ID_GENERATED: i32 = -1;
/// What a broker for one developer sets: a loopback listener, and data under the working directory.
/// `config/server.properties` has these lines and no others.
pub(super) const ESSENTIALS: [(&str, &str); 3] = [
    ("broker.id", "0"),
    ("listeners", "PLAINTEXT://127.0.0.1:9092"),
    ("log.dirs", "./data"),
];
/// Most shards, so that a slip of the pen in shard.cpus does not fill the memory.
const SHARD_CPUS_MAX: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSpec {
    /// In capitals, as Kafka has it.
    pub name: String,
    /// "" = all addresses
    pub host: String,
    /// 0 = any free port
    pub port: u16,
}

/// Of the whole broker; its shards share it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactionConfig {
    pub enabled: bool,
    /// Read and written.
    pub bytes_per_second: f64,
    /// Memory for the keys that are compared.
    pub key_bytes_max: usize,
    /// Between two looks at a log.
    pub backoff_ms: i64,
}

#[derive(Clone, Debug)]
pub struct BrokerConfig {
    pub broker_id: i32,
    pub listeners: Vec<ListenerSpec>,
    /// same order as listeners, the shards' own ports (`shard_nodes`) behind them; "" as the host = this machine's name, 0 as
    /// the port = the one that was bound
    pub advertised: Vec<ListenerSpec>,
    /// On these each shard is a node of its own besides.
    pub shard_nodes: Vec<String>,
    /// `None`: this node keeps its metadata alone.
    pub quorum: Option<QuorumConfig>,
    pub log_dirs: Vec<PathBuf>,
    pub metadata_log_dir: PathBuf,
    pub rack: Option<String>,
    pub auto_create_topics: bool,
    pub num_partitions: i32,
    pub default_replication_factor: i16,
    pub delete_topic_enable: bool,
    /// negative = never
    pub connections_max_idle_ms: i64,
    pub max_connections: i32,
    pub max_connections_per_ip: i32,
    pub socket_request_max_bytes: i32,
    /// -1 = as the system decides
    pub socket_send_buffer_bytes: i32,
    /// -1 = as the system decides
    pub socket_receive_buffer_bytes: i32,
    pub fetch_max_bytes: i32,
    pub log_retention_check_interval_ms: i64,
    pub compaction: CompactionConfig,
    pub flush_checkpoint_interval_ms: i64,
    pub producer_id_expiration_ms: i64,
    pub max_incremental_fetch_session_cache_slots: i32,
    pub broker_session_timeout_ms: i64,
    pub replication: ReplicationConfig,
    pub broker_heartbeat_interval_ms: i64,
    pub controlled_shutdown: bool,
    pub auto_leader_rebalance: bool,
    pub leader_imbalance_check_interval_seconds: i64,
    pub unclean_election_interval_ms: i64,
    pub groups: GroupConfig,
    pub shares: ShareConfig,
    pub transactions: TransactionConfig,
    /// Our own keys.
    pub shard_count: Option<usize>,
    pub shard_cpus: Option<Vec<usize>>,
    pub shard_io_memory_bytes: usize,
    pub shard_cache_bytes: usize,
    pub shard_request_memory_bytes: usize,
    pub shard_fetch_memory_bytes: usize,
    pub shard_catchup_reads_max: usize,
    pub shard_catchup_bytes_per_second: u64,
    pub shard_catchup_replica_bytes_per_second: u64,
    pub shard_hang_abort_ms: i64,
    pub journal_bytes: u64,
    pub log_dir_min_free_bytes: u64,
    pub log_dir_volatile: bool,
    pub tuning_profile: String,
    /// Host and port; `None`: no admin port.
    pub admin_listener: Option<(String, u16)>,
    pub metrics_histograms_enable: bool,
    pub metrics_partitions_max: usize,
    pub metrics_group_offsets_max: usize,
    pub request_slow_log_ms: i64,
    pub log_levels: Levels,
    /// The defaults of topics: from log.* keys.
    pub topic_defaults: Arc<TopicConfig>,
    /// Every key that the file or an override set, as written; the broker's number under both its names.
    pub set: BTreeMap<String, String>,
}

const SHARD_CACHE_BYTES: &str = "shard.cache.bytes";
/// What a shard keeps at least, unless told otherwise.
const SHARD_CACHE_BYTES_MIN: usize = 64 << 20;
/// Unless told otherwise, the shards' caches share this part of the memory.
const CACHES_SHARE: usize = 8;

impl BrokerConfig {
    /// Resolves and checks; never stops at the first problem. Ok carries warnings only; Err carries those as well.
    pub fn resolve(properties: &Properties) -> Result<(BrokerConfig, Vec<ConfigProblem>), Vec<ConfigProblem>> {
        let mut problems = check::check_entries(properties);
        let set = properties.to_map();
        let values = Values::of_file(&set);
        let mut report = |key: &str, mut problem: ConfigProblem| {
            problem.line = properties.line_of(key);
            problems.push(problem);
        };
        let config = BrokerConfig::read(&values, &mut report);
        check::check_rules(&values, &config, &mut report);
        problems.sort_by_key(|problem| (problem.line.is_none(), problem.line));
        match problems.iter().any(|problem| problem.fatal) {
            true => Err(problems),
            false => Ok((config, problems)),
        }
    }

    /// Whether the node holds partitions: it is not a controller only.
    pub fn is_broker(&self) -> bool {
        self.quorum.as_ref().is_none_or(QuorumConfig::is_broker)
    }

    /// Gives the shards' caches their part of the memory there is, unless the configuration says what they take.
    pub fn share_memory(&mut self, memory_bytes: usize, shards: usize) {
        if !self.set.contains_key(SHARD_CACHE_BYTES) {
            self.shard_cache_bytes = (memory_bytes / CACHES_SHARE / shards.max(1)).max(SHARD_CACHE_BYTES_MIN);
        }
    }

    /// A broker without a file: one listener on loopback, all data under `data_dir`.
    pub fn embedded(data_dir: &Path) -> BrokerConfig {
        let essentials = ESSENTIALS.map(|(key, value)| (key.to_string(), value.to_string()));
        let mut set = BTreeMap::from(essentials);
        set.insert("log.dirs".to_string(), data_dir.to_string_lossy().into_owned());
        BrokerConfig::read(&Values::of_file(&set), &mut |_, _| {})
    }

    /// The same broker under configs that were set at run time; those must have passed `check_broker_configs`.
    pub fn with_dynamic(&self, dynamic: DynamicConfigs<'_>) -> BrokerConfig {
        let set = &self.set;
        BrokerConfig::read(&Values { set, dynamic }, &mut |_, _| {})
    }

    pub(super) fn read(values: &Values<'_>, report: &mut impl FnMut(&str, ConfigProblem)) -> BrokerConfig {
        let listeners = listeners::read(values, report);
        let log_dirs = log_dirs(values, report);
        let first_dir = log_dirs.first().cloned().unwrap_or_default();
        let broker_id = broker_id(values, report);
        let quorum = quorum::read(values, broker_id, &listeners, report);
        match &quorum {
            Some(quorum) => {
                listeners::check_controllers(values, &quorum.listener_name, report);
                if quorum.is_broker() {
                    listeners::check_inter_broker(values, &listeners.served, report);
                }
            }
            None => listeners::note_unserved(&listeners.controllers, report),
        }
        let shard_nodes = shard_nodes::read(values, broker_id, &listeners.served, report);
        let ids = ["broker.id", "node.id"].map(|name| (name.to_string(), broker_id.to_string()));
        BrokerConfig {
            broker_id,
            quorum,
            listeners: listeners.served,
            advertised: listeners.advertised,
            shard_nodes,
            metadata_log_dir: values.get("metadata.log.dir").map_or(first_dir, PathBuf::from),
            log_dirs,
            rack: values.get("broker.rack").map(str::to_string),
            auto_create_topics: values.boolean("auto.create.topics.enable"),
            num_partitions: values.int("num.partitions"),
            default_replication_factor: i16::try_from(values.int("default.replication.factor")).unwrap_or(i16::MAX),
            delete_topic_enable: values.boolean("delete.topic.enable"),
            connections_max_idle_ms: values.long("connections.max.idle.ms"),
            max_connections: values.int("max.connections"),
            max_connections_per_ip: values.int("max.connections.per.ip"),
            socket_request_max_bytes: values.int("socket.request.max.bytes"),
            socket_send_buffer_bytes: values.int("socket.send.buffer.bytes"),
            socket_receive_buffer_bytes: values.int("socket.receive.buffer.bytes"),
            fetch_max_bytes: values.int("fetch.max.bytes"),
            log_retention_check_interval_ms: values.long("log.retention.check.interval.ms"),
            compaction: CompactionConfig {
                enabled: values.boolean("log.cleaner.enable"),
                bytes_per_second: values.double("log.cleaner.io.max.bytes.per.second"),
                key_bytes_max: values.size("log.cleaner.dedupe.buffer.size"),
                backoff_ms: values.long("log.cleaner.backoff.ms"),
            },
            flush_checkpoint_interval_ms: values.long("log.flush.offset.checkpoint.interval.ms"),
            producer_id_expiration_ms: values.long("producer.id.expiration.ms"),
            max_incremental_fetch_session_cache_slots: values.int("max.incremental.fetch.session.cache.slots"),
            broker_session_timeout_ms: values.long("broker.session.timeout.ms"),
            replication: ReplicationConfig::read(values),
            broker_heartbeat_interval_ms: values.long("broker.heartbeat.interval.ms"),
            controlled_shutdown: values.boolean("controlled.shutdown.enable"),
            auto_leader_rebalance: values.boolean("auto.leader.rebalance.enable"),
            leader_imbalance_check_interval_seconds: values.long("leader.imbalance.check.interval.seconds"),
            unclean_election_interval_ms: values.long("unclean.leader.election.interval.ms"),
            groups: GroupConfig::read(values),
            shares: ShareConfig::read(values),
            transactions: TransactionConfig::read(values),
            shard_count: values.explicit("shard.count").map(|_| values.size("shard.count")),
            shard_cpus: shard_cpus(values, report),
            shard_io_memory_bytes: values.size("shard.io.memory.bytes"),
            shard_cache_bytes: match values.explicit(SHARD_CACHE_BYTES) {
                Some(_) => values.size(SHARD_CACHE_BYTES),
                None => SHARD_CACHE_BYTES_MIN,
            },
            shard_request_memory_bytes: values.size("shard.request.memory.bytes"),
            shard_fetch_memory_bytes: values.size("shard.fetch.memory.bytes"),
            shard_catchup_reads_max: values.size("shard.catchup.reads.max"),
            shard_catchup_bytes_per_second: values.size("shard.catchup.bytes.per.second") as u64,
            shard_catchup_replica_bytes_per_second: values.size("shard.catchup.replica.bytes.per.second") as u64,
            journal_bytes: values.size("journal.bytes") as u64,
            shard_hang_abort_ms: values.long("shard.hang.abort.ms"),
            log_dir_min_free_bytes: values.size("log.dir.min.free.bytes") as u64,
            log_dir_volatile: values.boolean("log.dir.volatile.enable"),
            tuning_profile: values.text("tuning.profile").to_owned(),
            admin_listener: admin_listener(values, report),
            metrics_histograms_enable: values.boolean("metrics.histograms.enable"),
            metrics_partitions_max: values.size("metrics.partitions.max"),
            metrics_group_offsets_max: values.size("metrics.group.offsets.max"),
            request_slow_log_ms: values.long("request.slow.log.ms"),
            log_levels: log_levels(values, report),
            topic_defaults: Arc::new(TopicConfig::of_broker(values)),
            set: values.set.clone().into_iter().chain(ids).collect(),
        }
    }
}

/// node.id, or broker.id by its older name; -1 asked ZooKeeper for a number and counts as unset.
fn broker_id(values: &Values<'_>, report: &mut impl FnMut(&str, ConfigProblem)) -> i32 {
    let set = |key| values.explicit(key).map(|_| values.int(key));
    let node_id = set("node.id");
    let broker_id = set("broker.id").filter(|id| *id != BROKER_ID_GENERATED);
    if broker_id.is_none() && node_id.is_none() && values.explicit("broker.id").is_some() {
        let message = format!("broker.id=-1 asks ZooKeeper for a number: this broker takes {BROKER_ID_DEFAULT}");
        report("broker.id", ConfigProblem::warning(None, message));
    }
    if broker_id.is_some_and(|id| id < 0) {
        report(
            "broker.id",
            ConfigProblem::error(None, "broker.id is negative: write a number from 0"),
        );
    }
    if node_id.is_some() && broker_id.is_some() && node_id != broker_id {
        let message = "node.id and broker.id are two names of one number and differ: leave one of them out";
        report("broker.id", ConfigProblem::error(None, message));
    }
    node_id.or(broker_id).unwrap_or(BROKER_ID_DEFAULT)
}

fn log_dirs(values: &Values<'_>, report: &mut impl FnMut(&str, ConfigProblem)) -> Vec<PathBuf> {
    let key = if values.explicit("log.dirs").is_some() {
        "log.dirs"
    } else {
        "log.dir"
    };
    let mut dirs: Vec<PathBuf> = Vec::new();
    for dir in values.list(key).into_iter().map(PathBuf::from) {
        match dirs.contains(&dir) {
            true => {
                let message = format!("{key} names {} twice: Corelane takes it once", dir.display());
                report(key, ConfigProblem::warning(None, message));
            }
            false => dirs.push(dir),
        }
    }
    if dirs.is_empty() {
        report(
            key,
            ConfigProblem::error(None, format!("{key} is empty: name at least one directory")),
        );
    }
    dirs
}

/// host:port; a bare port is one of loopback.
fn admin_listener(values: &Values<'_>, report: &mut impl FnMut(&str, ConfigProblem)) -> Option<(String, u16)> {
    let text = values.text("admin.listener").trim();
    if text.is_empty() {
        return None;
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("127.0.0.1", text));
    let Ok(port) = port.parse::<u16>() else {
        let message = format!("admin.listener: {text:?} is no address: write host:port, as in 127.0.0.1:9644");
        report("admin.listener", ConfigProblem::error(None, message));
        return None;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (port != 0).then(|| (host.to_string(), port))
}

fn log_levels(values: &Values<'_>, report: &mut impl FnMut(&str, ConfigProblem)) -> Levels {
    let levels = values.text("log.level").parse();
    levels.unwrap_or_else(|problem| {
        report("log.level", ConfigProblem::error(None, format!("log.level: {problem}")));
        Levels::info()
    })
}

/// "0-3,5" as 0, 1, 2, 3, 5.
fn shard_cpus(values: &Values<'_>, report: &mut impl FnMut(&str, ConfigProblem)) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for item in values.explicit("shard.cpus").map(|_| values.list("shard.cpus"))? {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        match (first.trim().parse::<usize>(), last.trim().parse::<usize>()) {
            (Ok(first), Ok(last)) if first <= last && last < SHARD_CPUS_MAX => cpus.extend(first..=last),
            _ => {
                let message = format!("shard.cpus: {item:?} is no core or range of cores: write them as in 0-3,5");
                report("shard.cpus", ConfigProblem::error(None, message));
            }
        }
    }
    cpus.sort_unstable();
    cpus.dedup();
    (!cpus.is_empty()).then_some(cpus)
}
