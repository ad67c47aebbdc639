//! What the file's entries mean to the broker: unknown keys, bad values, keys without effect, rules over several keys.
//!
//! A known key with a bad value refuses the start, as in Kafka. An unknown key is legal there, since plugins bring
//! their own, and is ignored in silence; here a near miss of a real key refuses the start too, and any other gets a
//! warning.

use std::collections::BTreeMap;

use super::broker::BrokerConfig;
use super::hints::{self, Hint};
use super::keys::{
    BROKER_KEYS, Key, Origin, Scope, broker_key, broker_or_listener_key, group_key, listener_key, topic_key,
};
use super::properties::{ConfigProblem, NO_LINE, Properties};
use super::shares::ShareReset;
use super::values::{Values, segment_bytes_min};

/// How the keys begin that Kafka changes at run time for one listener only.
const STORES: [&str; 3] = ["ssl.key.", "ssl.keystore.", "ssl.truststore."];

/// Checks each entry by itself, in file order. Of a key's entries only the last counts.
pub(super) fn check_entries(properties: &Properties) -> Vec<ConfigProblem> {
    let mut problems = properties.problems.clone();
    let entries = &properties.entries;
    let last: BTreeMap<&str, usize> = entries.iter().map(|(name, _, line)| (name.as_str(), *line)).collect();
    for (name, value, line) in entries {
        let winner = last.get(name.as_str()).copied().unwrap_or(*line);
        let at = (*line != NO_LINE).then_some(*line);
        if winner != *line {
            let message = format!("{name} is set again in line {winner}: that line wins");
            problems.push(ConfigProblem::warning(at, message));
            continue;
        }
        match broker_key(name) {
            Some(key) => problems.extend(check_known(key, value, at)),
            None => problems.extend(check_unknown(name, at)),
        }
    }
    problems
}

fn check_known(key: &Key, value: &str, line: Option<usize>) -> Option<ConfigProblem> {
    if let Err(message) = key.check(value) {
        return Some(ConfigProblem::error(line, message));
    }
    if let Some(message) = hints::remark(key.name, value) {
        return Some(ConfigProblem::warning(line, message));
    }
    if key.origin == Origin::Old {
        return Some(ConfigProblem::warning(
            line,
            format!("{} is a key of older Kafka: it has no effect", key.name),
        ));
    }
    let is_default = key.default.is_some_and(|default| default == value.trim());
    let silent = key.effective || is_default;
    (!silent).then(|| ConfigProblem::warning(line, format!("{} is accepted and has no effect yet", key.name)))
}

fn check_unknown(name: &str, line: Option<usize>) -> Option<ConfigProblem> {
    if listener_key(name).is_some() {
        let message = format!("{name} is accepted and has no effect yet");
        return Some(ConfigProblem::warning(line, message));
    }
    match hints::hint(name) {
        Some(Hint::Misspelt(cure)) => {
            return Some(ConfigProblem::error(
                line,
                format!("unknown key {name}: {cure}; Kafka ignores it in silence"),
            ));
        }
        Some(Hint::Elsewhere(cure)) => {
            return Some(ConfigProblem::warning(
                line,
                format!("unknown key {name}, ignored: {cure}"),
            ));
        }
        None => {}
    }
    let (near, distance) = nearest(name)?;
    Some(
        if distance <= hints::NEAR_MISS_MAX && name.len() >= hints::NEAR_MISS_LEN_MIN {
            let message = format!(
                "unknown key {name}: the nearest is {}; Kafka ignores it in silence",
                near.name
            );
            ConfigProblem::error(line, message)
        } else {
            let guess = if distance <= name.len() / 3 {
                format!("; the nearest is {}", near.name)
            } else {
                String::new()
            };
            ConfigProblem::warning(line, format!("unknown key {name}, ignored{guess}"))
        },
    )
}

/// The key that takes the fewest edits to reach, of those that Kafka documents and our own.
fn nearest(name: &str) -> Option<(&'static Key, usize)> {
    let offered = BROKER_KEYS
        .iter()
        .filter(|key| matches!(key.origin, Origin::Kafka | Origin::Own));
    offered
        .map(|key| (key, distance(name, key.name)))
        .min_by_key(|(_, distance)| *distance)
}

/// Levenshtein's: inserts, removals and replacements of one character.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut above_left = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(&other) {
            let above = *cell;
            left = (above_left + usize::from(a != *b)).min(above + 1).min(left + 1);
            above_left = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

/// What a coordinators' topic is created with has the bounds of any topic.
fn check_segments(values: &Values<'_>, report: &mut impl FnMut(&str, ConfigProblem)) {
    let least = segment_bytes_min();
    for key in ["offsets.topic.segment.bytes", "transaction.state.log.segment.bytes"] {
        let value = values.int(key);
        if value < least {
            let message =
                format!("{key} is {value}, and a topic's segments have at least {least} bytes: so many are taken");
            report(key, ConfigProblem::warning(None, message));
        }
    }
}

