//! The cluster in a scrape: the controller's counts, the quorum, and how far followers are behind. What every node knows is
//! reported by every node, as Kafka's controllers do; what only the active one answers for, by that one, so that sums over
//! brokers are right.

use std::sync::Arc;

use super::{Served, is_led_by_another, is_preferred};
use crate::admin::Sources;
use crate::metadata::{BrokerState, Image, PartitionState};
use crate::metrics::{Labels, QuorumView, Text};
use crate::model::PartitionId;

type Gauge = (&'static str, &'static str, usize);

pub(super) fn write(text: &mut Text, sources: &Sources, image: &Image, served: &Served) {
    write_gauges(text, &of_cluster(image));
    let is_controller = image.controller == Some(sources.me()) && sources.is_heard();
    write_gauges(text, &of_controller(image, is_controller));
    write_control(text, sources);
    if let Some(view) = sources.registry.control().quorum() {
        write_quorum(text, &view);
    }
    write_commits(text, sources);
    write_lag(text, sources, image, served);
}

fn write_gauges(text: &mut Text, rows: &[Gauge]) {
    for (name, help, value) in rows {
        text.gauge(name, help);
        text.sample(&Labels::default(), value);
    }
}

fn states(image: &Image) -> impl Iterator<Item = &PartitionState> {
    image.topics.values().flat_map(|topic| &topic.partitions)
}

fn of_cluster(image: &Image) -> Vec<Gauge> {
    let brokers = |is: fn(&BrokerState) -> bool| image.brokers.values().filter(|broker| is(broker)).count();
    vec![
        (
            "kafka_brokers",
            "Brokers that are registered and not fenced.",
            brokers(|broker| !broker.fenced),
        ),
        (
            "kafka_controller_kafkacontroller_activebrokercount",
            "Brokers that are registered and not fenced.",
            brokers(|broker| !broker.fenced),
        ),
        (
            "kafka_controller_kafkacontroller_fencedbrokercount",
            "Brokers that are registered and fenced: not heard, or not ready yet.",
            brokers(|broker| broker.fenced),
        ),
        (
            "kafka_controller_kafkacontroller_globaltopiccount",
            "Topics of the cluster.",
            image.topics.len(),
        ),
        (
            "kafka_controller_kafkacontroller_globalpartitioncount",
            "Partitions of the cluster.",
            states(image).count(),
        ),
    ]
}

fn of_controller(image: &Image, is_controller: bool) -> Vec<Gauge> {
    let count = |is: fn(&PartitionState) -> bool| match is_controller {
        true => states(image).filter(|state| is(state)).count(),
        false => 0,
    };
    vec![
        (
            "kafka_controller_kafkacontroller_activecontrollercount",
            "1 on the active controller, while a majority hears it.",
            usize::from(is_controller),
        ),
        (
            "kafka_controller_kafkacontroller_offlinepartitionscount",
            "Partitions without a leader, as the active controller sees them.",
            count(|state| state.leader.is_none()),
        ),
        (
            "kafka_controller_kafkacontroller_preferredreplicaimbalancecount",
            "Partitions that another than the first replica leads, as the active controller sees them.",
            count(|state| !is_preferred(state)),
        ),
    ]
}

fn write_control(text: &mut Text, sources: &Sources) {
    let control = sources.registry.control();
    let elections = control.elections();
    for (name, help, value) in [
        (
            "kafka_controller_controllerstats_leaderelectionrateandtimems_count",
            "Leaders that this controller elected.",
            elections.all,
        ),
        (
            "kafka_controller_controllerstats_uncleanleaderelections_total",
            "Leaders that this controller elected and that were not in sync: records may have been lost.",
            elections.unclean,
        ),
        (
            "kafka_controller_controllerstats_electionfromeligibleleaderreplicas_total",
            "Leaders that this controller elected from the eligible replicas while none was in sync: nothing was lost.",
            elections.eligible,
        ),
        (
            "corelane_controller_listener_refused_total",
            "Connections to the controller listener that were refused: of no node of the cluster, or with messages that are none.",
            control.strangers(),
        ),
    ] {
        text.counter(name, help);
        text.sample(&Labels::default(), value);
    }
}

fn write_quorum(text: &mut Text, view: &QuorumView) {
    text.gauge(
        "kafka_server_raftmetrics_current_state",
        "Always 1: what this node is in the controller quorum.",
    );
    text.sample(&Labels::new(&[("current_state", view.role.name())]), 1);
    for (name, help, value) in [
        (
            "kafka_server_raftmetrics_current_leader",
            "The node that leads the controller quorum; -1 where this node knows of none.",
            view.leader.map_or(-1, i64::from),
        ),
        (
            "kafka_server_raftmetrics_current_epoch",
            "The epoch of the controller quorum.",
            clamped(view.epoch),
        ),
        (
            "kafka_server_raftmetrics_high_watermark",
            "The end of the quorum's log as far as a majority is known to hold it.",
            clamped(view.high_watermark),
        ),
        (
            "kafka_server_raftmetrics_log_end_offset",
            "The end of this node's copy of the quorum's log.",
            clamped(view.log_end),
        ),
    ] {
        text.gauge(name, help);
        text.sample(&Labels::default(), value);
    }
}

fn clamped(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The mean is what Kafka calls commit latency.
fn write_commits(text: &mut Text, sources: &Sources) {
    let commits = sources.registry.control().commits();
    text.family(
        "corelane_metadata_commit_seconds",
        "summary",
        "Time of commits to the metadata log, in a cluster until a majority has them; of this node while it is the controller.",
    );
    text.part("_sum", commits.time.as_secs_f64());
    text.part("_count", commits.count);
}

/// What this broker's followers lack of what consumers may see: the worst, and each by itself.
fn write_lag(text: &mut Text, sources: &Sources, image: &Image, served: &Served) {
    let me = sources.me();
    let mut rows = Vec::new();
    let mut worst = 0;
    for topic in image.topics.values() {
        for state in topic.partitions.iter().filter(|state| is_led_by_another(state, me)) {
            let id = PartitionId {
                topic: topic.id,
                index: state.index,
            };
            let Some(position) = served.get(&id) else { continue };
            worst = worst.max(position.lag);
            if rows.len() < sources.config.metrics_partitions_max {
                rows.push((lag_labels(&topic.name, state), position.lag));
            }
        }
    }
    text.gauge(
        "kafka_server_replicafetchermanager_maxlag",
        "The most records that a follower on this broker lacks of what consumers may see at its leader.",
    );
    text.sample(&Labels::default(), worst);
    text.gauge(
        "kafka_server_fetcherlagmetrics_consumerlag",
        "Records that this broker's follower of a partition lacks of what consumers may see at its leader.",
    );
    for (labels, lag) in &rows {
        text.sample(labels, lag);
    }
}

/// One fetcher per leader, by Kafka's name for it.
fn lag_labels(topic: &Arc<str>, state: &PartitionState) -> Labels {
    let leader = state.leader.map_or(-1, |leader| leader.0);
    Labels::new(&[
        ("clientId", &format!("ReplicaFetcherThread-0-{leader}")),
        ("partition", &state.index.to_string()),
        ("topic", topic),
    ])
}
