//! /v1: read-only JSON, for the status page, `corelane top` and scripts. Fields are added, never taken away or renamed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::Sources;
use super::findings::{Finding, findings};
use super::groups;
use super::prometheus::{in_its_place, is_under_replicated, topics as traffic_of_topics};
use crate::api;
use crate::config;
use crate::logging;
use crate::metadata::{BrokerState, Image, PartitionState, Topic};
use crate::metrics::{Cells, LogPosition, Metric, STAGES, Snapshot, Traffic};
use crate::model::PartitionId;
use crate::rt::{self, host};
use crate::tuning;
use crate::wire::ApiKey;

pub type Asked = HashMap<String, String>;
/// `Err`: what is not there.
type Give = fn(&Sources, &Asked) -> Result<Value, String>;

pub const ROUTES: &[(&str, Give)] = &[
    ("/v1/status", status),
    ("/v1/brokers", |sources, _| {
        Ok(sources.image().map_or(json!([]), |image| brokers(&image)))
    }),
    ("/v1/shards", |sources, _| Ok(shards(sources))),
    ("/v1/topics", |sources, asked| Ok(topics(sources, limit(asked)))),
    ("/v1/partitions", partitions),
    ("/v1/groups", groups::listed),
    ("/v1/loggers", |_, _| Ok(loggers())),
    ("/v1/settings", |sources, _| Ok(settings(sources, |_| true))),
    ("/v1/connections", |sources, asked| {
        Ok(connections(sources, limit(asked)))
    }),
    ("/v1/config", |sources, _| Ok(configuration(sources))),
    ("/v1/latencies", |sources, _| {
        Ok(json!({"stages": stages(sources), "apis": apis(sources)}))
    }),
    ("/v1/findings", |sources, _| {
        Ok(findings(sources).iter().map(Finding::json).collect())
    }),
];

/// Rows of a list where the question names no `limit`.
const ROWS: usize = 1_000;
/// The most that a question may ask for.
const ROWS_MAX: usize = 100_000;
/// Topics in the status: the busiest ones. And groups: those that are furthest behind.
const STATUS_ROWS: usize = 50;

pub async fn answer(State(sources): State<Arc<Sources>>, Query(asked): Query<Asked>, give: Give) -> Response {
    in_its_place("application/json", || match give(&sources, &asked) {
        Ok(value) => (StatusCode::OK, value.to_string()),
        Err(missing) => (StatusCode::NOT_FOUND, json!({"error": missing}).to_string()),
    })
}

pub(super) fn limit(asked: &Asked) -> usize {
    let wanted = asked.get("limit").and_then(|text| text.parse().ok());
    wanted.unwrap_or(ROWS).min(ROWS_MAX)
}

/// Everything that changes by the second. Counters count from the start: two answers tell what came between them.
fn status(sources: &Sources, _: &Asked) -> Result<Value, String> {
    let image = sources.image();
    let few = Asked::from([("limit".to_owned(), STATUS_ROWS.to_string())]);
    let total = |metric| sources.registry.total(metric);
    let used = host::usage();
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "broker_id": sources.config.broker_id,
        "cluster_id": image.as_ref().map(|image| image.cluster_id.to_string()),
        "controller_id": image.as_ref().and_then(|image| image.controller).map(|controller| controller.0),
        "brokers": image.as_ref().map_or(json!([]), |image| brokers(image)),
        "now_ms": rt::wall_ms(),
        "uptime_ms": rt::now().since(sources.began).as_millis() as u64,
        "ready": sources.is_ready(),
        "not_ready_because": sources.not_ready_because(),
        "bytes_in": total(Metric::BytesIn),
        "bytes_out": total(Metric::BytesOut),
        "messages_in": total(Metric::MessagesIn),
        "partitions": total(Metric::Partitions),
        "partitions_opening": total(Metric::PartitionsOpening),
        "under_replicated": total(Metric::UnderReplicated),
        "under_min_isr": total(Metric::UnderMinIsr),
        "connections": total(Metric::Connections),
        "resident_bytes": used.resident_bytes,
        "open_fds": used.open_fds,
        "shards": shards(sources),
        "topics": topics(sources, STATUS_ROWS),
        "groups": groups::listed(sources, &few)?,
        "log_directories": log_directories(sources),
        "settings": settings(sources, tuning::Finding::is_wrong),
        "stages": stages(sources),
        "apis": apis(sources),
        "findings": findings(sources).iter().map(Finding::json).collect::<Value>(),
    }))
}

