//! THE table: every broker and topic key of Kafka 4.3, the older keys that files still carry, and our own.
//!
//! One row per key, grouped into files by subject. A row is all that anything knows about its key: the file's checks,
//! the typed configs, DescribeConfigs and `config/server.properties` are derived from it.
//!
//! Invariants, held by tests: names are unique within a table, a default passes its own row's check, a topic key's
//! synonyms are broker keys.

mod cluster;
mod group;
mod groups;
mod old;
mod own;
mod replication;
mod row;
mod security;
mod server;
mod storage;
mod tiered;
mod topic;

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a value is made of: decides how it is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    Short,
    Long,
    Double,
    String,
    List,
    Password,
    Class,
}

/// Where a key may be set, and how far a change made at run time reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// needs a restart
    ReadOnly,
    PerBroker,
    ClusterWide,
    Topic,
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Documented by Kafka 4.3.
    Kafka,
    /// Known to Kafka 4.3 besides its documented file keys (tests, run time only): accepted, shown only when set.
    Internal,
    /// Removed from Kafka by 4.3, and still found in files: accepted, shown only when set.
    Old,
    /// Ours alone.
    Own,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// None: no default (null)
    pub default: Option<&'static str>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// The values allowed: of the key, or of a list's items. For a number: allowed besides those between `min` and `max`.
    pub choices: &'static [&'static str],
    /// `choices` may be spelt in any case.
    pub any_case: bool,
    pub scope: Scope,
    /// Broker keys that decide the same thing, strongest first. A topic key takes its default from them
    /// (segment.bytes from log.segment.bytes); a broker key lists itself too (log.retention.ms, .minutes, .hours).
    pub synonyms: &'static [&'static str],
    /// false: accepted, with one warning line that it has no effect yet.
    pub effective: bool,
    pub origin: Origin,
    /// One or two sentences of our own, with the unit.
    pub doc: &'static str,
}

/// The broker's rows by subject, in the order of `config/server.properties`.
pub(super) const BROKER_PARTS: &[(&str, &[Key])] = &[
    ("This node, its listeners, its cluster", cluster::KEYS),
    ("Connections, requests, quotas, metrics", server::KEYS),
    ("The log", storage::KEYS),
    ("Shards, memory, disk reserve (Corelane's own keys)", own::KEYS),
    ("Replicas and leaders", replication::KEYS),
    ("Groups and transactions", groups::KEYS),
    ("Security", security::KEYS),
    ("Tiered storage", tiered::KEYS),
    ("Keys of older Kafka", old::KEYS),
];
const BROKER_KEYS_COUNT: usize = count(BROKER_PARTS);
static BROKER_TABLE: [Key; BROKER_KEYS_COUNT] = join(BROKER_PARTS);

/// All broker keys, grouped by subject.
pub static BROKER_KEYS: &[Key] = &BROKER_TABLE;
/// All topic keys, by name.
pub static TOPIC_KEYS: &[Key] = topic::KEYS;

/// All keys of single groups, by name.
pub static GROUP_KEYS: &[Key] = group::KEYS;

pub fn group_key(name: &str) -> Option<&'static Key> {
    GROUP_KEYS.iter().find(|key| key.name == name)
}

pub fn broker_key(name: &str) -> Option<&'static Key> {
    static INDEX: LazyLock<Index> = LazyLock::new(|| index(BROKER_KEYS));
    INDEX.get(name).copied()
}

pub fn topic_key(name: &str) -> Option<&'static Key> {
    static INDEX: LazyLock<Index> = LazyLock::new(|| index(TOPIC_KEYS));
    INDEX.get(name).copied()
}

/// The row behind a broker config's name: its own, or the one that it sets for one listener.
pub(super) fn broker_or_listener_key(name: &str) -> Option<&'static Key> {
    broker_key(name).or_else(|| listener_key(name))
}

/// The broker key that `listener.name.<listener>.<key>` sets for one listener; a SASL mechanism may stand between.
pub(super) fn listener_key(name: &str) -> Option<&'static Key> {
    let (_, mut tail) = name.strip_prefix("listener.name.")?.split_once('.')?;
    loop {
        if let Some(key) = broker_key(tail) {
            return Some(key);
        }
        (_, tail) = tail.split_once('.')?;
    }
}

type Index = HashMap<&'static str, &'static Key>;

fn index(table: &'static [Key]) -> Index {
    table.iter().map(|key| (key.name, key)).collect()
}

