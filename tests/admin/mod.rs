//! The admin port: metrics that move with the load, health, JSON, the page in a browser, and hostile clients.

mod browser;
mod dashboards;
mod hostile;
mod reload;
mod service;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::support::{self, Broker, PATIENCE, free_port, wait_until};

/// A broker with an admin port.
struct Admin {
    broker: Broker,
    port: u16,
}

impl Admin {
    fn start(settings: &[(&str, &str)]) -> Admin {
        let port = free_port();
        let listener = format!("127.0.0.1:{port}");
        let mut all = vec![("admin.listener", listener.as_str()), ("shard.count", "2")];
        all.extend(settings);
        let broker = Broker::start(&all);
        let admin = Admin { broker, port };
        wait_until("the broker is ready", || admin.get("/readyz").0 == 200);
        admin
    }

    fn get(&self, path: &str) -> (u16, String) {
        let (code, _, body) = get(self.port, path, "localhost");
        (code, body)
    }

    fn json(&self, path: &str) -> Value {
        let (code, body) = self.get(path);
        assert_eq!(code, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The value of one sample, by its whole left side.
    fn sample(&self, sample: &str) -> f64 {
        let (_, text) = self.get("/metrics");
        let line = text.lines().find(|line| line.rsplit_once(' ').unwrap().0 == sample);
        line.map_or(0.0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
    }

    /// Creates a topic, sends `records` records of 100 bytes to it and reads them all, in the group `readers`.
    fn load(&self, topic: &str, records: usize) {
        self.create(topic, 4);
        self.produce(topic, records);
        self.consume(topic, records);
    }

    fn create(&self, topic: &str, partitions: usize) {
        let status = Command::new(env!("CARGO_BIN_EXE_corelane"))
            .args([
                "topics",
                "--bootstrap-server",
                &self.broker.bootstrap(),
                "--create",
                "--if-not-exists",
            ])
            .args(["--topic", topic, "--partitions", &partitions.to_string()])
            .output()
            .unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    }

    fn produce(&self, topic: &str, records: usize) {
        let producer: BaseProducer = self.client().set("acks", "all").create().unwrap();
        for at in 0..records {
            let value = format!("{at:0100}");
            let record = BaseRecord::<str, str>::to(topic)
                .payload(&value)
                .partition((at % 4) as i32);
            producer.send(record).map_err(|(problem, _)| problem).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    fn consume(&self, topic: &str, records: usize) {
        let consumer: BaseConsumer = self.client().set("group.id", "readers").create().unwrap();
        let mut partitions = TopicPartitionList::new();
        for partition in 0..4 {
            partitions
                .add_partition_offset(topic, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&partitions).unwrap();
        let mut read = 0;
        wait_until("every record is read", || {
            while let Some(record) = consumer.poll(Duration::from_millis(50)) {
                record.unwrap();
                read += 1;
            }
            read >= records
        });
        consumer.commit_consumer_state(CommitMode::Sync).unwrap();
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.broker.bootstrap())
            .set("client.id", "a-test");
        config
    }
}

/// GET: code, head, body.
pub(crate) fn get(port: u16, path: &str, host: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, head.to_ascii_lowercase(), unchunked(head, body))
}

/// The body without the lengths of its chunks.
fn unchunked(head: &str, body: &str) -> String {
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return body.to_string();
    }
    let (mut whole, mut rest) = (String::new(), body);
    while let Some((length, behind)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        whole.push_str(&behind[..length]);
        rest = &behind[length + 2..];
    }
    whole
}

/// Whether a program is installed; says so where it is not, so that a skipped test can be seen.
fn is_installed(program: &str) -> bool {
    let found = support::is_installed(program);
    if !found {
        eprintln!("skipped: {program} is not installed (make clients installs it as root)");
    }
    found
}

/// What Kafka's and kafka_exporter's names count follows what clients do, exactly.
#[test]
fn metrics_follow_the_load() {
    let admin = Admin::start(&[]);
    admin.load("moving", 1_000);
    let is = |sample: &str, value: f64| wait_until(sample, || admin.sample(sample) == value);
    is("kafka_server_brokertopicmetrics_messagesin_total", 1_000.0);
    is(
        "kafka_server_brokertopicmetrics_messagesin_total{topic=\"moving\"}",
        1_000.0,
    );
    let group = |sample: &str| format!("kafka_consumergroup_{sample}topic=\"moving\"}}");
    is(&group("current_offset_sum{consumergroup=\"readers\","), 1_000.0);
    is(&group("lag_sum{consumergroup=\"readers\","), 0.0);
    admin.produce("moving", 40);
    is(&group("lag{consumergroup=\"readers\",partition=\"0\","), 10.0);
    is(&group("lag_sum{consumergroup=\"readers\","), 40.0);
    is("kafka_consumergroup_members{consumergroup=\"readers\"}", 0.0);
    is("kafka_coordinator_group_groupmetadatamanager_numgroups", 1.0);
    admin.broker.tool("consumer-groups", "--delete --group readers", "");
    wait_until("the group is gone", || {
        !admin.get("/metrics").1.contains("consumergroup=\"readers\"")
    });
    for partition in 0..4 {
        is(
            &format!("kafka_topic_partition_current_offset{{partition=\"{partition}\",topic=\"moving\"}}"),
            260.0,
        );
    }
    // The coordinators' own topics may be among them.
    assert!(admin.sample("kafka_server_replicamanager_partitioncount") >= 4.0);
    assert!(admin.sample("kafka_server_replicamanager_leadercount") >= 4.0);
    is("kafka_topic_partitions{topic=\"moving\"}", 4.0);
    assert!(admin.sample("kafka_server_brokertopicmetrics_bytesin_total") > 100_000.0);
    assert!(admin.sample("kafka_server_brokertopicmetrics_bytesout_total{topic=\"moving\"}") > 100_000.0);
    assert!(admin.sample("corelane_request_duration_seconds_count{api=\"Produce\"}") >= 1.0);
    assert!(admin.sample("corelane_request_duration_seconds_count{api=\"Fetch\"}") >= 1.0);
    assert!(admin.sample("process_open_fds") > 10.0);
    assert!(admin.sample("kafka_log_log_size{partition=\"0\",topic=\"moving\"}") > 25_000.0);
}

/// A group leaves the metrics with its deletion; one that would be too many never comes, and is counted.
#[test]
fn groups_come_and_go_within_their_limit() {
    let admin = Admin::start(&[("metrics.group.offsets.max", "3")]);
    admin.load("grouped", 40);
    let numbered = |count: f64| {
        wait_until("the groups are counted", || {
            admin.sample("kafka_coordinator_group_groupmetadatamanager_numgroups") == count
        });
    };
    numbered(1.0);
    let left_out = || -> f64 {
        let of_shard = |shard| format!("corelane_metrics_group_offsets_left_out{{shard=\"{shard}\"}}");
        (0..2).map(|shard| admin.sample(&of_shard(shard))).sum()
    };
    assert_eq!(left_out(), 5.0, "the group and its four offsets");
    assert!(!admin.get("/metrics").1.contains("consumergroup=\""));
    admin.broker.tool("consumer-groups", "--delete --group readers", "");
    numbered(0.0);
    assert_eq!(left_out(), 0.0);
}

/// A consumer at the end of its partition waits; that wait is no request's time.
#[test]
fn a_long_poll_is_not_a_slow_request() {
    let admin = Admin::start(&[("request.slow.log.ms", "400")]);
    admin.create("quiet", 4);
    let consumer: BaseConsumer = admin
        .client()
        .set("group.id", "unused")
        .set("fetch.wait.max.ms", "1000")
        .create()
        .unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset("quiet", 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let waits = || -> f64 {
        let sum = |shard| {
            admin.sample(&format!(
                "corelane_stage_duration_seconds_sum{{shard=\"{shard}\",stage=\"wait\"}}"
            ))
        };
        sum(0) + sum(1)
    };
    wait_until("long polls have waited for two seconds", || {
        assert!(consumer.poll(Duration::from_millis(50)).is_none());
        waits() > 2.0
    });
    assert!(admin.sample("corelane_request_duration_seconds_sum{api=\"Fetch\"}") < 0.5);
    assert!(!admin.broker.log().contains("slow request"), "{}", admin.broker.log());
}

/// A request above the threshold is logged with its stages. Here everything that takes 0 ms or more is above it.
#[test]
fn slow_requests_are_logged_by_stage() {
    let admin = Admin::start(&[("request.slow.log.ms", "1")]);
    admin.create("slow", 4);
    wait_until("a slow request is logged", || {
        admin.produce("slow", 100);
        admin.broker.log().contains("slow request")
    });
    let log = admin.broker.log();
    let line = log.lines().find(|line| line.contains("slow request")).unwrap();
    let fields = serde_json::from_str::<Value>(line).unwrap()["fields"].clone();
    for field in ["took_us", "queue_us", "remote_us", "local_us", "api_us", "wait_us"] {
        assert!(fields[field].is_u64(), "{field} in {line}");
    }
    let sum: u64 = ["queue_us", "remote_us", "local_us", "api_us"]
        .iter()
        .map(|field| fields[field].as_u64().unwrap())
        .sum();
    let took = fields["took_us"].as_u64().unwrap();
    assert!(took >= 1_000 && sum.abs_diff(took) <= 4, "{line}");
}

#[test]
fn health_names_its_checks() {
    let admin = Admin::start(&[]);
    assert_eq!(admin.get("/livez"), (200, "ok\n".to_string()));
    assert_eq!(admin.get("/readyz"), (200, "ok\n".to_string()));
    let (_, text) = admin.get("/readyz?verbose");
    for check in ["phase", "metadata", "shards", "recovery", "log-directories"] {
        assert!(text.contains(&format!("[+] {check}: ")), "{text}");
    }
    assert!(text.ends_with("ok\n"));
}

/// The shapes that `corelane top`, the page and scripts build on.
#[test]
fn json_has_its_shape() {
    let admin = Admin::start(&[]);
    admin.load("shaped", 400);
    let status = admin.json("/v1/status");
    assert_eq!(status["ready"], true);
    assert_eq!(status["shards"].as_array().unwrap().len(), 2);
    assert_eq!(status["messages_in"], 400);
    wait_until("the group is listed", || {
        let group = &admin.json("/v1/groups")[0];
        (&group["group"], &group["lag"], &group["members"]) == (&"readers".into(), &0.into(), &0.into())
    });
    let group = admin.json("/v1/groups?group=readers");
    assert_eq!(
        (&group["committed"], group["offsets"].as_array().unwrap().len()),
        (&400.into(), 4)
    );
    let topic = &admin.json("/v1/topics")[0];
    assert_eq!(
        (&topic["name"], &topic["partitions"], &topic["messages_in"]),
        (&"shaped".into(), &4.into(), &400.into())
    );
    wait_until("offsets are published", || {
        let rows = admin.json("/v1/partitions?topic=shaped");
        rows.as_array()
            .unwrap()
            .iter()
            .all(|row| row["high_watermark"] == 100 && row["leader"] == 0)
    });
    let produce = &admin.json("/v1/latencies")["apis"][0];
    assert_eq!(produce["api"], "Produce");
    let counted: u64 = produce["buckets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bucket| bucket[1].as_u64().unwrap())
        .sum();
    assert_eq!(produce["count"], counted);
    assert!(produce["p50_us"].as_f64().unwrap() > 0.0);
    assert_eq!(admin.json("/v1/brokers")[0]["endpoints"][0]["port"], admin.broker.port);
    assert_eq!(admin.json("/v1/findings").as_array().unwrap().len(), 0);
    assert!(admin.json("/v1/config").as_array().unwrap().len() > 200);
    let held = TcpStream::connect(("127.0.0.1", admin.broker.port)).unwrap();
    let peer = held.local_addr().unwrap().to_string();
    wait_until("the connection is listed", || {
        admin
            .json("/v1/connections")
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["peer"] == peer.as_str())
    });
    drop(held);
    wait_until("it is gone", || {
        admin
            .json("/v1/connections")
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["peer"] != peer.as_str())
    });
    assert_eq!(admin.get("/v1/partitions?topic=nobody").0, 404);
    assert_eq!(admin.get("/v1/nothing").0, 404);
}

/// Names that Kafka or kafka_exporter gave, and that Prometheus' own taste would have otherwise.
const OTHERS_NAMES: &[&str] = &["kafka_"];

#[test]
fn promtool_accepts_the_exposition() {
    if !is_installed("promtool") {
        return;
    }
    let admin = Admin::start(&[]);
    admin.load("checked", 100);
    let (_, text) = admin.get("/metrics");
    let file = admin.broker.dir.join("metrics.txt");
    std::fs::write(&file, text).unwrap();
    let output = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::fs::File::open(file).unwrap())
        .output()
        .unwrap();
    let complaints = [output.stdout, output.stderr].concat();
    let complaints = String::from_utf8_lossy(&complaints);
    let ours: Vec<_> = complaints
        .lines()
        .filter(|line| !OTHERS_NAMES.iter().any(|prefix| line.starts_with(prefix)))
        .collect();
    assert!(ours.is_empty(), "{ours:#?}");
}

/// Two brokers on one admin port would be found out by whoever looks at the wrong one.
#[test]
fn a_taken_admin_port_refuses_the_start() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let dir = crate::support::scratch_dir();
    let listener = format!("admin.listener=127.0.0.1:{port}");
    let output = Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args(["start", "--override", &listener, "--override"])
        .arg(format!("log.dirs={}", dir.display()))
        .args([
            "--override",
            &format!("listeners=PLAINTEXT://127.0.0.1:{}", free_port()),
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("admin.listener: cannot listen on 127.0.0.1"), "{told}");
    std::fs::remove_dir_all(dir).unwrap();
}