fn brokers(image: &Image) -> Value {
    let endpoints = |broker: &BrokerState| -> Value {
        let endpoints = broker.endpoints.iter();
        endpoints
            .map(|endpoint| json!({"listener": endpoint.listener, "host": endpoint.host, "port": endpoint.port}))
            .collect()
    };
    let broker = |broker: &Arc<BrokerState>| {
        json!({
            "id": broker.id.0,
            "rack": broker.rack,
            "epoch": broker.epoch,
            "fenced": broker.fenced,
            "in_controlled_shutdown": broker.in_controlled_shutdown.is_some(),
            "state": state_of(broker),
            "partitions": image.partitions_on(broker.id),
            "leaders": image.leaderships_of(broker.id),
            "controller": image.controller == Some(broker.id),
            "endpoints": endpoints(broker),
        })
    };
    image.brokers.values().map(broker).collect()
}

/// In a word.
fn state_of(broker: &BrokerState) -> &'static str {
    match (broker.fenced, broker.in_controlled_shutdown.is_some()) {
        (true, _) => "fenced",
        (false, true) => "stopping",
        (false, false) => "active",
    }
}

fn shards(sources: &Sources) -> Value {
    let (busy, standing) = (sources.load.busy(), sources.pulse.standing());
    let shard = |(at, cells): (usize, &Cells)| {
        json!({
            "shard": at,
            "busy": busy.get(at).copied().unwrap_or(0.0),
            "cpu_busy_nanos": cells.get(Metric::CpuBusy),
            "stands": standing.contains(&at),
            "partitions": cells.get(Metric::Partitions),
            "leaders": cells.get(Metric::Leaders),
            "connections": cells.get(Metric::Connections),
            "bytes_in": cells.get(Metric::BytesIn),
            "bytes_out": cells.get(Metric::BytesOut),
            "messages_in": cells.get(Metric::MessagesIn),
            "lane_messages": cells.get(Metric::LaneMessages),
            "disk_write_bytes": cells.get(Metric::DiskWriteBytes),
            "disk_read_bytes": cells.get(Metric::DiskReadBytes),
            "cache_bytes": cells.get(Metric::CacheBytes),
            "cache_hits": cells.get(Metric::CacheHits),
            "cache_misses": cells.get(Metric::CacheMisses),
            "request_memory_bytes": cells.get(Metric::RequestMemoryBytes),
        })
    };
    sources.registry.shards().iter().enumerate().map(shard).collect()
}

/// The topics with most traffic since the start first, then the largest.
fn topics(sources: &Sources, limit: usize) -> Value {
    let Some(image) = sources.image() else { return json!([]) };
    let mut sizes = BTreeMap::new();
    for (id, cells) in sources.registry.partitions().list() {
        *sizes.entry(id.topic).or_insert(0) += cells.get().size_bytes;
    }
    let traffic = traffic_of_topics(sources, Some(&image));
    let row = |topic: &Arc<Topic>| {
        let traffic = traffic.get(&topic.name).copied().unwrap_or_default();
        (topic.clone(), traffic, sizes.get(&topic.id).copied().unwrap_or(0))
    };
    let mut rows: Vec<(Arc<Topic>, Traffic, u64)> = image.topics.values().map(row).collect();
    rows.sort_by_key(|(_, traffic, size)| std::cmp::Reverse((traffic.bytes_in + traffic.bytes_out, *size)));
    rows.truncate(limit);
    let shown = rows.into_iter().map(|(topic, traffic, size_bytes)| {
        json!({
            "name": topic.name.as_ref(),
            "id": topic.id.to_string(),
            "partitions": topic.partitions.len(),
            "size_bytes": size_bytes,
            "bytes_in": traffic.bytes_in,
            "bytes_out": traffic.bytes_out,
            "messages_in": traffic.messages_in,
            "overrides": topic.overrides.as_ref(),
        })
    });
    shown.collect()
}

