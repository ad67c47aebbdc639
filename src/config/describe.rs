//! DescribeConfigs: every key with its value, where that comes from, and what else could have decided it.
//!
//! The rows are Kafka's, quirks included (behaviour 65): tools print sources and synonyms as they come.

use std::collections::{BTreeMap, BTreeSet};

use super::broker::BrokerConfig;
use super::keys::{
    BROKER_KEYS, GROUP_KEYS, Key, Kind, Origin, Scope, TOPIC_KEYS, broker_key, broker_or_listener_key, listener_key,
    topic_key,
};
use super::values::{DynamicConfigs, Values};

/// Where a value comes from; the number is the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    DynamicBrokerLogger = 6,
    Group = 8,
}

/// One config of the answer. `synonyms` and `doc` are always filled in: the request says whether to send them.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigRow {
    pub name: String,
    /// None: null, or a password.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub read_only: bool,
    pub sensitive: bool,
    /// None: a key that the table does not know.
    pub kind: Option<Kind>,
    pub doc: Option<&'static str>,
    /// What could decide the value, strongest first; the first one does.
    pub synonyms: Vec<ConfigSynonym>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ConfigSynonym {
    pub name: String,
    /// None: a password.
    pub value: Option<String>,
    pub source: ConfigSource,
}

impl Kind {
    /// The protocol's number of a config's type (DescribeConfigs v3 and later).
    pub fn code(self) -> i8 {
        match self {
            Kind::Bool => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }
}

/// All configs of this broker, by name: the documented keys, and whatever else the file sets.
pub fn describe_broker(config: &BrokerConfig, dynamic: DynamicConfigs<'_>) -> Vec<ConfigRow> {
    let values = Values {
        set: &config.set,
        dynamic,
    };
    let shown = BROKER_KEYS.iter().filter(|key| is_documented(key)).map(|key| key.name);
    let set = [&config.set, dynamic.broker, dynamic.cluster]
        .into_iter()
        .flat_map(|layer| layer.keys());
    let names: BTreeSet<&str> = shown.chain(set.map(String::as_str)).collect();
    names.into_iter().map(|name| broker_row(name, &values)).collect()
}

/// The cluster-wide defaults that were set at run time: what a broker resource without a name stands for.
pub fn describe_broker_defaults(cluster: &BTreeMap<String, String>) -> Vec<ConfigRow> {
    let none = DynamicConfigs::NONE;
    let values = Values {
        set: none.broker,
        dynamic: DynamicConfigs { cluster, ..none },
    };
    let row = |name: &String| {
        let mut row = broker_row(name, &values);
        row.synonyms
            .retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
        row
    };
    cluster.keys().map(row).collect()
}

/// All configs of a topic, by name.
pub fn describe_topic(
    overrides: &BTreeMap<String, String>,
    config: &BrokerConfig,
    dynamic: DynamicConfigs<'_>,
) -> Vec<ConfigRow> {
    let values = Values {
        set: &config.set,
        dynamic,
    };
    let shown = TOPIC_KEYS.iter().filter(|key| is_documented(key)).map(|key| key.name);
    let names: BTreeSet<&str> = shown.chain(overrides.keys().map(String::as_str)).collect();
    names
        .into_iter()
        .map(|name| topic_row(name, overrides, &values))
        .collect()
}

/// All configs of a group, by name.
pub fn describe_group(
    set: &BTreeMap<String, String>,
    config: &BrokerConfig,
    dynamic: DynamicConfigs<'_>,
) -> Vec<ConfigRow> {
    let values = Values {
        set: &config.set,
        dynamic,
    };
    let row = |key: &Key| resource_row(key.name, Some(key), (set, ConfigSource::Group), &values);
    GROUP_KEYS.iter().map(row).collect()
}

fn is_documented(key: &Key) -> bool {
    matches!(key.origin, Origin::Kafka | Origin::Own)
}

fn broker_row(name: &str, values: &Values<'_>) -> ConfigRow {
    let key = broker_or_listener_key(name);
    let sensitive = key.is_none_or(Key::is_sensitive);
    let synonyms = broker_synonyms(name, sensitive, values);
    ConfigRow {
        name: name.to_string(),
        value: values.get(name).filter(|_| !sensitive).map(str::to_string),
        source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
        read_only: key.is_none_or(|key| key.scope == Scope::ReadOnly),
        sensitive,
        kind: key.map(|key| key.kind),
        doc: key.map(|key| key.doc),
        synonyms,
    }
}

fn topic_row(name: &str, overrides: &BTreeMap<String, String>, values: &Values<'_>) -> ConfigRow {
    resource_row(name, topic_key(name), (overrides, ConfigSource::Topic), values)
}

/// What the resource itself sets, over what the broker has.
fn resource_row(
    name: &str,
    key: Option<&Key>,
    (overrides, source): (&BTreeMap<String, String>, ConfigSource),
    values: &Values<'_>,
) -> ConfigRow {
    let set = overrides.get(name);
    let mut synonyms: Vec<ConfigSynonym> = Vec::new();
    synonyms.extend(set.map(|value| ConfigSynonym {
        name: name.to_string(),
        value: Some(value.clone()),
        source,
    }));
    if let Some(broker_name) = key.and_then(Key::broker_synonym) {
        synonyms.extend(broker_synonyms(broker_name, false, values));
    }
    ConfigRow {
        name: name.to_string(),
        value: set.cloned().or_else(|| values.topic_default(key?)),
        source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
        read_only: false,
        sensitive: false,
        kind: key.map(|key| key.kind),
        doc: key.map(|key| key.doc),
        synonyms,
    }
}

/// What decides a broker key, strongest first. Kafka lists a key's siblings too (log.retention.hours for
/// log.retention.ms), but only behind the key itself: what stands before it is dropped.
fn broker_synonyms(name: &str, sensitive: bool, values: &Values<'_>) -> Vec<ConfigSynonym> {
    let siblings = siblings(name);
    let layers = [
        (values.dynamic.broker, ConfigSource::DynamicBroker),
        (values.dynamic.cluster, ConfigSource::DynamicDefaultBroker),
        (values.set, ConfigSource::StaticBroker),
    ];
    let synonym = |name: &str, value: &str, source| ConfigSynonym {
        name: name.to_string(),
        value: (!sensitive).then(|| value.to_string()),
        source,
    };
    let mut synonyms = Vec::new();
    for (layer, source) in layers {
        let found = siblings
            .iter()
            .filter_map(|name| Some(synonym(name, layer.get(*name)?, source)));
        synonyms.extend(found);
    }
    let default = |name: &&str| Some(synonym(name, broker_key(name)?.default?, ConfigSource::Default));
    synonyms.extend(siblings.iter().filter_map(default));
    synonyms
        .into_iter()
        .skip_while(|synonym| synonym.name != name)
        .collect()
}

/// The keys that may decide what `name` decides: itself, those of other units, and for one listener's key the one of all.
fn siblings(name: &str) -> Vec<&str> {
    match broker_key(name) {
        Some(key) if !key.synonyms.is_empty() => key.synonyms.to_vec(),
        Some(_) => vec![name],
        None => [name]
            .into_iter()
            .chain(listener_key(name).map(|key| key.name))
            .collect(),
    }
}
