//! /metrics: the tables of `metrics`, and what follows from the image and the directories.
//!
//! Names: Kafka's as Strimzi's dashboards use them, kafka_exporter's for offsets, the process's as every exporter has them.
//! A partition is reported by the broker that leads it, so that sums over brokers are right.

mod replication;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Sources;
use super::groups::{groups, write_groups};
use crate::api;
use crate::metadata::{Image, PartitionState, Topic};
use crate::metrics::{Labels, LogPosition, Text, Traffic};
use crate::model::{BrokerId, PartitionId};
use crate::rt::host;
use crate::wire::ApiKey;

/// Answers, /v1's too, that may be on their way to clients at a time: with many partitions one is megabytes.
const RESPONSES_MAX: usize = 4;

pub async fn metrics(State(sources): State<Arc<Sources>>) -> Response {
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    in_its_place(content_type, || (StatusCode::OK, text(&sources)))
}

/// Makes the answer if there is a place for it, which it keeps until its last byte has gone.
pub(super) fn in_its_place(content_type: &'static str, answer: impl FnOnce() -> (StatusCode, String)) -> Response {
    let Some(place) = Place::take() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "other answers are still being read\n").into_response();
    };
    let (status, text) = answer();
    let body = Bytes::from_owner(Placed { text, _place: place });
    (status, [(header::CONTENT_TYPE, content_type)], body).into_response()
}

/// Gives its place up once the last byte has gone.
struct Placed {
    text: String,
    _place: Place,
}

