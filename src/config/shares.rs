//! The resolved keys of share groups, and of the topic that keeps their state.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::record::Compression;

use super::values::Values;

/// Where a share group begins to read a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareReset {
    Earliest,
    Latest,
    /// At the first record that is not older than this.
    Before(Duration),
}

#[derive(Clone, Debug)]
pub struct ShareConfig {
    pub heartbeat_interval: Duration,
    /// Times that a record is offered.
    pub deliveries_max: i16,
    /// For how long a record belongs to the member that was offered it.
    pub lock: Duration,
    /// Offsets of one partition that may be in flight.
    pub in_flight_max: i64,
    pub reset: ShareReset,
    pub read_committed: bool,
    /// Whether members may ask for more time.
    pub renewals: bool,
    /// Share sessions that the broker remembers.
    pub sessions_max: usize,
    /// How long an answer may wait for what is written of the state.
    pub write_timeout: Duration,
    /// The codec that the state is written in.
    pub compression: Compression,
    pub topic_partitions: i32,
    pub topic_replication_factor: i16,
    pub topic_min_insync_replicas: i32,
    pub topic_segment_bytes: i32,
}

impl ShareConfig {
    pub(super) fn read(values: &Values<'_>) -> ShareConfig {
        let millis = |key| Duration::from_millis(u64::try_from(values.int(key)).unwrap_or(0));
        let size = |key| usize::try_from(values.int(key)).unwrap_or(0);
        let short = |key| i16::try_from(values.int(key)).unwrap_or(1);
        let codec = u8::try_from(values.int("share.coordinator.state.topic.compression.codec")).unwrap_or(0);
        ShareConfig {
            heartbeat_interval: millis("group.share.heartbeat.interval.ms"),
            deliveries_max: short("group.share.delivery.count.limit"),
            lock: millis("group.share.record.lock.duration.ms"),
            in_flight_max: values.int("group.share.partition.max.record.locks").into(),
            reset: ShareReset::Latest,
            read_committed: false,
            renewals: true,
            sessions_max: size("group.share.max.share.sessions"),
            write_timeout: millis("share.coordinator.write.timeout.ms"),
            compression: Compression::from_bits(codec).unwrap_or(Compression::None),
            topic_partitions: values.int("share.coordinator.state.topic.num.partitions"),
            topic_replication_factor: short("share.coordinator.state.topic.replication.factor"),
            topic_min_insync_replicas: values.int("share.coordinator.state.topic.min.isr"),
            topic_segment_bytes: values.segment_bytes("share.coordinator.state.topic.segment.bytes"),
        }
    }

    /// With what one group has set for itself. A value that is not good for anything changes nothing.
    pub fn with_group(&self, set: &BTreeMap<String, String>) -> ShareConfig {
        let mut config = self.clone();
        for (name, value) in set {
            let number = value.trim().parse::<i64>().ok();
            match (name.as_str(), number) {
                ("share.delivery.count.limit", Some(count)) => {
                    config.deliveries_max = i16::try_from(count).unwrap_or(config.deliveries_max);
                }
                ("share.record.lock.duration.ms", Some(ms)) => {
                    config.lock = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
                }
                ("share.partition.max.record.locks", Some(count)) => config.in_flight_max = count,
                ("share.auto.offset.reset", _) => config.reset = ShareReset::parse(value).unwrap_or(config.reset),
                ("share.isolation.level", _) => config.read_committed = value.trim() == "read_committed",
                ("share.renew.acknowledge.enable", _) => config.renewals = value.trim().eq_ignore_ascii_case("true"),
                _ => {}
            }
        }
        config
    }

    /// The configs that the topic of share groups' state is created with.
    pub fn topic_configs(&self) -> BTreeMap<String, Option<String>> {
        let segment_bytes = self.topic_segment_bytes.to_string();
        let min_insync_replicas = self.topic_min_insync_replicas.to_string();
        let configs = [
            ("cleanup.policy", "compact"),
            ("compression.type", "producer"),
            ("min.insync.replicas", &min_insync_replicas),
            ("segment.bytes", &segment_bytes),
        ];
        configs
            .map(|(key, value)| (key.to_string(), Some(value.to_string())))
            .into()
    }
}

impl ShareReset {
    /// //= KIP-1106: by_duration: and a duration as in ISO 8601, in days and smaller units
    pub(super) fn parse(text: &str) -> Option<ShareReset> {
        let text = text.trim();
        match text.to_ascii_lowercase().as_str() {
            "earliest" => Some(ShareReset::Earliest),
            "latest" => Some(ShareReset::Latest),
            lower => duration(lower.strip_prefix("by_duration:")?).map(ShareReset::Before),
        }
    }
}

/// `p1dt2h3m4.5s`; every part may be missing, but not all of them.
fn duration(text: &str) -> Option<Duration> {
    let rest = text.strip_prefix('p')?;
    let (days, times) = match rest.split_once('t') {
        Some((_, "")) => return None,
        Some((days, times)) => (days, times),
        None => (rest, ""),
    };
    if days.is_empty() && times.is_empty() {
        return None;
    }
    let mut seconds = parts(days, &[('d', 86_400.0)])?;
    seconds += parts(times, &[('h', 3_600.0), ('m', 60.0), ('s', 1.0)])?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Numbers, each with one of the units behind it, in the order of the units.
fn parts(text: &str, units: &[(char, f64)]) -> Option<f64> {
    let (mut rest, mut sum) = (text, 0.0);
    for (unit, seconds) in units {
        if let Some((number, behind)) = rest.split_once(*unit) {
            sum += number.parse::<f64>().ok().filter(|number| *number >= 0.0)? * seconds;
            rest = behind;
        }
    }
    rest.is_empty().then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Kafka takes for a place to begin, and nothing else.
    #[test]
    fn resets_are_read_as_kafka_reads_them() {
        let before = |seconds| Some(ShareReset::Before(Duration::from_secs_f64(seconds)));
        assert_eq!(ShareReset::parse("earliest"), Some(ShareReset::Earliest));
        assert_eq!(ShareReset::parse("LATEST"), Some(ShareReset::Latest));
        assert_eq!(ShareReset::parse("by_duration:PT1H"), before(3_600.0));
        assert_eq!(ShareReset::parse("by_duration:P2DT1M0.5S"), before(172_860.5));
        for wrong in [
            "none",
            "by_duration:",
            "by_duration:P",
            "by_duration:PT",
            "by_duration:PT-1H",
            "by_duration:1H",
        ] {
            assert_eq!(ShareReset::parse(wrong), None, "{wrong}");
        }
    }
}
