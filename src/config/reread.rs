//! A file that is read again: what of it a running broker takes, and what waits for the next start.

use std::collections::{BTreeMap, BTreeSet};

use super::broker::BrokerConfig;
use super::keys::{Scope, broker_or_listener_key};
use super::values::Values;

/// Kafka has no such key, so it has no class of Kafka's: it cannot be set by AlterConfigs, and is taken from the file.
const LOG_LEVEL: &str = "log.level";

#[derive(Debug)]
pub struct Reread {
    /// The running configuration with what was taken.
    pub config: BrokerConfig,
    /// Keys that were taken.
    pub taken: Vec<String>,
    /// Keys that differ and need a restart.
    pub left: Vec<String>,
}

impl BrokerConfig {
    /// Takes from `newer` the keys that may change while a broker runs.
    pub fn reread(&self, newer: &BrokerConfig) -> Reread {
        let mut set = self.set.clone();
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        for name in differences(&self.set, &newer.set) {
            if !is_taken(&name) {
                left.push(name);
                continue;
            }
            match newer.set.get(&name) {
                Some(value) => set.insert(name.clone(), value.clone()),
                None => set.remove(&name),
            };
            taken.push(name);
        }
        let config = BrokerConfig {
            // As they were bound.
            listeners: self.listeners.clone(),
            advertised: self.advertised.clone(),
            ..BrokerConfig::read(&Values::of_file(&set), &mut |_, _| {})
        };
        Reread { config, taken, left }
    }
}

fn differences(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let value = |set: &BTreeMap<String, String>, name: &str| set.get(name).map(|value| value.trim().to_owned());
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let differs = |name: &&&String| value(before, name) != value(now, name);
    names.iter().filter(differs).map(|name| (*name).clone()).collect()
}

/// A key that nobody knows has no effect that could be wrong.
fn is_taken(name: &str) -> bool {
    name == LOG_LEVEL || broker_or_listener_key(name).is_none_or(|key| key.scope != Scope::ReadOnly)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Properties;

    fn config(text: &str) -> BrokerConfig {
        let text = format!("listeners=PLAINTEXT://127.0.0.1:0\n{text}");
        BrokerConfig::resolve(&Properties::parse(&text)).expect("valid").0
    }

    /// Dynamic keys and the log level are taken, whether set, changed or taken away; the others are named and stay as they are.
    #[test]
    fn dynamic_keys_are_taken_and_others_named() {
        let mut running =
            config("log.dirs=/a\nlog.retention.ms=1000\nmax.connections=7\nnum.partitions=2\nlog.level=info");
        running.advertised[0].port = 4711;
        let newer =
            config("log.dirs=/b\nmax.connections= 7 \nnum.partitions=3\nlog.level=debug\nmin.insync.replicas=2");
        let reread = running.reread(&newer);
        assert_eq!(reread.taken, ["log.level", "log.retention.ms", "min.insync.replicas"]);
        assert_eq!(reread.left, ["log.dirs", "num.partitions"]);
        let config = reread.config;
        assert_eq!(config.log_dirs, running.log_dirs);
        assert_eq!((config.num_partitions, config.max_connections), (2, 7));
        assert_eq!(config.topic_defaults.min_insync_replicas, 2);
        assert_eq!(config.topic_defaults.retention_ms, 7 * 24 * 3_600_000);
        assert_eq!(config.log_levels, newer.log_levels);
        assert_eq!(config.advertised[0].port, 4711, "what was bound stays");
        assert!(config.reread(&newer).taken.is_empty(), "it was taken");
    }
}
