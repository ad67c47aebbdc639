//! What the file's entries mean to the broker: unknown keys, bad values, keys without effect, rules over several keys.
//!
//! A known key with a bad value refuses the start, as in Kafka. An unknown key is legal there, since plugins bring
//! their own, and is ignored in silence; here a near miss of a real key refuses the start too, and any other gets a
//! warning.

use std::collections::BTreeMap;

use super::hints::{self, Hint};
use super::keys::{BROKER_KEYS, Key, Origin, broker_key, topic_key};
use super::properties::{ConfigProblem, Properties};
use super::values::Values;

/// Checks each entry by itself, in file order.
pub(super) fn check_entries(properties: &Properties) -> Vec<ConfigProblem> {
    let mut problems = properties.problems.clone();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, value, line) in &properties.entries {
        let line = Some(*line).filter(|line| *line != super::properties::NO_LINE);
        if let Some(earlier) = seen.insert(name, line.unwrap_or_default()) {
            let message = format!("{name} stands in line {earlier} already: this line wins");
            problems.push(ConfigProblem::warning(line, message));
        }
        match broker_key(name) {
            Some(key) => problems.extend(check_known(key, value, line)),
            None => problems.extend(check_unknown(name, line)),
        }
    }
    problems
}

fn check_known(key: &Key, value: &str, line: Option<usize>) -> Option<ConfigProblem> {
    if let Err(message) = key.check(value) {
        return Some(ConfigProblem::error(line, message));
    }
    if let Some(message) = hints::remark(key.name) {
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
    if let Some(rest) = name.strip_prefix("listener.name.") {
        return check_listener_key(name, rest, line);
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

/// `listener.name.<listener>.<key>`, or with a SASL mechanism between: a setting of one listener.
fn check_listener_key(name: &str, rest: &str, line: Option<usize>) -> Option<ConfigProblem> {
    let mut tail = rest;
    while let Some((_, after)) = tail.split_once('.') {
        if broker_key(after).is_some() {
            return Some(ConfigProblem::warning(
                line,
                format!("{name} is accepted and has no effect yet"),
            ));
        }
        tail = after;
    }
    Some(ConfigProblem::warning(
        line,
        format!("unknown key {name}, ignored: it ends in no key that a listener has"),
    ))
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

/// The rules over several keys, as far as they concern what has an effect.
pub(super) fn check_rules(values: &Values<'_>, properties: &Properties, problems: &mut Vec<ConfigProblem>) {
    let mut error = |key: &str, message: String| {
        problems.push(ConfigProblem::error(properties.line_of(key), message));
    };
    let decided = |topic_name| -> Option<(i64, &'static str)> {
        let key = topic_key(topic_name)?;
        let by = key.synonyms.iter().find(|name| values.get(name).is_some())?;
        Some((values.topic_default(key)?.parse().ok()?, by))
    };
    if let Some((0, by)) = decided("retention.ms") {
        error(by, format!("{by} must be -1 (keep for ever) or at least 1"));
    }
    if let Some((ms, by)) = decided("segment.ms").filter(|(ms, _)| *ms < 1) {
        error(by, format!("{by} must be at least 1, and is {ms} ms"));
    }
    if let Some((ms, by)) = decided("segment.jitter.ms").filter(|(ms, _)| *ms < 0) {
        error(by, format!("{by} must be at least 0, and is {ms} ms"));
    }
    let voters = values.list("controller.quorum.voters");
    if voters.len() > 1 {
        let message = format!(
            "controller.quorum.voters names {} nodes: clusters are not served yet, one node keeps its own metadata; leave the key out",
            voters.len()
        );
        error("controller.quorum.voters", message);
    }
    let roles = values.list("process.roles");
    if !roles.is_empty() && !roles.contains(&"broker") {
        error("process.roles", "process.roles names no broker: a controller of its own is not served yet; write broker,controller, or leave the key out".to_string());
    } else if roles == ["broker"] {
        error("process.roles", "process.roles names a broker without a controller: clusters are not served yet; write broker,controller, or leave the key out".to_string());
    }
}
