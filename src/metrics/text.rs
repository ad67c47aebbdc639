//! Prometheus text (format 0.0.4), derived from the tables.

use std::fmt::Write;

use super::{METRICS, MetricKind, Registry, STAGES, Snapshot};

/// Upper bounds of the exported buckets, in nanoseconds, and as Prometheus writes them.
const BOUNDS: &[(u64, &str)] = &[
    (10_000, "0.00001"),
    (25_000, "0.000025"),
    (50_000, "0.00005"),
    (100_000, "0.0001"),
    (250_000, "0.00025"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (2_500_000_000, "2.5"),
    (5_000_000_000, "5"),
    (10_000_000_000, "10"),
    (30_000_000_000, "30"),
];

/// An exposition in the making. Samples follow the head of their family.
#[derive(Debug, Default)]
pub struct Text {
    text: String,
    family: String,
}

/// A sample's labels, ready to print: made once where many families have the same.
#[derive(Clone, Debug, Default)]
pub struct Labels(String);

impl Labels {
    pub fn new(pairs: &[(&str, &str)]) -> Labels {
        let mut labels = Labels::default();
        pairs.iter().for_each(|(name, value)| labels.push(name, value));
        labels
    }

    fn push(&mut self, name: &str, value: &str) {
        let separator = if self.0.is_empty() { "" } else { "," };
        self.0.push_str(separator);
        self.0.push_str(name);
        self.0.push_str("=\"");
        for letter in value.chars() {
            match letter {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                other => self.0.push(other),
            }
        }
        self.0.push('"');
    }
}

impl Text {
    /// One that is expected to become so long: megabytes need not be copied while it grows.
    pub fn with_capacity(bytes: usize) -> Text {
        Text {
            text: String::with_capacity(bytes),
            family: String::new(),
        }
    }

    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.family.clear();
        self.family.push_str(name);
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    pub fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, "gauge", help);
    }

    pub fn counter(&mut self, name: &str, help: &str) {
        self.family(name, "counter", help);
    }

    /// A sample of the current family.
    pub fn sample(&mut self, labels: &Labels, value: impl std::fmt::Display) {
        self.text.push_str(&self.family);
        if !labels.0.is_empty() {
            self.text.push('{');
            self.text.push_str(&labels.0);
            self.text.push('}');
        }
        self.put(format_args!(" {value}\n"));
    }

    /// The samples of one histogram of the current family.
    pub fn histogram(&mut self, labels: &Labels, snapshot: &Snapshot) {
        let (family, labels) = (std::mem::take(&mut self.family), &labels.0);
        for (nanos, shown) in BOUNDS {
            let below = snapshot.count_below(*nanos);
            self.put(format_args!("{family}_bucket{{{labels},le=\"{shown}\"}} {below}\n"));
        }
        let (count, sum) = (snapshot.count(), snapshot.sum_nanos as f64 / 1e9);
        self.put(format_args!("{family}_bucket{{{labels},le=\"+Inf\"}} {count}\n"));
        self.put(format_args!("{family}_sum{{{labels}}} {sum}\n"));
        self.put(format_args!("{family}_count{{{labels}}} {count}\n"));
        self.family = family;
    }

    /// A sample of the current family, which is a summary: one of its two parts.
    pub fn part(&mut self, end: &str, value: impl std::fmt::Display) {
        self.text.push_str(&self.family);
        self.put(format_args!("{end} {value}\n"));
    }

    pub fn finish(self) -> String {
        self.text
    }

    fn put(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.text
            .write_fmt(arguments)
            .expect("a string takes whatever is written");
    }
}

impl Registry {
    /// Every row of the tables, for those who have nothing but the registry.
    pub fn prometheus_text(&self) -> String {
        let mut text = Text::default();
        self.write_table(&mut text, |_, _| {});
        self.write_stages(&mut text);
        text.finish()
    }