/// The rules over several keys, as far as they concern what has an effect; what breaks one goes to `report`.
pub(super) fn check_rules(values: &Values<'_>, config: &BrokerConfig, report: &mut impl FnMut(&str, ConfigProblem)) {
    check_segments(values, report);
    let mut error = |key: &str, message: String| report(key, ConfigProblem::error(None, message));
    check_times(values, &mut error);
    check_groups(values, &mut error);
    if config.default_replication_factor < 1 {
        let message = "default.replication.factor must be at least 1".to_string();
        error("default.replication.factor", message);
    }
    if let (Some(count), Some(cpus)) = (config.shard_count, &config.shard_cpus)
        && count > cpus.len()
    {
        let message = format!(
            "shard.count is {count} and shard.cpus names {}: each shard needs a core",
            cpus.len()
        );
        error("shard.count", message);
    }
}

/// Retention and roll, whichever of their keys decides.
fn check_times(values: &Values<'_>, error: &mut impl FnMut(&str, String)) {
    for (topic_name, forbidden, rule) in [
        ("retention.ms", 0..=0, "must be -1 (keep for ever) or at least 1"),
        ("segment.ms", i64::MIN..=0, "must be at least 1"),
        ("segment.jitter.ms", i64::MIN..=-1, "must be at least 0"),
    ] {
        let Some(key) = topic_key(topic_name) else { continue };
        let decided_by = key.synonyms.iter().find(|name| values.get(name).is_some());
        let decided = values.topic_default(key).and_then(|value| value.parse::<i64>().ok());
        if let (Some(by), Some(true)) = (decided_by, decided.map(|ms| forbidden.contains(&ms))) {
            error(by, format!("{by} {rule}"));
        }
    }
}

/// What consumer groups have that set nothing lies within what they may set, and a session is longer than the pause
/// between two heartbeats.
fn check_groups(values: &Values<'_>, error: &mut impl FnMut(&str, String)) {
    let int = |which: &str, matter: &str| values.int(&format!("group.consumer.{which}{matter}"));
    for matter in ["session.timeout.ms", "heartbeat.interval.ms"] {
        if !(int("min.", matter)..=int("max.", matter)).contains(&int("", matter)) {
            let (key, min, max) = (
                format!("group.consumer.{matter}"),
                format!("group.consumer.min.{matter}"),
                format!("group.consumer.max.{matter}"),
            );
            error(&key, format!("{key} must be between {min} and {max}"));
        }
    }
    if int("", "heartbeat.interval.ms") >= int("", "session.timeout.ms") {
        let (key, limit) = (
            "group.consumer.heartbeat.interval.ms",
            "group.consumer.session.timeout.ms",
        );
        error(key, format!("{key} must be less than {limit}"));
    }
}

/// Checks the configs of a group, which the broker's own bound. Err is Kafka's message.
pub fn check_group_configs(configs: &BTreeMap<String, String>, config: &BrokerConfig) -> Result<(), String> {
    for (name, value) in configs {
        let Some(key) = group_key(name) else {
            return Err(format!("Unknown group config name: {name}"));
        };
        key.check(value)?;
        if name == "share.auto.offset.reset" && ShareReset::parse(value).is_none() {
            return Err(format!(
                "Invalid value {value} for configuration {name}: must be earliest, latest or by_duration: and a duration as PnDTnHnMn.nS"
            ));
        }
        let Some((kind, matter)) = name.split_once('.') else {
            continue;
        };
        let number = value.trim().parse().unwrap_or(0);
        let bound = |which: &str| {
            let name = format!("group.{kind}.{which}.{matter}");
            let values = Values::of_file(&config.set);
            broker_key(&name).map(|key| (key.name, values.int(key.name)))
        };
        match (bound("min"), bound("max")) {
            (Some((bound, min)), _) if number < min => {
                return Err(format!("{name} must be greater than or equal to {bound}"));
            }
            (_, Some((bound, max))) if number > max => {
                return Err(format!("{name} must be less than or equal to {bound}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks broker configs that are to be set at run time: for one broker, or cluster-wide. Err is Kafka's message. Keys
/// that the table does not know are let through, as in Kafka: they may be a plugin's.
pub fn check_broker_configs(configs: &BTreeMap<String, String>, per_broker: bool) -> Result<(), String> {
    let those = |refused: &dyn Fn(&str, &Key) -> bool| -> Option<String> {
        let is_refused = |name: &&str| broker_or_listener_key(name).is_some_and(|key| refused(name, key));
        let names: Vec<&str> = configs.keys().map(String::as_str).filter(is_refused).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(names) = those(&|_, key| key.scope == Scope::ReadOnly) {
        return Err(format!("Cannot update these configs dynamically: [{names}]"));
    }
    let is_store = |name: &str, _: &Key| STORES.iter().any(|start| name.starts_with(start));
    if let Some(names) = those(&is_store) {
        return Err(format!(
            "These security configs can be dynamically updated only per-listener using the listener prefix: [{names}]"
        ));
    }
    if let Some(names) = those(&|_, key| !per_broker && key.scope == Scope::PerBroker) {
        return Err(format!(
            "Cannot update these configs at default cluster level, broker id must be specified: [{names}]"
        ));
    }
    for (name, value) in configs {
        broker_key(name).map_or(Ok(()), |key| key.check(value))?;
    }
    let mut broken = None;
    check_times(&Values::of_file(configs), &mut |_, message| broken = Some(message));
    broken.map_or(Ok(()), Err)
}
