//! The broker's configuration from a file's text to typed fields: what is refused, what is warned of, what counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::*;
use crate::record::TimestampType;

/// The notebook's server.properties, as it stands there.
const NOTEBOOK: &str = "\
# broker 的编号，如果集群中有多个 broker，则每个 broker 的编号需要设置的不同
broker.id=0

# broker 对外提供的服务入口地址
# listeners=PLAINTEXT://:9092
listeners=PLAINTEXT://node01:9092,PLAINTEXT://node02:9092,PLAINTEXT://node03:9092

# 存放消息日志文件的地址
log.dirs=/tmp/kafka-logs

# zooKeeper 集群地址
# zookeeper.connect=node01:2181/kafka
zookeeper.connect=node01:2181,node02:2181,node03:2181/kafka
";

fn resolve(text: &str) -> Result<(BrokerConfig, Vec<ConfigProblem>), Vec<ConfigProblem>> {
    BrokerConfig::resolve(&Properties::parse(text))
}

/// The config, and the warnings as they are printed.
fn accepted(text: &str) -> (BrokerConfig, Vec<String>) {
    let (config, problems) = resolve(text).expect("accepted");
    (config, problems.iter().map(ConfigProblem::to_string).collect())
}

/// The one fatal problem, as it is printed.
fn refused(text: &str) -> String {
    let problems = resolve(text).expect_err("refused");
    let fatal: Vec<_> = problems.iter().filter(|problem| problem.fatal).collect();
    assert_eq!(fatal.len(), 1, "{problems:?}");
    fatal[0].to_string()
}

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries
        .iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

#[test] // An empty file gives Kafka's defaults.
fn empty_file_gives_kafkas_defaults() {
    let (config, warnings) = accepted("");
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config.broker_id, 0);
    assert_eq!(
        config.listeners,
        [ListenerSpec {
            name: "PLAINTEXT".into(),
            host: String::new(),
            port: 9092
        }]
    );
    assert_eq!(config.advertised, config.listeners);
    assert_eq!(config.log_dirs, [PathBuf::from("/tmp/kafka-logs")]);
    assert_eq!(config.metadata_log_dir, PathBuf::from("/tmp/kafka-logs"));
    assert!(config.auto_create_topics && config.delete_topic_enable);
    assert_eq!((config.num_partitions, config.default_replication_factor), (1, 1));
    assert_eq!(config.fetch_max_bytes, 57_671_680);
    assert_eq!(config.log_dir_min_free_bytes, 1 << 30);
    let topic = &config.topic_defaults;
    assert_eq!(
        topic.cleanup_policy,
        CleanupPolicy {
            delete: true,
            compact: false
        }
    );
    assert_eq!((topic.retention_ms, topic.retention_bytes), (7 * 24 * 3_600_000, -1));
    assert_eq!(
        (topic.segment_ms, topic.segment_jitter_ms, topic.segment_bytes),
        (7 * 24 * 3_600_000, 0, 1 << 30)
    );
    assert_eq!((topic.flush_messages, topic.flush_ms), (i64::MAX, i64::MAX));
    assert_eq!((topic.max_message_bytes, topic.compression), (1_048_588, None));
    assert_eq!(
        topic.compression_levels,
        CompressionLevels {
            gzip: -1,
            lz4: 9,
            zstd: 3
        }
    );
    assert_eq!(
        (topic.timestamp_type, topic.timestamp_after_max_ms),
        (TimestampType::CreateTime, 3_600_000)
    );
    assert_eq!(**topic, TopicConfig::default());
}

#[test] // The notebook's file fails on Kafka too: its line of three listeners, with what to write instead.
fn notebooks_three_listeners_are_refused_with_the_cure() {
    let message = refused(NOTEBOOK);
    assert!(
        message.starts_with("line 6: each listener must have a different name"),
        "{message}"
    );
    assert!(
        message.contains("listeners=PLAINTEXT://node01:9092 on node01"),
        "{message}"
    );
}

#[test] // With one listener the notebook's file works, and says once that ZooKeeper is not used.
fn notebooks_file_with_one_listener_is_accepted() {
    let text = NOTEBOOK.replace(",PLAINTEXT://node02:9092,PLAINTEXT://node03:9092", "");
    let (config, warnings) = accepted(&text);
    assert_eq!(config.listeners[0].host, "node01");
    assert_eq!(config.log_dirs, [PathBuf::from("/tmp/kafka-logs")]);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("line 13: zookeeper.connect is ignored"),
        "{warnings:?}"
    );
}

#[test] // A misspelt key refuses the start with its line and the nearest name.
fn misspelt_keys_are_refused_with_the_nearest_name() {
    for (key, near) in [
        ("log.retention.hour", "log.retention.hours"),
        ("log.segment.ms", "log.roll.ms"),
        ("num.recovery.threads,per.data.dir", "num.recovery.threads.per.data.dir"),
        ("auto,create.topics.enable", "auto.create.topics.enable"),
        ("num.partition", "num.partitions"),
        ("log.segments.byte", "log.segment.bytes"),
    ] {
        let message = refused(&format!("# first\n{key}=1\n"));
        assert!(
            message.starts_with(&format!("line 2: unknown key {key}: ")),
            "{message}"
        );
        assert!(message.contains(near), "{message}");
    }
}