    /// The table of metrics. Kafka's names have one sample for the broker, as in Kafka; our own one per shard. `more` may add
    /// samples to a family.
    pub fn write_table(&self, text: &mut Text, more: impl Fn(&mut Text, &str)) {
        let shards: Vec<Labels> = (0..self.shards().len()).map(shard_label).collect();
        for (metric, kind, name, help) in METRICS {
            text.family(name, kind.word(), help);
            if name.starts_with("corelane_") && *kind != MetricKind::BrokerGauge {
                for (labels, cells) in shards.iter().zip(self.shards()) {
                    match kind {
                        MetricKind::Seconds => text.sample(labels, cells.get(*metric) as f64 / 1e9),
                        _ => text.sample(labels, cells.get(*metric)),
                    }
                }
            } else {
                text.sample(&Labels::default(), self.total(*metric));
            }
            more(text, name);
        }
    }

    /// The histograms of the stages, per shard.
    pub fn write_stages(&self, text: &mut Text) {
        text.family("corelane_stage_duration_seconds", "histogram", &stages_help());
        for (shard, cells) in self.shards().iter().enumerate() {
            for (stage, name, _) in STAGES {
                let labels = Labels::new(&[("shard", &shard.to_string()), ("stage", name)]);
                text.histogram(&labels, &cells.stage(*stage));
            }
        }
    }
}

fn stages_help() -> String {
    let stages: Vec<String> = STAGES.iter().map(|(_, name, help)| format!("{name}: {help}")).collect();
    format!("Time per stage of requests. {}", stages.join(" "))
}

fn shard_label(shard: usize) -> Labels {
    Labels::new(&[("shard", &shard.to_string())])
}

impl MetricKind {
    fn word(self) -> &'static str {
        match self {
            MetricKind::Counter | MetricKind::Seconds => "counter",
            MetricKind::Gauge | MetricKind::BrokerGauge => "gauge",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Metric, Stage};

    #[test]
    fn rows_stand_in_the_order_of_their_variants_and_names_are_unique() {
        let mut names: Vec<_> = METRICS.iter().map(|row| row.2).collect();
        assert!(METRICS.iter().enumerate().all(|(at, row)| row.0 as usize == at));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }

    /// Kafka's names count the broker, ours count each shard.
    #[test]
    fn kafkas_names_are_summed_and_ours_are_per_shard() {
        let registry = Registry::new(2);
        for (shard, amount) in [(0, 3), (1, 4)] {
            registry.shard(shard).add(Metric::BytesIn, amount);
            registry.shard(shard).add(Metric::ShardTurns, amount);
        }
        assert_eq!(registry.total(Metric::BytesIn), 7);
        let text = registry.prometheus_text();
        assert!(text.contains("\nkafka_server_brokertopicmetrics_bytesin_total 7\n"));
        assert!(text.contains("\ncorelane_shard_turns_total{shard=\"0\"} 3\n"));
        assert!(text.contains("\ncorelane_shard_turns_total{shard=\"1\"} 4\n"));
    }

    /// Buckets are cumulative, end in +Inf, and agree with the count.
    #[test]
    fn histograms_are_cumulative() {
        let registry = Registry::new(1);
        for nanos in [9_000, 700_000, 700_000, 60_000_000_000] {
            registry.shard(0).record(Stage::Send, nanos);
        }
        let text = registry.prometheus_text();
        let bucket = |le| format!("corelane_stage_duration_seconds_bucket{{shard=\"0\",stage=\"send\",le=\"{le}\"}}");
        for (le, count) in [("0.00001", 1), ("0.0005", 1), ("0.001", 3), ("30", 3), ("+Inf", 4)] {
            assert!(text.contains(&format!("{} {count}\n", bucket(le))), "{le}");
        }
        assert!(text.contains("corelane_stage_duration_seconds_sum{shard=\"0\",stage=\"send\"} 60.001409\n"));
        assert!(text.contains("corelane_stage_duration_seconds_count{shard=\"0\",stage=\"send\"} 4\n"));
    }

    /// What a client chooses cannot break out of its label.
    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.gauge("x", "Help.");
        text.sample(&Labels::new(&[("a", "q\"u\\o\nte"), ("b", "ü")]), 1);
        assert!(text.finish().ends_with("x{a=\"q\\\"u\\\\o\\nte\",b=\"ü\"} 1\n"));
    }
}
