//! Names that files, notes and habits carry, and what to write instead.

use super::properties::ConfigProblem;

/// An unknown key this close to a real one is taken for a slip of the pen.
pub(super) const NEAR_MISS_MAX: usize = 2;
/// In a shorter name two letters are half of it.
pub(super) const NEAR_MISS_LEN_MIN: usize = 8;

/// What is known about an unknown key. The sentence goes after a colon.
pub(super) enum Hint {
    /// Meant for the broker, and wrong: refuse.
    Misspelt(&'static str),
    /// Right somewhere else, or once: warn.
    Elsewhere(&'static str),
}

pub(super) fn hint(name: &str) -> Option<Hint> {
    use Hint::{Elsewhere, Misspelt};
    Some(match name {
        "log.retention.hour" => Misspelt("one letter short of log.retention.hours"),
        "log.retention.minute" => Misspelt("one letter short of log.retention.minutes"),
        "log.segment.ms" => Misspelt("the broker's key is log.roll.ms (segment.ms is the topic's)"),
        "log.segment.hours" => Misspelt("the broker's key is log.roll.hours"),
        "num.recovery.threads,per.data.dir" => Misspelt("a comma for a dot in num.recovery.threads.per.data.dir"),
        "auto,create.topics.enable" => Misspelt("a comma for a dot in auto.create.topics.enable"),
        "retention.ms" | "retention.hours" | "retention.minutes" => {
            Elsewhere("a topic's key; the broker's are log.retention.ms, log.retention.minutes and log.retention.hours")
        }
        "retention.bytes" => Elsewhere("a topic's key; the broker's is log.retention.bytes"),
        "segment.bytes" => Elsewhere("a topic's key; the broker's is log.segment.bytes"),
        "segment.ms" => Elsewhere("a topic's key; the broker's is log.roll.ms"),
        "cleanup.policy" => Elsewhere("a topic's key; the broker's is log.cleanup.policy"),
        "max.message.bytes" => Elsewhere("a topic's key; the broker's is message.max.bytes"),
        "flush.messages" => Elsewhere("a topic's key; the broker's is log.flush.interval.messages"),
        "flush.ms" => Elsewhere("a topic's key; the broker's is log.flush.interval.ms"),
        "fetch.message.max.bytes" => {
            Elsewhere("a key of the 0.8 consumer; replica.fetch.max.bytes and fetch.max.bytes are the broker's")
        }
        "acks"
        | "batch.size"
        | "linger.ms"
        | "buffer.memory"
        | "max.block.ms"
        | "max.request.size"
        | "retries"
        | "key.serializer"
        | "value.serializer"
        | "max.in.flight.requests.per.connection"
        | "enable.idempotence" => Elsewhere("a producer's key, for the client's own configuration"),
        "group.id"
        | "auto.offset.reset"
        | "enable.auto.commit"
        | "auto.commit.interval.ms"
        | "max.poll.records"
        | "fetch.min.bytes"
        | "key.deserializer"
        | "value.deserializer" => Elsewhere("a consumer's key, for the client's own configuration"),
        "super.users" | "allow.everyone.if.no.acl.found" => {
            Elsewhere("a key of the authorizer, which is not served yet")
        }
        "bootstrap.servers" | "client.id" | "metadata.broker.list" => {
            Elsewhere("a client's key, for the client's own configuration")
        }
        _ => return None,
    })
}

/// What to say about a known key, or one value of it, beyond "no effect".
pub(super) fn remark(name: &str, value: &str) -> Option<&'static str> {
    Some(match name {
        "zookeeper.connect" => {
            "zookeeper.connect is ignored: brokers keep their metadata themselves; several are a cluster by controller.quorum.voters, the same on each"
        }
        "port" => "port is ignored: write it into listeners, as in listeners=PLAINTEXT://:9092",
        "host.name" => "host.name is ignored: write it into listeners, as in listeners=PLAINTEXT://<host>:9092",
        "advertised.host.name" | "advertised.port" => {
            "advertised.host.name and advertised.port are ignored: write advertised.listeners=PLAINTEXT://<host>:<port>"
        }
        "log.message.timestamp.difference.max.ms" => {
            "log.message.timestamp.difference.max.ms is ignored: write log.message.timestamp.before.max.ms and \
             log.message.timestamp.after.max.ms"
        }
        "log.flush.interval.messages" if !matches!(value.trim(), "1" | "9223372036854775807") => {
            "log.flush.interval.messages takes effect as 1 only (sync each write): any other value syncs no write"
        }
        _ => return None,
    })
}

/// Variables that Kafka's scripts pass to the JVM.
pub(super) const JVM_VARIABLES: [&str; 4] = [
    "KAFKA_HEAP_OPTS",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_OPTS",
    "KAFKA_JMX_OPTS",
];

/// One warning if the environment sets options for a JVM.
pub fn environment_problems(variables: impl IntoIterator<Item = (String, String)>) -> Vec<ConfigProblem> {
    let mut found: Vec<String> = variables.into_iter().map(|(name, _)| name).collect();
    found.retain(|name| JVM_VARIABLES.contains(&name.as_str()));
    found.sort();
    if found.is_empty() {
        return Vec::new();
    }
    let message = format!(
        "{}: ignored, there is no JVM; memory is set by the shard.*.bytes keys",
        found.join(", ")
    );
    vec![ConfigProblem::warning(None, message)]
}
