//! The broker's resolved configuration: typed fields for what the code uses, the raw values for DescribeConfigs.
use super::{ConfigProblem, Properties, TopicConfig};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct ListenerSpec {
    pub name: String,
    /// "" = all addresses
    pub host: String,
    pub port: u16,
}
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    pub broker_id: i32,
    pub listeners: Vec<ListenerSpec>,
    /// same order as listeners
    pub advertised: Vec<ListenerSpec>,
    pub log_dirs: Vec<PathBuf>,
    pub rack: Option<String>,
    pub auto_create_topics: bool,
    pub num_partitions: i32,
    pub default_replication_factor: i16,
    pub delete_topic_enable: bool,
    pub connections_max_idle_ms: i64,
    pub max_connections: i32,
    pub max_connections_per_ip: i32,
    pub socket_request_max_bytes: i32,
    pub socket_send_buffer_bytes: i32,
    pub socket_receive_buffer_bytes: i32,
    pub fetch_max_bytes: i32,
    pub log_retention_check_interval_ms: i64,
    pub flush_checkpoint_interval_ms: i64,
    pub producer_id_expiration_ms: i64,
    pub max_incremental_fetch_session_cache_slots: i32,
    /// Our own keys.
    pub shard_count: Option<usize>,
    pub shard_cpus: Option<Vec<usize>>,
    pub shard_io_memory_bytes: usize,
    pub shard_cache_bytes: usize,
    pub shard_request_memory_bytes: usize,
    pub shard_hang_abort_ms: i64,
    pub log_dir_min_free_bytes: u64,
    /// The defaults of topics: from log.* keys.
    pub topic_defaults: Arc<TopicConfig>,
    /// Every key that the file or an override set, as written.
    pub set: BTreeMap<String, String>,
}
impl BrokerConfig {
    /// Resolves and checks; never stops at the first problem.
    pub fn resolve(properties: &Properties) -> Result<(BrokerConfig, Vec<ConfigProblem>), Vec<ConfigProblem>> {
        let _ = properties;
        todo!()
    }
}
