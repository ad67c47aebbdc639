//! What is wrong, and what to do about it: a table of looks, for the status page and `corelane top`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Sources;
use super::prometheus::{is_under_min_isr, is_under_replicated};
use crate::metadata::{PartitionState, Topic};
use crate::metrics::Metric;
use crate::rt::host;
use crate::storage::LogDir;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Data or availability are at risk.
    Critical,
    Warning,
}

/// One thing that an operator can act on.
#[derive(Debug)]
pub struct Finding {
    pub severity: Severity,
    pub what: String,
    pub cure: &'static str,
}

/// Names in one finding.
const NAMED_MAX: usize = 10;

type Look = (Severity, &'static str, fn(&Sources) -> Option<String>);

/// (how bad, what to do, what there is to say).
const LOOKS: &[Look] = &[
    (
        Severity::Critical,
        "The process is ended by itself after shard.hang.abort.ms; look at the log and the disk's health (dmesg).",
        |sources| match sources.pulse.standing().as_slice() {
            [] => None,
            standing => Some(format!("shards that stand still: {standing:?}")),
        },
    ),
    (
        Severity::Critical,
        "Its partitions are not served. Look at dmesg and SMART, mend or replace the disk, then restart the broker.",
        |sources| named_dirs(sources, "log directories offline", LogDir::is_offline),
    ),
    (
        Severity::Critical,
        "Produce is refused there, fetches go on. Shorten retention, delete topics, or add space: it comes back by itself.",
        |sources| named_dirs(sources, "log directories full", LogDir::is_full),
    ),
    (
        Severity::Critical,
        "The log says why each could not be opened. For want of space: once there is some; else at a restart.",
        |sources| {
            let failed = sources.registry.total(Metric::PartitionsFailed);
            (failed > 0).then(|| format!("{failed} partitions are not served"))
        },
    ),
    (
        Severity::Critical,
        "Their replicas are down: start those brokers.",
        |sources| {
            partitions(sources, "partitions without a leader", |_, state| {
                state.leader.is_none()
            })
        },
    ),
    (
        Severity::Critical,
        "Topics cannot be changed, nor leaders elected. A majority of the nodes in controller.quorum.voters must run and reach each other.",
        |sources| {
            let image = sources.image()?;
            let is_member = sources.registry.control().quorum().is_some();
            let is_headless = is_member && (image.controller.is_none() || !sources.is_heard());
            is_headless.then(|| "no controller is heard from, and nothing can be written here".to_owned())
        },
    ),
    (
        Severity::Critical,
        "acks=all is refused there: start the brokers that are down, or lower min.insync.replicas.",
        |sources| partitions(sources, "partitions below min.insync.replicas", is_under_min_isr),
    ),
    (
        Severity::Warning,
        "They are down, or cannot reach the controller: look at each one's service and log. The operator's guide says how one \
         that is lost for good is replaced.",
        |sources| {
            let image = sources.image()?;
            let fenced = image.brokers.values().filter(|broker| broker.fenced);
            let fenced: Vec<_> = fenced.map(|broker| broker.id.0.to_string()).collect();
            (!fenced.is_empty()).then(|| format!("brokers that take no part: {}", fenced.join(", ")))
        },
    ),
    (
        Severity::Warning,
        "Look for brokers that are down or slow, and for a network or disk at its limit.",
        |sources| {
            partitions(sources, "under-replicated partitions", |_, state| {
                is_under_replicated(state)
            })
        },
    ),
    (
        Severity::Warning,
        "Raise max.connections or max.connections.per.ip, or find the client that opens so many.",
        |sources| {
            let refused = sources.registry.total(Metric::ConnectionsRefused);
            (refused > 0).then(|| format!("{refused} connections were refused since the start"))
        },
    ),
    (
        Severity::Warning,
        "Raise LimitNOFILE in the unit (ulimit -n): every connection and every segment needs one.",
        |_| {
            let used = host::usage();
            let near = used.max_fds > 0 && used.open_fds > used.max_fds / 10 * 8;
            near.then(|| format!("{} of {} file descriptors are open", used.open_fds, used.max_fds))
        },
    ),
    (
        Severity::Warning,
        "Ask for their state by `corelane consumer-groups --describe --group NAME`; what nobody needs any more is deleted by --delete.",
        |sources| match sources.group_watch.standing().as_slice() {
            [] => None,
            standing => Some(format!(
                "groups that have committed nothing for five minutes, with something to read: {}",
                named(standing)
            )),
        },
    ),
    (
        Severity::Warning,
        "Their producers are gone without an end: `corelane transactions find-hanging` names them, and abort ends them.",
        |sources| {
            let late = sources.registry.total(Metric::LateTransactions);
            (late > 0).then(|| format!("{late} partitions with a transaction that does not end"))
        },
    ),
    (
        Severity::Warning,
        "The status page and `corelane doctor` tell each one's reason and cure; `tune plan` shows what `tune apply` would set.",
        |sources| {
            let wrong: Vec<_> = sources
                .settings
                .get()?
                .iter()
                .filter(|found| found.is_wrong())
                .map(|found| found.id.as_str())
                .collect();
            (!wrong.is_empty()).then(|| {
                format!(
                    "settings of this machine that cost speed or safety: {}",
                    wrong.join(", ")
                )
            })
        },
    ),
];

/// What is wrong now, the worst first.
pub fn findings(sources: &Sources) -> Vec<Finding> {
    let found = |(severity, cure, look): &Look| {
        look(sources).map(|what| Finding {
            severity: *severity,
            what,
            cure,
        })
    };
    LOOKS.iter().filter_map(found).collect()
}

impl Finding {
    pub fn json(&self) -> Value {
        let severity = match self.severity {
            Severity::Critical => "critical",
            Severity::Warning => "warning",
        };
        json!({"severity": severity, "what": self.what, "cure": self.cure})
    }
}

/// The first ones, and how many more there are.
fn named(names: &[Arc<str>]) -> String {
    let mut text = names
        .iter()
        .take(NAMED_MAX)
        .map(AsRef::as_ref)
        .collect::<Vec<&str>>()
        .join(", ");
    if names.len() > NAMED_MAX {
        text += &format!(" and {} more", names.len() - NAMED_MAX);
    }
    text
}

fn named_dirs(sources: &Sources, what: &str, is: fn(&LogDir) -> bool) -> Option<String> {
    let dirs = &sources.dirs.get()?.dirs;
    let named: Vec<_> = dirs
        .iter()
        .filter(|dir| is(dir))
        .map(|dir| dir.path.to_string_lossy())
        .collect();
    (!named.is_empty()).then(|| format!("{what}: {}", named.join(", ")))
}

fn partitions(sources: &Sources, what: &str, holds: fn(&Topic, &PartitionState) -> bool) -> Option<String> {
    let image = sources.image()?;
    let of_topic = |topic: &Arc<Topic>| topic.partitions.iter().filter(|state| holds(topic, state)).count();
    let count: usize = image.topics.values().map(of_topic).sum();
    (count > 0).then(|| format!("{count} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::testing;

    /// A healthy broker has none; what is wrong is named with its cure, the worst first.
    #[test]
    fn what_is_wrong_comes_with_a_cure() {
        let (sources, _) = testing::sources(&[("a", 1)]);
        assert!(findings(&sources).is_empty());
        sources.registry.shard(0).add(Metric::ConnectionsRefused, 3);
        sources.dirs.get().expect("set").dirs[0].set_offline("a test");
        let found = findings(&sources);
        let severities: Vec<_> = found.iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [Severity::Critical, Severity::Warning]);
        assert!(found[0].what.starts_with("log directories offline: /"));
        assert!(LOOKS.is_sorted_by_key(|look| look.0));
    }
}