#[test] // Keys of others are legal in Kafka's file: they only get a warning.
fn foreign_keys_are_warned_of() {
    for key in [
        "retention.ms",
        "fetch.message.max.bytes",
        "my.plugin.setting",
        "port",
        "bootstrap.servers",
    ] {
        let (_, warnings) = accepted(&format!("{key}=1000\n"));
        assert_eq!(warnings.len(), 1, "{key}: {warnings:?}");
        assert!(
            warnings[0].starts_with("line 1: ") && warnings[0].contains(key),
            "{warnings:?}"
        );
    }
}

#[test] // A bad value is refused in Kafka's words.
fn bad_values_are_refused_in_kafkas_words() {
    for (line, message) in [
        (
            "num.partitions=0",
            "Invalid value 0 for configuration num.partitions: Value must be at least 1",
        ),
        (
            "num.partitions=many",
            "Invalid value many for configuration num.partitions: Not a number of type INT",
        ),
        (
            "auto.create.topics.enable=maybe",
            "Invalid value maybe for configuration auto.create.topics.enable: Expected value to be either true or false",
        ),
        (
            "compression.type=none",
            "Invalid value none for configuration compression.type: String must be one of: \
             uncompressed, zstd, lz4, snappy, gzip, producer",
        ),
        (
            "compression.gzip.level=0",
            "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
        ),
    ] {
        assert_eq!(refused(line), format!("line 1: {message}"));
    }
}

#[test] // Milliseconds win over minutes, minutes over hours, wherever they stand.
fn shorter_units_win() {
    let retention = |text| accepted(text).0.topic_defaults.retention_ms;
    assert_eq!(retention("log.retention.hours=2"), 7_200_000);
    assert_eq!(retention("log.retention.minutes=5\nlog.retention.hours=2"), 300_000);
    assert_eq!(
        retention("log.retention.ms=7\nlog.retention.minutes=5\nlog.retention.hours=2"),
        7
    );
    assert_eq!(retention("log.retention.hours=-1"), -1);
    let roll = |text| accepted(text).0.topic_defaults.segment_ms;
    assert_eq!(roll("log.roll.hours=1"), 3_600_000);
    assert_eq!(roll("log.roll.ms=9\nlog.roll.hours=1"), 9);
    assert!(refused("log.retention.minutes=0").contains("log.retention.minutes must be -1"));
}

#[test] // log.dirs wins over log.dir, and holds several directories.
fn log_dirs_win_over_log_dir() {
    assert_eq!(accepted("log.dir=/one").0.log_dirs, [PathBuf::from("/one")]);
    let (config, _) = accepted("log.dir=/one\nlog.dirs=/two, /three");
    assert_eq!(config.log_dirs, [PathBuf::from("/two"), PathBuf::from("/three")]);
    assert!(refused("log.dirs=").contains("log.dirs is empty"));
}

#[test] // A broker without a file listens on loopback and keeps all data under one directory.
fn embedded_broker_needs_no_file() {
    let config = BrokerConfig::embedded(Path::new("./data"));
    assert_eq!(
        config.listeners,
        [ListenerSpec {
            name: "PLAINTEXT".into(),
            host: "127.0.0.1".into(),
            port: 9092
        }]
    );
    assert_eq!(config.log_dirs, [PathBuf::from("./data")]);
}

#[test] // Topic overrides win over the broker's defaults; a bad one is refused in Kafka's words.
fn topic_overrides_win_over_defaults() {
    let (config, _) = accepted("log.retention.hours=1\nmessage.max.bytes=5000");
    let overrides = map(&[("retention.ms", "15552000000"), ("cleanup.policy", "compact,delete")]);
    let topic = TopicConfig::resolve(&config.topic_defaults, &overrides).expect("legal");
    assert_eq!((topic.retention_ms, topic.max_message_bytes), (15_552_000_000, 5000));
    assert_eq!(
        topic.cleanup_policy,
        CleanupPolicy {
            delete: true,
            compact: true
        }
    );
    let check = |key, value| TopicConfig::resolve(&config.topic_defaults, &map(&[(key, value)])).expect_err("illegal");
    assert_eq!(check("no.such", "1"), "Unknown topic config name: no.such");
    assert_eq!(
        check("retention.ms", "-2"),
        "Invalid value -2 for configuration retention.ms: Value must be at least -1"
    );
}

#[test] // The table holds together: names once, defaults legal, synonyms real, a sentence for each.
fn table_is_sound() {
    for table in [BROKER_KEYS, TOPIC_KEYS] {
        let mut names = BTreeSet::new();
        for key in table {
            assert!(names.insert(key.name), "{} stands twice", key.name);
            assert!(key.doc.ends_with('.'), "{}: {:?}", key.name, key.doc);
            assert_eq!(key.default.map_or(Ok(()), |default| key.check(default)), Ok(()));
            for synonym in key.synonyms {
                assert!(broker_key(synonym).is_some(), "{}: {synonym}", key.name);
            }
        }
    }
}
