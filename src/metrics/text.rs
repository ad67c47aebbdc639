//! Prometheus text, derived from the table.
use super::{METRICS, MetricKind, Registry};

impl Registry {
    /// Every metric with its HELP and TYPE lines, one sample per shard.
    pub fn prometheus_text(&self) -> String {
        let mut text = String::new();
        for (metric, kind, name, help) in METRICS {
            let kind = match kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
            };
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            for (shard, cells) in self.shards().iter().enumerate() {
                text.push_str(&format!("{name}{{shard=\"{shard}\"}} {}\n", cells.get(*metric)));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::{METRICS, Metric, Registry};

    #[test]
    fn rows_stand_in_the_order_of_their_variants_and_names_are_unique() {
        let mut names: Vec<_> = METRICS.iter().map(|row| row.2).collect();
        assert!(METRICS.iter().enumerate().all(|(at, row)| row.0 as usize == at));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }

    #[test]
    fn text_has_a_sample_per_shard_and_totals_sum_them() {
        let registry = Registry::new(2);
        registry.shard(0).add(Metric::BytesIn, 3);
        registry.shard(1).add(Metric::BytesIn, 4);
        assert_eq!(registry.total(Metric::BytesIn), 7);
        let name = METRICS[Metric::BytesIn as usize].2;
        let text = registry.prometheus_text();
        assert!(text.contains(&format!("{name}{{shard=\"0\"}} 3\n")));
        assert!(text.contains(&format!("{name}{{shard=\"1\"}} 4\n")));
    }
}