impl Key {
    /// Keys of topics and groups: the broker key that DescribeConfigs names as the source of the default.
    pub fn broker_synonym(&self) -> Option<&'static str> {
        self.synonyms.first().copied()
    }

    /// Passwords: never shown.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// Parses and checks a value by kind, bounds and choices; the error is Kafka's sentence:
    /// "Invalid value X for configuration K: Y".
    pub fn check(&self, value: &str) -> Result<(), String> {
        match self.kind {
            Kind::Bool => self.check_bool(value),
            Kind::Int => self.check_whole(value, i32::MIN.into(), i32::MAX.into(), "INT"),
            Kind::Short => self.check_whole(value, i16::MIN.into(), i16::MAX.into(), "SHORT"),
            Kind::Long => self.check_whole(value, i64::MIN, i64::MAX, "LONG"),
            Kind::Double => self.check_double(value),
            Kind::List => self.check_list(value),
            Kind::String => self.check_choice(value.trim()),
            Kind::Password | Kind::Class => Ok(()),
        }
    }

    fn check_bool(&self, value: &str) -> Result<(), String> {
        match parse_bool(value) {
            Some(_) => Ok(()),
            None => Err(self.invalid(value, "Expected value to be either true or false")),
        }
    }

    fn check_whole(&self, value: &str, least: i64, most: i64, kind: &str) -> Result<(), String> {
        match value.trim().parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => self.check_bounds(value.trim(), number as f64),
            _ => Err(self.invalid(value, &format!("Not a number of type {kind}"))),
        }
    }

    fn check_double(&self, value: &str) -> Result<(), String> {
        match value.trim().parse::<f64>() {
            Ok(number) => self.check_bounds(value.trim(), number),
            Err(_) => Err(self.invalid(value, "Not a number of type DOUBLE")),
        }
    }

    fn check_bounds(&self, value: &str, number: f64) -> Result<(), String> {
        if self.choices.contains(&value) {
            return Ok(());
        }
        let below = self.min.is_some_and(|min| number < min);
        let above = self.max.is_some_and(|max| number > max);
        match (self.min, self.max, self.choices) {
            _ if !below && !above => Ok(()),
            (Some(min), Some(max), [besides, ..]) => Err(self.invalid(
                value,
                &format!("Value must be between {min} and {max} or equal to {besides}"),
            )),
            (Some(min), _, _) if below => Err(self.invalid(value, &format!("Value must be at least {min}"))),
            (_, Some(max), _) => Err(self.invalid(value, &format!("Value must be no more than {max}"))),
            _ => Ok(()),
        }
    }

    fn check_list(&self, value: &str) -> Result<(), String> {
        for item in list_items(value) {
            if item.is_empty() {
                return Err(format!("Configuration '{}' values must not be empty.", self.name));
            }
            self.check_choice(item)?;
        }
        Ok(())
    }

    fn check_choice(&self, value: &str) -> Result<(), String> {
        let allowed = |choice: &&str| **choice == *value || (self.any_case && choice.eq_ignore_ascii_case(value));
        if self.choices.is_empty() || self.choices.iter().any(allowed) {
            return Ok(());
        }
        Err(self.invalid(value, &format!("String must be one of: {}", self.choices.join(", "))))
    }

    fn invalid(&self, value: &str, why: &str) -> String {
        format!("Invalid value {value} for configuration {}: {why}", self.name)
    }
}

/// "true" and "false" in any case, as Java's ConfigDef takes them.
pub(super) fn parse_bool(value: &str) -> Option<bool> {
    match value.trim() {
        v if v.eq_ignore_ascii_case("true") => Some(true),
        v if v.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// The items of a list value; none for an empty value.
pub(super) fn list_items(value: &str) -> impl Iterator<Item = &str> {
    let value = value.trim();
    value.split(',').map(str::trim).filter(move |_| !value.is_empty())
}

const fn count(parts: &[(&str, &[Key])]) -> usize {
    let mut total = 0;
    let mut part = 0;
    while part < parts.len() {
        total += parts[part].1.len();
        part += 1;
    }
    total
}

const fn join<const COUNT: usize>(parts: &[(&str, &[Key])]) -> [Key; COUNT] {
    let mut all = [row::string(""); COUNT];
    let (mut part, mut next) = (0, 0);
    while part < parts.len() {
        let mut index = 0;
        while index < parts[part].1.len() {
            all[next] = parts[part].1[index];
            next += 1;
            index += 1;
        }
        part += 1;
    }
    all
}
