//! `shard.nodes.listeners`: the listeners on which every shard has a port of its own, and how those are named.

use super::broker::ListenerSpec;
use super::properties::ConfigProblem;
use super::values::Values;
use crate::model::SHARD_NODES_BROKER_END;

const KEY: &str = "shard.nodes.listeners";
/// Between the name of a listener and the shard that has a port of it to itself; no written name has it.
pub(super) const SHARD_MARK: char = '#';

/// The name of a shard's own port of a listener.
pub fn of_shard(listener: &str, shard: u16) -> String {
    format!("{listener}{SHARD_MARK}{shard}")
}

/// The listener, and the shard where it is a port of a shard's own.
pub fn split_listener(name: &str) -> (&str, Option<u16>) {
    match name.split_once(SHARD_MARK) {
        Some((listener, shard)) => (listener, shard.parse().ok()),
        None => (name, None),
    }
}

pub fn without_shard(name: &str) -> &str {
    split_listener(name).0
}

pub(super) fn read(
    values: &Values<'_>,
    broker_id: i32,
    served: &[ListenerSpec],
    report: &mut impl FnMut(&str, ConfigProblem),
) -> Vec<String> {
    let names: Vec<String> = values.list(KEY).into_iter().map(str::to_uppercase).collect();
    let mut error = |message: String| report(KEY, ConfigProblem::error(None, message));
    for name in &names {
        if !served.iter().any(|spec| spec.name == *name) {
            error(format!("{KEY} names {name}, which is not a listener of this broker"));
        }
    }
    if !names.is_empty() && broker_id >= SHARD_NODES_BROKER_END {
        error(format!(
            "{KEY} needs a broker.id below {SHARD_NODES_BROKER_END}: the shards' numbers are made of it"
        ));
    }
    names
}