/// Of one topic where the question names one.
fn partitions(sources: &Sources, asked: &Asked) -> Result<Value, String> {
    let image = sources.image().ok_or("the metadata are being recovered")?;
    let topics: Vec<Arc<Topic>> = match asked.get("topic") {
        Some(name) => vec![image.topic(name).cloned().ok_or(format!("no topic {name}"))?],
        None => image.topics.values().cloned().collect(),
    };
    let served: BTreeMap<PartitionId, _> = sources.registry.partitions().list().into_iter().collect();
    let states = topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(move |state| (topic, state)));
    let rows = states.take(limit(asked)).map(|(topic, state)| {
        let id = PartitionId {
            topic: topic.id,
            index: state.index,
        };
        let cells = served.get(&id);
        let mut row = partition(topic, state, cells.map(|cells| cells.get()));
        row["shard"] = json!(cells.map(|cells| cells.shard.0));
        row["log_directory"] = json!(cells.map(|cells| cells.dir.as_ref()));
        row
    });
    Ok(rows.collect())
}

fn partition(topic: &Topic, state: &PartitionState, position: Option<LogPosition>) -> Value {
    let ids = |brokers: &[crate::model::BrokerId]| brokers.iter().map(|id| id.0).collect::<Vec<_>>();
    json!({
        "topic": topic.name.as_ref(),
        "partition": state.index,
        "leader": state.leader.map(|leader| leader.0),
        "leader_epoch": state.leader_epoch.0,
        "replicas": ids(&state.replicas),
        "in_sync": ids(&state.isr),
        "eligible": ids(&state.elr),
        "adding": ids(&state.adding),
        "removing": ids(&state.removing),
        "under_replicated": is_under_replicated(state),
        "served_here": position.is_some(),
        "log_start_offset": position.map(|position| position.log_start),
        "high_watermark": position.map(|position| position.high_watermark),
        "log_end_offset": position.map(|position| position.log_end),
        "size_bytes": position.map(|position| position.size_bytes),
        "lag": position.map(|position| position.lag),
    })
}

/// The busiest first.
fn connections(sources: &Sources, limit: usize) -> Value {
    let mut rows = sources.registry.connections().list();
    rows.sort_by_key(|(_, cells)| std::cmp::Reverse(cells.bytes_in() + cells.bytes_out()));
    rows.truncate(limit);
    let row = |((shard, number), cells): ((crate::model::ShardId, u64), Arc<crate::metrics::ConnectionCells>)| {
        json!({
            "shard": shard.0,
            "number": number,
            "peer": cells.peer.as_ref(),
            "listener": cells.listener.as_ref(),
            "client_id": cells.client_id(),
            "since_ms": cells.since_ms,
            "requests": cells.requests(),
            "bytes_in": cells.bytes_in(),
            "bytes_out": cells.bytes_out(),
        })
    };
    rows.into_iter().map(row).collect()
}

/// Passwords, and values of keys that nobody knows the meaning of, are null.
fn configuration(sources: &Sources) -> Value {
    let image = sources.image();
    let dynamic = image
        .as_ref()
        .map_or(config::DynamicConfigs::NONE, |image| image.dynamic_configs());
    let row = |row: config::ConfigRow| {
        json!({
            "name": row.name,
            "value": row.value,
            "source": format!("{:?}", row.source),
            "read_only": row.read_only,
            "sensitive": row.sensitive,
            "doc": row.doc,
        })
    };
    let config = image.as_ref().map_or(&sources.config, |image| &image.broker);
    let rows = config::describe_broker(config, dynamic);
    rows.into_iter().map(row).collect()
}

/// What this machine was set to at the start.
fn settings(sources: &Sources, is_shown: fn(&tuning::Finding) -> bool) -> Value {
    let setting = |found: &tuning::Finding| {
        json!({
            "id": found.id,
            "status": found.status.name(),
            "current": found.current,
            "wanted": found.wanted,
            "why": found.knob.why,
            "cure": found.is_wrong().then(|| found.cure()),
        })
    };
    let found = sources.settings.get().into_iter().flatten();
    found.filter(|found| is_shown(found)).map(setting).collect()
}

/// What is logged, and what was set for a time.
fn loggers() -> Value {
    let logger = |logger: logging::Logger| {
        json!({
            "name": logger.name,
            "level": logger.level.word(),
            "set": logger.is_set,
            "seconds_left": logger.left.map(|left| left.as_secs()),
        })
    };
    logging::loggers().into_iter().map(logger).collect()
}

