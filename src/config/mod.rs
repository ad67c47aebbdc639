//! Configuration: THE table of keys, the properties file, and the resolved broker and topic configs.
//!
//! ```text
//! text → Properties::parse → BrokerConfig::resolve ─┬→ typed fields, warnings
//!        (syntax)             (table, rules)        └→ all problems, if one is fatal
//! ```
//!
//! Everything here is synchronous and reads no file: callers bring the text. A new key is one row in `keys/`; it is
//! then known to the file's check, to DescribeConfigs and to `config/server.properties`.

mod broker;
mod check;
mod describe;
mod environment;
mod groups;
mod hints;
mod keys;
mod listeners;
mod properties;
mod quorum;
mod render;
mod replication;
mod reread;
mod shard_nodes;
mod shares;
#[cfg(test)]
mod tests;
mod topic;
mod transactions;
mod values;

pub use broker::{BrokerConfig, CompactionConfig, ListenerSpec};
pub use check::{check_broker_configs, check_group_configs};
pub use describe::{
    ConfigRow, ConfigSource, ConfigSynonym, describe_broker, describe_broker_defaults, describe_group, describe_topic,
};
pub use environment::environment_settings;
pub use groups::{ConsumerSettings, GroupConfig};
pub use hints::environment_problems;
pub use keys::{BROKER_KEYS, Key, Kind, Origin, Scope, TOPIC_KEYS, broker_key, group_key, topic_key};
pub use listeners::keep_own_listener;
pub use properties::{ConfigProblem, Properties};
pub use quorum::{QuorumConfig, Role, VoterSpec};
pub use render::server_properties;
pub use replication::ReplicationConfig;
pub use reread::Reread;
pub use shard_nodes::{of_shard, split_listener, without_shard};
pub use shares::{ShareConfig, ShareReset};
pub use topic::{CleanupPolicy, CompressionLevels, ThrottledReplicas, TopicConfig, check_topic_configs};
pub use transactions::TransactionConfig;
pub use values::DynamicConfigs;
