//! Configuration: THE table of keys, the properties file, and the resolved broker and topic configs.

mod broker;
mod keys;
mod properties;
mod topic;

pub use broker::{BrokerConfig, ListenerSpec};
pub use keys::{BROKER_KEYS, Key, Kind, Scope, TOPIC_KEYS, broker_key, topic_key};
pub use properties::{ConfigProblem, Properties};
pub use topic::{CleanupPolicy, TopicConfig};