fn log_directories(sources: &Sources) -> Value {
    let Some(dirs) = sources.dirs.get() else {
        return json!([]);
    };
    let row = |dir: &Arc<crate::storage::LogDir>| {
        let (free_bytes, total_bytes) = dir.space();
        json!({
            "path": dir.path.to_string_lossy(),
            "online": !dir.is_offline(),
            "full": dir.is_full(),
            "free_bytes": free_bytes,
            "total_bytes": total_bytes,
        })
    };
    dirs.dirs.iter().map(row).collect()
}

fn stages(sources: &Sources) -> Value {
    let row = |(stage, name, help): &(_, &str, &str)| {
        let mut times = times(&sources.registry.stage(*stage));
        times["stage"] = json!(name);
        times["help"] = json!(help);
        times
    };
    STAGES.iter().map(row).collect()
}

fn apis(sources: &Sources) -> Value {
    let row = |(key, snapshot): (&i16, &Snapshot)| {
        let mut times = times(snapshot);
        times["api"] = json!(api::name_of(ApiKey(*key)));
        times["key"] = json!(key);
        times
    };
    sources.registry.requests().iter().map(row).collect()
}

/// A distribution: percentiles since the start, and the buckets as [upper bound in nanoseconds, count].
fn times(snapshot: &Snapshot) -> Value {
    let micros = |share| snapshot.quantile(share).as_nanos() as f64 / 1e3;
    json!({
        "count": snapshot.count(),
        "sum_nanos": snapshot.sum_nanos,
        "p50_us": micros(0.5),
        "p99_us": micros(0.99),
        "p999_us": micros(0.999),
        "buckets": snapshot.buckets().map(|(bound, count)| json!([bound, count])).collect::<Value>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::testing;

    /// Every route answers, also before anything has happened; and none gives a secret away.
    #[test]
    fn every_route_answers_without_secrets() {
        let (sources, _) = testing::sources(&[("a", 2)]);
        for (path, give) in ROUTES {
            let value = give(&sources, &Asked::new()).unwrap_or_else(|missing| panic!("{path}: {missing}"));
            assert!(!value.to_string().contains("hush"), "{path}");
        }
        let configs = configuration(&sources);
        let row = |name: &str| {
            configs
                .as_array()
                .and_then(|rows| rows.iter().find(|row| row["name"] == name))
                .cloned()
        };
        assert_eq!(row("ssl.key.password").expect("set")["value"], Value::Null);
        assert_eq!(row("admin.listener").expect("known")["value"], "127.0.0.1:9644");
    }

    /// A setting that is wrong stands in the status with its reason and cure; all of them on their own.
    #[test]
    fn settings_come_with_their_cure() {
        let (sources, _) = testing::sources(&[]);
        let found = tuning::check(tuning::Profile::Prod, &sources.config.log_dirs);
        let (all, wrong) = (found.len(), found.iter().filter(|found| found.is_wrong()).count());
        let _ = sources.settings.set(found);
        let listed = settings(&sources, |_| true);
        assert_eq!(listed.as_array().map(Vec::len), Some(all));
        let shown = status(&sources, &Asked::new()).expect("a status")["settings"].clone();
        let shown = shown.as_array().expect("a list");
        assert_eq!(shown.len(), wrong);
        assert!(shown.iter().all(|row| row["cure"].is_string() && row["why"] != ""));
    }

    /// A topic's partitions, whether they are served yet or not; another topic's name is an error.
    #[test]
    fn partitions_are_those_of_the_topic() {
        let (sources, _) = testing::sources(&[("a", 2), ("b", 1)]);
        let asked = |name: &str| Asked::from([("topic".to_string(), name.to_string())]);
        let rows = partitions(&sources, &asked("a")).expect("there");
        assert_eq!(rows.as_array().map(Vec::len), Some(2));
        assert_eq!(rows[1]["served_here"], false);
        assert_eq!(rows[1]["leader"], 1);
        assert!(partitions(&sources, &asked("c")).is_err());
        let all = partitions(&sources, &Asked::from([("limit".to_string(), "2".to_string())])).expect("there");
        assert_eq!(all.as_array().map(Vec::len), Some(2));
    }
}
