//! Which value of a broker key counts: dynamic for this broker, dynamic for the cluster, the file, the default.

use std::collections::BTreeMap;

use super::keys::{self, Key, broker_key};

static EMPTY: BTreeMap<String, String> = BTreeMap::new();

/// Broker configs that were set at run time, from the metadata image.
#[derive(Clone, Copy, Debug)]
pub struct DynamicConfigs<'a> {
    /// Of this broker.
    pub broker: &'a BTreeMap<String, String>,
    /// Of all brokers: the cluster-wide default.
    pub cluster: &'a BTreeMap<String, String>,
}

impl DynamicConfigs<'_> {
    pub const NONE: DynamicConfigs<'static> = DynamicConfigs {
        broker: &EMPTY,
        cluster: &EMPTY,
    };
}

/// The layers over the table's defaults. Values are taken as checked: one that cannot be parsed counts as its default,
/// since the check has refused it already.
#[derive(Clone, Copy)]
pub(super) struct Values<'a> {
    pub set: &'a BTreeMap<String, String>,
    pub dynamic: DynamicConfigs<'a>,
}

impl<'a> Values<'a> {
    /// What a file sets, with nothing set at run time.
    pub fn of_file(set: &'a BTreeMap<String, String>) -> Values<'a> {
        let dynamic = DynamicConfigs::NONE;
        Values { set, dynamic }
    }

    /// The value that counts; None if the key is unset and has no default.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.explicit(name).or_else(|| broker_key(name)?.default)
    }

    /// The value that counts, if anything but the default decides it.
    pub fn explicit(&self, name: &str) -> Option<&'a str> {
        let layers = [self.dynamic.broker, self.dynamic.cluster, self.set];
        let value = layers.into_iter().find_map(|layer| layer.get(name))?;
        let valid = broker_key(name).is_none_or(|key| key.check(value).is_ok());
        valid.then_some(value.trim())
    }

    pub fn text(&self, name: &str) -> &'a str {
        self.get(name).unwrap_or_default()
    }

    pub fn long(&self, name: &str) -> i64 {
        self.long_if_set(name).unwrap_or_default()
    }

    pub fn long_if_set(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    pub fn int(&self, name: &str) -> i32 {
        i32::try_from(self.long(name)).unwrap_or_default()
    }

    pub fn double(&self, name: &str) -> f64 {
        self.get(name).and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    /// A count of bytes or things; the table bounds it from below.
    pub fn size(&self, name: &str) -> usize {
        usize::try_from(self.long(name)).unwrap_or_default()
    }

    /// Of a coordinators' topic. Kafka lets these keys go below what any topic may have, and then cannot create the topic.
    pub fn segment_bytes(&self, name: &str) -> i32 {
        self.int(name).max(segment_bytes_min())
    }

    pub fn boolean(&self, name: &str) -> bool {
        self.get(name).and_then(keys::parse_bool).unwrap_or_default()
    }

    pub fn list(&self, name: &str) -> Vec<&'a str> {
        keys::list_items(self.text(name)).collect()
    }

    /// A topic key's default on this broker, in the topic key's unit.
    pub fn topic_default(&self, key: &Key) -> Option<String> {
        let decided = key.synonyms.iter().find_map(|name| {
            let value = self.get(name)?;
            Some(in_topic_units(name, value).unwrap_or_else(|| value.to_string()))
        });
        decided.or_else(|| key.default.map(str::to_string))
    }
}

/// The least that segment.bytes of a topic may be.
pub(super) fn segment_bytes_min() -> i32 {
    let min = keys::topic_key("segment.bytes").and_then(|key| key.min);
    min.unwrap_or_default() as i32
}

/// Converts a broker key's minutes or hours to the topic key's milliseconds; a negative retention is no limit.
fn in_topic_units(broker_key: &str, value: &str) -> Option<String> {
    const MINUTE_MS: i64 = 60_000;
    let unit_ms = match broker_key {
        "log.retention.ms" => 1,
        name if name.ends_with(".minutes") => MINUTE_MS,
        name if name.ends_with(".hours") => 60 * MINUTE_MS,
        _ => return None,
    };
    let value: i64 = value.parse().ok()?;
    let unlimited = value < 0 && broker_key.starts_with("log.retention.");
    Some(if unlimited {
        "-1".to_string()
    } else {
        value.saturating_mul(unit_ms).to_string()
    })
}
