//! The broker's configuration from a file's text to typed fields: what is refused, what is warned of, what counts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::*;
use crate::record::{Compression, TimestampType};

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

/// Listeners whose shards are nodes are served ones, of a broker whose number leaves room for theirs.
#[test]
fn shards_are_nodes_on_listeners_that_are_served() {
    assert!(accepted("").0.shard_nodes.is_empty());
    let (config, _) = accepted("shard.nodes.listeners=plaintext\nbroker.id=524287\n");
    assert_eq!(config.shard_nodes, ["PLAINTEXT"]);
    assert!(refused("shard.nodes.listeners=FAST\n").contains("names FAST, which is not a listener of this broker"));
    assert!(refused("shard.nodes.listeners=PLAINTEXT\nbroker.id=524288\n").contains("a broker.id below 524288"));
    assert!(refused("listeners=A#0://:9092\n").contains("a listener's name has no #"));
    let name = of_shard("FAST", 12);
    assert_eq!(
        (split_listener(&name), without_shard(&name)),
        (("FAST", Some(12)), "FAST")
    );
    assert_eq!(
        (split_listener("FAST"), without_shard("FAST")),
        (("FAST", None), "FAST")
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
    for table in [BROKER_KEYS, TOPIC_KEYS, super::keys::GROUP_KEYS] {
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

/// A group sets what the broker's bounds allow, and has the broker's values where it sets none.
#[test]
fn groups_set_what_the_broker_allows() {
    let config = BrokerConfig::embedded(std::path::Path::new("/nowhere"));
    let set = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let good = set("consumer.session.timeout.ms", "50000");
    assert_eq!(check_group_configs(&good, &config), Ok(()));
    assert_eq!(config.groups.consumer.settings_of(&good).session_timeout.as_secs(), 50);
    for (key, value) in [
        ("consumer.session.timeout.ms", "44999"),
        ("consumer.heartbeat.interval.ms", "15001"),
        ("consumer.heartbeat.interval.ms", "soon"),
        ("retention.ms", "1"),
    ] {
        assert!(check_group_configs(&set(key, value), &config).is_err(), "{key}={value}");
    }
    // What was allowed once is held to the bounds of now.
    let old = set("consumer.session.timeout.ms", "1");
    assert_eq!(config.groups.consumer.settings_of(&old).session_timeout.as_secs(), 45);
}

/// A row as kafka-configs --describe prints it.
fn printed(rows: &[ConfigRow], name: &str) -> String {
    let row = rows.iter().find(|row| row.name == name).expect("described");
    let null = || "null".to_string();
    let source = |source| match source {
        ConfigSource::Topic => "DYNAMIC_TOPIC_CONFIG",
        ConfigSource::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
        ConfigSource::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        ConfigSource::StaticBroker => "STATIC_BROKER_CONFIG",
        ConfigSource::Default => "DEFAULT_CONFIG",
        ConfigSource::DynamicBrokerLogger => "DYNAMIC_BROKER_LOGGER_CONFIG",
        ConfigSource::Group => "DYNAMIC_GROUP_CONFIG",
    };
    let synonym = |synonym: &ConfigSynonym| {
        let value = synonym.value.clone().unwrap_or_else(null);
        format!("{}:{}={value}", source(synonym.source), synonym.name)
    };
    let synonyms: Vec<String> = row.synonyms.iter().map(synonym).collect();
    let value = row.value.clone().unwrap_or_else(null);
    format!(
        "{name}={value} sensitive={} synonyms={{{}}}",
        row.sensitive,
        synonyms.join(", ")
    )
}

#[test] // A topic's configs are described as Kafka 4.3.1 prints them, on a broker with an empty file.
fn topic_is_described_as_kafka_does() {
    let (config, _) = accepted("");
    let overrides = map(&[("max.message.bytes", "10485760"), ("retention.ms", "15552000000")]);
    let rows = describe_topic(&overrides, &config, DynamicConfigs::NONE);
    assert_eq!(rows.len(), 33);
    assert!(rows.is_sorted_by_key(|row| &row.name));
    for line in [
        "max.message.bytes=10485760 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:max.message.bytes=10485760, \
         DEFAULT_CONFIG:message.max.bytes=1048588}",
        "retention.ms=15552000000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=15552000000}",
        "cleanup.policy=delete sensitive=false synonyms={DEFAULT_CONFIG:log.cleanup.policy=delete}",
        "segment.ms=604800000 sensitive=false synonyms={}",
        "flush.ms=9223372036854775807 sensitive=false synonyms={}",
        "remote.storage.enable=false sensitive=false synonyms={}",
    ] {
        let (name, _) = line.split_once('=').expect("a row");
        assert_eq!(printed(&rows, name), line);
    }
}

#[test] // Every layer is listed, strongest first, as Kafka 4.3.1 prints it.
fn layers_are_described_as_kafka_does() {
    let (config, _) = accepted(
        "node.id=1\nlog.retention.hours=48\nlog.retention.minutes=60\nmy.own.key=5\nlog.cleaner.threads=2\n\
         ssl.key.password=secret\nlistener.name.a.ssl.key.password=secret\n",
    );
    let broker = map(&[("log.cleaner.threads", "3")]);
    let cluster = map(&[("log.cleaner.threads", "4"), ("log.retention.ms", "99999999")]);
    let dynamic = DynamicConfigs {
        broker: &broker,
        cluster: &cluster,
    };

    let rows = describe_topic(&map(&[("retention.ms", "5000000")]), &config, dynamic);
    assert_eq!(
        printed(&rows, "retention.ms"),
        "retention.ms=5000000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=5000000, \
         DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=99999999, STATIC_BROKER_CONFIG:log.retention.minutes=60, \
         STATIC_BROKER_CONFIG:log.retention.hours=48, DEFAULT_CONFIG:log.retention.hours=168}"
    );

    let rows = describe_broker(&config, dynamic);
    for line in [
        "broker.id=1 sensitive=false synonyms={STATIC_BROKER_CONFIG:broker.id=1, DEFAULT_CONFIG:broker.id=-1}",
        "node.id=1 sensitive=false synonyms={STATIC_BROKER_CONFIG:node.id=1}",
        "log.cleaner.threads=3 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:log.cleaner.threads=3, \
         DYNAMIC_DEFAULT_BROKER_CONFIG:log.cleaner.threads=4, STATIC_BROKER_CONFIG:log.cleaner.threads=2, \
         DEFAULT_CONFIG:log.cleaner.threads=1}",
        "my.own.key=null sensitive=true synonyms={STATIC_BROKER_CONFIG:my.own.key=null}",
        "ssl.key.password=null sensitive=true synonyms={STATIC_BROKER_CONFIG:ssl.key.password=null}",
        "listener.name.a.ssl.key.password=null sensitive=true synonyms={\
         STATIC_BROKER_CONFIG:listener.name.a.ssl.key.password=null, STATIC_BROKER_CONFIG:ssl.key.password=null}",
        "metadata.log.dir=null sensitive=false synonyms={}",
    ] {
        let (name, _) = line.split_once('=').expect("a row");
        assert_eq!(printed(&rows, name), line);
    }
    let read_only = |name| rows.iter().find(|row| row.name == name).expect("described").read_only;
    assert!(read_only("num.partitions") && read_only("my.own.key") && !read_only("log.cleaner.threads"));

    let rows = describe_broker_defaults(&cluster);
    assert_eq!(
        printed(&rows, "log.cleaner.threads"),
        "log.cleaner.threads=4 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:log.cleaner.threads=4}"
    );
    assert_eq!(rows.len(), 2);
}

#[test] // Configs set at run time win over the file, for this broker before the cluster, and reach the topics' defaults.
fn configs_set_at_run_time_win() {
    let (config, _) = accepted("log.retention.hours=1\nmax.connections=5");
    let broker = map(&[("max.connections", "7")]);
    let cluster = map(&[("max.connections", "6"), ("log.retention.ms", "9000")]);
    let changed = config.with_dynamic(DynamicConfigs {
        broker: &broker,
        cluster: &cluster,
    });
    assert_eq!(
        (changed.max_connections, changed.topic_defaults.retention_ms),
        (7, 9000)
    );
    let back = changed.with_dynamic(DynamicConfigs::NONE);
    assert_eq!((back.max_connections, back.topic_defaults.retention_ms), (5, 3_600_000));
}

#[test] // What cannot be set at run time is refused in Kafka's words.
fn changes_at_run_time_are_checked_as_in_kafka() {
    let refusal = |key, value, per_broker| check_broker_configs(&map(&[(key, value)]), per_broker).expect_err(key);
    assert_eq!(
        refusal("log.dirs", "/x", true),
        "Cannot update these configs dynamically: [log.dirs]"
    );
    assert_eq!(
        refusal("ssl.keystore.location", "/x", true),
        "These security configs can be dynamically updated only per-listener using the listener prefix: \
         [ssl.keystore.location]"
    );
    assert_eq!(
        refusal("sasl.jaas.config", "x", false),
        "Cannot update these configs at default cluster level, broker id must be specified: [sasl.jaas.config]"
    );
    assert_eq!(
        refusal("message.max.bytes", "-1", true),
        "Invalid value -1 for configuration message.max.bytes: Value must be at least 0"
    );
    assert!(refusal("log.retention.ms", "0", false).contains("must be -1"));
    let legal = map(&[
        ("log.retention.ms", "5"),
        ("no.such.key", "1"),
        ("max.connections", "9"),
    ]);
    assert_eq!(check_broker_configs(&legal, false), Ok(()));
}

#[test] // Rules that look at more than one override, and the lists of throttled replicas.
fn topic_overrides_are_checked_together() {
    let conflict = map(&[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")]);
    assert_eq!(
        check_topic_configs(&conflict),
        Err("conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)".to_string())
    );
    let throttled = |value| check_topic_configs(&map(&[("leader.replication.throttled.replicas", value)]));
    assert_eq!(
        (throttled("*"), throttled("0:1,2:3"), throttled("")),
        (Ok(()), Ok(()), Ok(()))
    );
    assert!(throttled("x").is_err_and(|message| message.starts_with("Invalid value [x] for configuration")));
}

#[test] // Lists of throttled replicas name partitions and brokers, or all.
fn throttled_replicas_are_found() {
    let of = |value| {
        let overrides = map(&[("follower.replication.throttled.replicas", value)]);
        let config = TopicConfig::resolve(&TopicConfig::default(), &overrides).expect("legal");
        let has = |partition, broker| config.follower_throttled.has(partition, broker);
        assert!(!config.leader_throttled.has(0, 1), "the other side's list is another");
        (has(0, 1), has(2, 3), has(0, 3))
    };
    assert_eq!(of("*"), (true, true, true));
    assert_eq!(of("0:1, 2:3"), (true, true, false));
    assert_eq!(of(""), (false, false, false));
}

#[test] // A topic that overrides only the codec gets the broker's level for it.
fn codec_takes_the_brokers_level() {
    let (config, _) = accepted("compression.zstd.level=7");
    let codec = |value| {
        let overrides = map(&[("compression.type", value)]);
        TopicConfig::resolve(&config.topic_defaults, &overrides)
            .expect("legal")
            .compression
    };
    assert_eq!(codec("zstd"), Some((Compression::Zstd, 7)));
    assert_eq!(codec("gzip"), Some((Compression::Gzip, -1)));
    assert_eq!(
        (codec("uncompressed"), codec("producer")),
        (Some((Compression::None, 0)), None)
    );
    let (config, _) = accepted("compression.type=lz4");
    assert_eq!(config.topic_defaults.compression, Some((Compression::Lz4, 9)));
}

/// Of a line for three hosts, on one of them: its own listener, and the one for the controllers, listed or not.
#[test]
fn a_line_for_three_hosts_is_read_on_each_of_them() {
    let kept = |line: &str| {
        let mut properties = Properties::parse(&format!("listeners={line}\n"));
        let note = keep_own_listener(&mut properties, |host| host == "b");
        note.map(|note| (properties.get("listeners").unwrap().to_owned(), note.message))
    };
    let (taken, note) = kept("P://a:1,P://b:1,P://c:1,CONTROLLER://:2").unwrap();
    assert_eq!(taken, "P://b:1,CONTROLLER://:2");
    assert!(
        note.starts_with("listeners lists 3 hosts") && note.ends_with("on b, takes P://b:1,CONTROLLER://:2"),
        "{note}"
    );
    let (taken, _) = kept("P://a:1,C://a:2,P://b:1,C://b:2").unwrap();
    assert_eq!(taken, "P://b:1,C://b:2");
    for left in [
        "P://b:1",
        "P://a:1,P://c:1",
        "P://b:1,P://b:2",
        "P://:1,P://b:1",
        "P://a:1,P://b:1,C://a:2,C://c:2",
    ] {
        assert_eq!(kept(left), None, "{left}");
    }
}

#[test] // Listener rules: names and ports once, known protocols, controllers left out, addresses that clients can reach.
fn listeners_are_checked() {
    for (text, part) in [
        (
            "listeners=PLAINTEXT://:9092,LAN://:9092\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,LAN:PLAINTEXT",
            "a different port",
        ),
        (
            "listeners=SSL://:9093",
            "listener SSL asks for SSL, and only PLAINTEXT is served",
        ),
        ("listeners=LAN://:9092", "no security protocol defined for listener LAN"),
        ("listeners=node01:9092", "\"node01:9092\" is not an address"),
        ("listeners=PLAINTEXT://:99999", "the port is not a number"),
        ("listeners=PLAINTEXT://::1:9092", "an IPv6 address stands in brackets"),
        ("listeners=", "names no address"),
        (
            "listeners=PLAINTEXT://0.0.0.0:9092",
            "write advertised.listeners=PLAINTEXT://<this host's name>:9092",
        ),
        (
            "advertised.listeners=PLAINTEXT://0.0.0.0:9092",
            "advertised.listeners cannot use 0.0.0.0",
        ),
        (
            "advertised.listeners=SSL://a:9092",
            "names SSL, which is not a listener of this broker",
        ),
    ] {
        let message = refused(text);
        assert!(message.contains(part), "{text}: {message}");
    }
    let (config, _) = accepted(
        "listeners=plaintext://127.0.0.1:9092,LAN://[::1]:9092\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,LAN:PLAINTEXT\nadvertised.listeners=LAN://node01:1",
    );
    let names: Vec<&str> = config.listeners.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names, ["PLAINTEXT", "LAN"]);
    assert_eq!(config.listeners[1].host, "::1");
    assert_eq!(config.advertised[0].host, "127.0.0.1");
    assert_eq!(
        (config.advertised[1].host.as_str(), config.advertised[1].port),
        ("node01", 1)
    );
}

#[test] // The file of a single combined node of Kafka 4 works: its controller listener is not opened.
fn combined_nodes_file_is_accepted() {
    let text = "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@localhost:9093\n\
        listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n\
        advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
        controller.listener.names=CONTROLLER\n\
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL\n\
        num.network.threads=3\nlog.dirs=/tmp/kraft-combined-logs\n";
    let (config, warnings) = accepted(text);
    assert_eq!(
        (
            config.broker_id,
            config.listeners.len(),
            config.advertised[0].host.as_str()
        ),
        (1, 1, "localhost")
    );
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("listener CONTROLLER is for the controller quorum"),
        "{warnings:?}"
    );
    let alone = refused("process.roles=controller\nlisteners=CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER");
    assert!(
        alone.contains("neither controller.quorum.voters nor controller.quorum.bootstrap.servers names a node"),
        "{alone}"
    );
    assert!(refused("node.id=1\nbroker.id=2").contains("two names of one number"));
}

const THREE: &str = "node.id=2\ncontroller.quorum.voters=1@a:9093,3@c:9093,2@b:9093\n";
const CONTROLLER: &str = "controller.listener.names=CONTROLLER\nlisteners=PLAINTEXT://:9092,CONTROLLER://:9093\n";

#[test] // Several voters make a node of a cluster, which opens its controller listener.
fn several_voters_make_a_quorum() {
    let (config, warnings) = accepted(&format!("{THREE}{CONTROLLER}process.roles=broker,controller\n"));
    let quorum = config.quorum.expect("three voters");
    let voters: Vec<_> = quorum
        .voters
        .iter()
        .map(|voter| (voter.id, voter.host.as_str()))
        .collect();
    assert_eq!(voters, [(1, "a"), (2, "b"), (3, "c")]);
    assert_eq!(
        (quorum.listener_name.as_str(), quorum.listener.map(|spec| spec.port)),
        ("CONTROLLER", Some(9093))
    );
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(warnings, [""; 0]);
}

#[test] // What cannot be a quorum is refused with the cure.
fn a_quorum_that_cannot_be_is_refused() {
    assert!(refused(THREE).contains("add CONTROLLER://:9093 to listeners"));
    let others = THREE.replace("node.id=2", "node.id=4");
    assert!(refused(&format!("{others}{CONTROLLER}")).contains("does not name this node, 4"));
    let roles = "process.roles=controller\n";
    assert!(refused(&format!("{THREE}{CONTROLLER}{roles}")).contains("and process.roles=controller serves no clients"));
    let map = "listener.security.protocol.map=CONTROLLER:SSL,PLAINTEXT:PLAINTEXT\n";
    assert!(refused(&format!("{THREE}{CONTROLLER}{map}")).contains("listener CONTROLLER asks for SSL"));
    for (voters, why) in [
        ("1@a:1,1@b:1", "names node 1 twice"),
        ("1@a:1,2", "no @"),
        ("1@a:1,2@b", "no port"),
        ("1@a:1,2@:1", "no host"),
        ("1@a:1,-2@b:1", "the id is negative"),
    ] {
        let text = format!("node.id=1\ncontroller.quorum.voters={voters}\n{CONTROLLER}");
        assert!(refused(&text).contains(why), "{voters}");
    }
}

#[test] // A broker that is no controller follows those that are named; it opens no listener for them.
fn a_broker_only_is_an_observer() {
    const OBSERVER: &str = "process.roles=broker\nnode.id=4\n";
    const NAMED: &str = "controller.quorum.voters=1@a:9093,2@b:9093,3@c:9093\n";
    const NAME: &str = "controller.listener.names=controller\n";
    let (config, warnings) = accepted(&format!("{OBSERVER}{NAMED}{NAME}"));
    let quorum = config.quorum.expect("three voters");
    assert!(quorum.is_observer());
    assert_eq!(
        (
            quorum.voters.len(),
            quorum.listener_name.as_str(),
            config.listeners.len()
        ),
        (3, "CONTROLLER", 1)
    );
    assert_eq!(warnings, [""; 0]);
    let servers = "controller.quorum.bootstrap.servers=a:9093,[::1]:9094\n";
    let (config, warnings) = accepted(&format!("{OBSERVER}{servers}{NAME}"));
    let found = config.quorum.expect("servers").bootstrap;
    assert_eq!(found, [("a".to_owned(), 9093), ("::1".to_owned(), 9094)]);
    assert_eq!(warnings, [""; 0]);
    let alone = accepted("node.id=1\ncontroller.quorum.bootstrap.servers=localhost:9093\n").1;
    assert!(alone[0].contains("and keeps its metadata alone"), "{alone:?}");
    let (config, noted) = accepted(&format!("{OBSERVER}controller.quorum.voters=1@a:9093\n{NAME}"));
    assert!(config.quorum.is_some_and(|quorum| quorum.is_observer()));
    assert!(
        noted[0].contains("names node 1 only: it answers others if"),
        "{noted:?}"
    );
    for (text, why) in [
        (format!("node.id=1\n{servers}"), "add CONTROLLER://:9093 to listeners"),
        (
            format!("{OBSERVER}{NAME}"),
            "nor controller.quorum.bootstrap.servers names any",
        ),
        (
            format!("{OBSERVER}{NAME}controller.quorum.bootstrap.servers=a:9093,b\n"),
            "\"b\": no port; write host:port",
        ),
        (
            format!("{OBSERVER}{NAME}controller.quorum.bootstrap.servers=a:9093,:9093\n"),
            "\":9093\" lacks its host",
        ),
        (
            format!("{OBSERVER}{NAMED}{NAME}node.id=3\n"),
            "controller.quorum.voters names this node, 3",
        ),
        (
            format!("{OBSERVER}{NAMED}{CONTROLLER}"),
            "listeners has CONTROLLER, which controller.listener.names names",
        ),
        (format!("{OBSERVER}{NAMED}"), "needs controller.listener.names"),
        (
            format!("{OBSERVER}{NAMED}{NAME}listener.security.protocol.map=CONTROLLER:SSL,PLAINTEXT:PLAINTEXT\n"),
            "listener CONTROLLER asks for SSL",
        ),
        (
            format!("{OBSERVER}{NAMED}{NAME}inter.broker.listener.name=LAN\n"),
            "is LAN, which is not a listener",
        ),
    ] {
        let refused = refused(&text);
        assert!(refused.contains(why), "{refused}");
    }
}

#[test] // The file that Kafka 4 comes with begins a quorum, on the listener that it advertises.
fn servers_make_a_controller_one_of_a_quorum_that_grows() {
    const SERVERS: &str = "controller.quorum.bootstrap.servers=localhost:9093\n";
    let shipped = format!(
        "process.roles=broker,controller\nnode.id=1\n{SERVERS}listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n\
         inter.broker.listener.name=PLAINTEXT\nadvertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
         controller.listener.names=CONTROLLER\n"
    );
    let (config, warnings) = accepted(&shipped);
    let quorum = config.quorum.expect("servers");
    let advertised = quorum.advertised.as_ref().expect("a controller");
    assert_eq!((advertised.host.as_str(), advertised.port), ("localhost", 9093));
    assert!(quorum.is_dynamic && quorum.is_broker() && quorum.voters.is_empty());
    assert_eq!(warnings, [""; 0]);
    for (text, is_dynamic) in [
        // Unset roles are both; a host that is left out is this machine.
        (format!("node.id=1\n{SERVERS}{CONTROLLER}"), true),
        (
            format!("node.id=4\n{SERVERS}{CONTROLLER}controller.quorum.voters=1@a:1,2@b:1\n"),
            true,
        ),
        (
            format!("node.id=1\n{SERVERS}{CONTROLLER}controller.quorum.voters=1@a:1,2@b:1\n"),
            false,
        ),
    ] {
        let quorum = accepted(&text).0.quorum.expect("a quorum");
        assert_eq!(quorum.is_dynamic, is_dynamic, "{text}");
        assert_eq!(quorum.advertised.map(|spec| spec.host), Some(String::new()));
    }
    let controller =
        "process.roles=controller\nlisteners=CONTROLLER://0.0.0.0:9093\ncontroller.listener.names=CONTROLLER\n";
    for named in [SERVERS, "controller.quorum.voters=1@localhost:9093\n"] {
        let quorum = accepted(&format!("node.id=1\n{named}{controller}"))
            .0
            .quorum
            .expect("a quorum");
        assert!(quorum.is_dynamic && !quorum.is_broker());
        assert_eq!(quorum.advertised.map(|spec| spec.host), Some(String::new()));
    }
}

#[test] // A controller only has no listener for clients, and names its own among the voters.
fn a_controller_only_serves_no_clients() {
    let file = format!(
        "{THREE}process.roles=controller\nlisteners=CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\n"
    );
    let (config, warnings) = accepted(&file);
    let quorum = config.quorum.expect("three voters");
    assert!(!quorum.is_broker() && !quorum.is_observer());
    assert_eq!((config.listeners.len(), config.advertised.len()), (0, 0));
    assert_eq!(warnings, [""; 0]);
    let servers = "controller.quorum.bootstrap.servers=a:9093\n";
    let noted = accepted(&format!("{file}{servers}")).1;
    assert!(noted[0].contains("bootstrap.servers has no effect"), "{noted:?}");
}

#[test] // Brokers of a cluster find each other on a listener that there is.
fn brokers_of_a_cluster_have_a_listener_in_common() {
    let listeners = "controller.listener.names=CONTROLLER\nlisteners=LAN://:1,CONTROLLER://:2\n\
        listener.security.protocol.map=LAN:PLAINTEXT\n";
    assert!(refused(&format!("{THREE}{listeners}")).contains("is PLAINTEXT, which is not a listener"));
    accepted(&format!("{THREE}{listeners}inter.broker.listener.name=lan\n"));
}

#[test] // A key that is set twice counts once: the last line wins, and the earlier one is not even checked.
fn last_line_wins() {
    let (config, warnings) = accepted("num.partitions=none\nnum.partitions=4\n");
    assert_eq!(config.num_partitions, 4);
    assert_eq!(
        warnings,
        ["line 1: num.partitions is set again in line 2: that line wins"]
    );
    let mut properties = Properties::parse("num.partitions=4\n");
    properties.set("num.partitions", "6");
    let (config, problems) = BrokerConfig::resolve(&properties).expect("accepted");
    assert_eq!((config.num_partitions, problems), (6, vec![]));
}

#[test] // A key without effect is accepted, and says so unless it stands at its default.
fn keys_without_effect_say_so() {
    let (_, warnings) = accepted("num.io.threads=16\n");
    assert_eq!(warnings, ["line 1: num.io.threads is accepted and has no effect yet"]);
    assert_eq!(accepted("num.io.threads=8\n").1, [""; 0]);
    assert!(accepted("log.flush.interval.messages=10").1[0].contains("takes effect as 1 only"));
    assert_eq!(accepted("log.cleanup.policy=compact").1, [""; 0]);
}

#[test] // Coordinators' topics can be created whatever Kafka's keys let through; it is said what is taken.
fn small_segments_of_coordinators_topics_are_raised() {
    let (config, warnings) =
        accepted("offsets.topic.segment.bytes=1000\ntransaction.state.log.segment.bytes=2000000\n");
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("line 1: offsets.topic.segment.bytes is 1000, and a topic's segments"),
        "{warnings:?}"
    );
    let created = [config.groups.topic_configs(), config.transactions.topic_configs()];
    let bytes = created.each_ref().map(|configs| configs["segment.bytes"].clone());
    assert_eq!(bytes, [Some("1048576".to_owned()), Some("2000000".to_owned())]);
    for configs in created {
        let set = configs
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect();
        assert_eq!(check_topic_configs(&set), Ok(()));
    }
    assert_eq!(accepted("offsets.topic.segment.bytes=1048576").1, [""; 0]);
}

#[test] // What is logged is checked like any other value.
fn log_levels_are_checked() {
    let (config, warnings) = accepted("log.level=warn,corelane.storage=debug");
    assert_eq!(
        (config.log_levels, warnings.len()),
        ("warn,corelane.storage=debug".parse().expect("levels"), 0)
    );
    assert!(refused("log.level=loud").starts_with("line 1: log.level: \"loud\" is no level"));
}

#[test] // Unless told otherwise, the caches share an eighth of the memory; a small machine has the least that serves.
fn caches_grow_with_the_memory() {
    let cache_bytes = |text, memory, shards| {
        let mut config = accepted(text).0;
        config.share_memory(memory, shards);
        config.shard_cache_bytes
    };
    assert_eq!(cache_bytes("", 32 << 30, 4), 1 << 30);
    assert_eq!(cache_bytes("", 1 << 30, 4), 64 << 20);
    assert_eq!(cache_bytes("shard.cache.bytes=1000", 32 << 30, 4), 1000);
}

#[test] // Our own keys: cores as ranges.
fn shard_cpus_are_ranges() {
    assert_eq!(accepted("shard.cpus=5,0-3").0.shard_cpus, Some(vec![0, 1, 2, 3, 5]));
    assert_eq!(accepted("shard.count=2").0.shard_count, Some(2));
    assert!(refused("shard.cpus=0,1\nshard.count=3").contains("each shard needs a core"));
    for text in ["shard.cpus=3-1", "shard.cpus=a", "shard.cpus=0-99999999"] {
        assert!(refused(text).contains("no core or range of cores"));
    }
}

#[test] // Options for a JVM in the environment are noticed once, all together.
fn jvm_variables_are_noticed_once() {
    let variables = ["KAFKA_OPTS", "PATH", "KAFKA_HEAP_OPTS"].map(|name| (name.to_string(), "-Xmx6g".to_string()));
    let problems = environment_problems(variables);
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0]
            .to_string()
            .starts_with("KAFKA_HEAP_OPTS, KAFKA_OPTS: ignored, there is no JVM")
    );
    assert!(environment_problems([]).is_empty());
}

#[test] // config/server.properties is what the table says. UPDATE_CONFIG=1 writes it anew.
fn server_properties_follows_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/server.properties");
    if std::env::var_os("UPDATE_CONFIG").is_some() {
        std::fs::write(path, server_properties()).expect("written");
    }
    let text = std::fs::read_to_string(path).expect("there");
    assert!(
        text == server_properties(),
        "run UPDATE_CONFIG=1 cargo test --lib server_properties"
    );
}

#[test] // The file as delivered starts a broker on loopback, and every line of it is legal when set.
fn server_properties_starts_a_broker() {
    let (config, warnings) = accepted(&server_properties());
    let embedded = BrokerConfig::embedded(Path::new("./data"));
    assert_eq!(
        (config.listeners, config.log_dirs),
        (embedded.listeners, embedded.log_dirs)
    );
    assert_eq!((config.set, warnings), (embedded.set, vec![]));
    for key in BROKER_KEYS
        .iter()
        .filter(|key| matches!(key.origin, Origin::Kafka | Origin::Own))
    {
        assert!(server_properties().contains(&format!("{}=", key.name)), "{}", key.name);
    }
}