impl AsRef<[u8]> for Placed {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

static TAKEN: LazyLock<AtomicUsize> = LazyLock::new(AtomicUsize::default);

struct Place;

impl Place {
    fn take() -> Option<Place> {
        let place = Place;
        // Over the limit the place is given back at once.
        (TAKEN.fetch_add(1, Ordering::Relaxed) < RESPONSES_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// About what a scrape takes without partitions, and for each of them.
const BYTES: usize = 64 << 10;
const PARTITION_BYTES: usize = 1 << 10;

pub(super) fn text(sources: &Sources) -> String {
    let served = served(sources);
    let mut text =
        Text::with_capacity(BYTES + served.len().min(sources.config.metrics_partitions_max) * PARTITION_BYTES);
    let image = sources.image();
    write_registry(&mut text, sources, image.as_deref());
    write_process(&mut text, sources);
    write_log_dirs(&mut text, sources);
    write_settings(&mut text, sources);
    write_groups(&mut text, &groups(sources, image.as_deref(), &served));
    if let Some(image) = image {
        replication::write(&mut text, sources, &image, &served);
        write_topics(&mut text, sources, &image);
        write_partitions(&mut text, sources, &image, &served);
    }
    text.finish()
}

fn write_registry(text: &mut Text, sources: &Sources, image: Option<&Image>) {
    let topics = topics(sources, image);
    sources.registry.write_table(text, |text, name| {
        let value: fn(&Traffic) -> u64 = match name {
            "kafka_server_brokertopicmetrics_bytesin_total" => |traffic| traffic.bytes_in,
            "kafka_server_brokertopicmetrics_bytesout_total" => |traffic| traffic.bytes_out,
            "kafka_server_brokertopicmetrics_messagesin_total" => |traffic| traffic.messages_in,
            _ => return,
        };
        for (topic, traffic) in &topics {
            text.sample(&Labels::new(&[("topic", topic)]), value(traffic));
        }
    });
    sources.registry.write_stages(text);
    text.family(
        "corelane_request_duration_seconds",
        "histogram",
        "Time of requests by API, from the whole frame to the answer that is ready to be sent; a long poll's wait is not in it.",
    );
    for (key, times) in sources.registry.requests() {
        text.histogram(&Labels::new(&[("api", api::name_of(ApiKey(key)))]), &times);
    }
}

/// What went through for each topic that is still there, by name.
pub(super) fn topics(sources: &Sources, image: Option<&Image>) -> BTreeMap<Arc<str>, Traffic> {
    let mut topics = BTreeMap::<Arc<str>, Traffic>::new();
    for ((id, _), cells) in sources.registry.topics().list() {
        let Some(topic) = image.and_then(|image| image.topic_by_id(&id)) else {
            continue;
        };
        let (more, traffic) = (cells.get(), topics.entry(topic.name.clone()).or_default());
        traffic.bytes_in += more.bytes_in;
        traffic.messages_in += more.messages_in;
        traffic.bytes_out += more.bytes_out;
    }
    topics
}

fn write_process(text: &mut Text, sources: &Sources) {
    let (used, none) = (host::usage(), Labels::default());
    let idle = sources.load.idle();
    text.counter("process_cpu_seconds_total", "User and system CPU time of the process.");
    text.sample(&none, used.cpu_seconds);
    let gauges: [(&str, &str, f64); 9] = [
        (
            "process_resident_memory_bytes",
            "Resident memory.",
            used.resident_bytes as f64,
        ),
        ("process_open_fds", "Open file descriptors.", used.open_fds as f64),
        (
            "process_max_fds",
            "Limit of open file descriptors.",
            used.max_fds as f64,
        ),
        (
            "kafka_server_kafkaserver_linux_disk_read_bytes",
            "Bytes that the process has had read from block devices.",
            used.disk_read_bytes as f64,
        ),
        (
            "kafka_server_kafkaserver_linux_disk_write_bytes",
            "Bytes that the process has had written to block devices.",
            used.disk_write_bytes as f64,
        ),
        (
            "kafka_network_socketserver_networkprocessoravgidle_percent",
            "Share of time, from 0 to 1, in which the shards wait for work.",
            idle,
        ),
        (
            "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent",
            "The same: a shard is network thread and request handler in one.",
            idle,
        ),
        (
            "corelane_ready",
            "1 while /readyz says ok.",
            f64::from(u8::from(sources.is_ready())),
        ),
        (
            "corelane_shards_standing",
            "Shards whose pump has not turned for three seconds.",
            sources.pulse.standing().len() as f64,
        ),
    ];
    for (name, help, value) in gauges {
        text.gauge(name, help);
        text.sample(&none, value);
    }
    text.gauge("corelane_build_info", "Always 1; the version is in the label.");
    text.sample(&Labels::new(&[("version", env!("CARGO_PKG_VERSION"))]), 1);
}

/// A sample for each setting of this machine, under its status.
fn write_settings(text: &mut Text, sources: &Sources) {
    text.gauge(
        "corelane_tuning_check",
        "Always 1: what a setting of this machine was at the start; `corelane doctor` has the cures.",
    );
    for found in sources.settings.get().into_iter().flatten() {
        text.sample(&Labels::new(&[("id", &found.id), ("status", found.status.name())]), 1);
    }
}

fn write_log_dirs(text: &mut Text, sources: &Sources) {
    let Some(dirs) = sources.dirs.get() else { return };
    let spaces: Vec<_> = dirs
        .dirs
        .iter()
        .map(|dir| (Labels::new(&[("log_dir", &dir.path.to_string_lossy())]), dir.space()))
        .collect();
    type Value = fn((u64, u64)) -> u64;
    let families: [(&str, &str, Value); 2] = [
        (
            "corelane_log_directory_free_bytes",
            "Free bytes of the file system of a log directory.",
            |space| space.0,
        ),
        (
            "corelane_log_directory_total_bytes",
            "Bytes of the file system of a log directory.",
            |space| space.1,
        ),
    ];
    for (name, help, value) in families {
        text.gauge(name, help);
        for (labels, space) in &spaces {
            text.sample(labels, value(*space));
        }
    }
}

fn write_topics(text: &mut Text, sources: &Sources, image: &Image) {
    text.gauge("kafka_topic_partitions", "Partitions of a topic.");
    for topic in image.topics.values().take(sources.config.metrics_partitions_max) {
        text.sample(&Labels::new(&[("topic", &topic.name)]), topic.partitions.len());
    }
}

/// A partition that this broker leads.
struct Row<'a> {
    labels: Labels,
    topic: &'a Topic,
    state: &'a PartitionState,
    position: LogPosition,
}

/// One family with a sample per partition.
type Family = (&'static str, &'static str, fn(&Row<'_>) -> i64);

const FAMILIES: &[Family] = &[
    (
        "kafka_topic_partition_current_offset",
        "The next offset that consumers will see.",
        |row| row.position.high_watermark,
    ),
    (
        "kafka_topic_partition_oldest_offset",
        "The oldest offset that is kept.",
        |row| row.position.log_start,
    ),
    ("kafka_topic_partition_in_sync_replica", "Replicas in sync.", |row| {
        row.state.isr.len() as i64
    }),
    ("kafka_topic_partition_replicas", "Replicas assigned.", |row| {
        row.state.replicas.len() as i64
    }),
    ("kafka_topic_partition_leader", "The leading broker's id.", |row| {
        row.state.leader.map_or(-1, |leader| leader.0.into())
    }),
    (
        "kafka_topic_partition_leader_is_preferred",
        "1 where the first replica leads.",
        |row| is_preferred(row.state).into(),
    ),
    (
        "kafka_topic_partition_under_replicated_partition",
        "1 where fewer replicas are in sync than assigned.",
        |row| is_under_replicated(row.state).into(),
    ),
    (
        "kafka_cluster_partition_underminisr",
        "1 where fewer replicas are in sync than min.insync.replicas.",
        |row| is_under_min_isr(row.topic, row.state).into(),
    ),
    (
        "kafka_cluster_partition_atminisr",
        "1 where exactly min.insync.replicas are in sync.",
        |row| (row.state.isr.len() == row.topic.min_isr(row.state.replicas.len())).into(),
    ),
    ("kafka_log_log_size", "Bytes of a partition's log.", |row| {
        row.position.size_bytes as i64
    }),
];

/// The positions of the partitions that are served here.
pub(super) type Served = BTreeMap<PartitionId, LogPosition>;

pub(super) fn served(sources: &Sources) -> Served {
    let listed = sources.registry.partitions().list().into_iter();
    listed.map(|(id, cells)| (id, cells.get())).collect()
}

fn write_partitions(text: &mut Text, sources: &Sources, image: &Image, served: &Served) {
    let (rows, left_out) = rows(sources, image, served, sources.config.metrics_partitions_max);
    for (name, help, value) in FAMILIES {
        text.gauge(name, help);
        for row in &rows {
            text.sample(&row.labels, value(row));
        }
    }
    text.gauge(
        "corelane_metrics_partitions_left_out",
        "Partitions without metrics of their own, because metrics.partitions.max was reached.",
    );
    text.sample(&Labels::default(), left_out);
}

/// The partitions that are led and served here, and how many were left out.
fn rows<'a>(sources: &Sources, image: &'a Image, served: &Served, limit: usize) -> (Vec<Row<'a>>, usize) {
    let mut rows = Vec::with_capacity(served.len().min(limit));
    let mut left_out = 0;
    for topic in image.topics.values() {
        for state in led(topic, sources.me()) {
            let id = PartitionId {
                topic: topic.id,
                index: state.index,
            };
            let Some(position) = served.get(&id) else { continue };
            if rows.len() >= limit {
                left_out += 1;
                continue;
            }
            rows.push(Row {
                labels: Labels::new(&[("partition", &state.index.to_string()), ("topic", &topic.name)]),
                topic,
                state,
                position: *position,
            });
        }
    }
    (rows, left_out)
}

fn led(topic: &Topic, me: BrokerId) -> impl Iterator<Item = &PartitionState> {
    topic.partitions.iter().filter(move |state| state.leader == Some(me))
}

fn is_led_by_another(state: &PartitionState, me: BrokerId) -> bool {
    state.leader != Some(me) && state.replicas.contains(&me)
}

fn is_preferred(state: &PartitionState) -> bool {
    state.leader == state.replicas.first().copied()
}

/// Replicas that a reassignment adds are not missed before it is done.
pub(super) fn is_under_replicated(state: &PartitionState) -> bool {
    state.isr.len() + state.adding.len() < state.replicas.len()
}

pub(super) fn is_under_min_isr(topic: &Topic, state: &PartitionState) -> bool {
    state.isr.len() < topic.min_isr(state.replicas.len())
}

#[cfg(test)]
mod tests;
