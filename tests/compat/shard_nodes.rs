//! Clients on a listener whose shards are nodes of their own: what they ask of a partition comes to the core that owns it, and
//! nothing else is different for them.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{franz_go_program, run_script_against};
use crate::admin::get;
use crate::support::{Broker, PATIENCE, free_port, target_dir, wait_until};

const FIRST_NODE: i32 = 1 << 30;
const RECORDS: usize = 100;
const RECORD_BYTES: usize = 1_000;

/// A broker with its usual listener, and another one, on ports of the kernel's choice, with its shards as nodes.
fn start(settings: &[(&str, &str)]) -> Broker {
    let port = free_port();
    let listeners = format!("PLAINTEXT://127.0.0.1:{port},SHARDS://127.0.0.1:0");
    let mut all = vec![
        ("listeners", listeners.as_str()),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,SHARDS:PLAINTEXT"),
        ("shard.nodes.listeners", "SHARDS"),
        ("shard.count", "2"),
    ];
    all.extend(settings);
    let mut broker = Broker::prepare(&all);
    broker.port = port;
    broker.restart();
    broker
}

/// Where a listener is to be found, by what the broker logged.
fn address(broker: &Broker, listener: &str) -> String {
    let name = format!("\"listener\":\"{listener}\"");
    let mut found = None;
    wait_until("the listener is logged", || {
        found = broker
            .log()
            .lines()
            .find(|line| line.contains(&name))
            .and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        found.is_some()
    });
    found.unwrap()["fields"]["address"].as_str().unwrap().to_owned()
}

fn run(client: &str, interpreter: &str, script: &str) {
    let broker = start(&[]);
    run_script_against(&broker, &address(&broker, "SHARDS"), client, interpreter, script);
}

#[test]
fn confluent_kafka() {
    let python = target_dir().join("clients/confluent/bin/python");
    run("confluent", python.to_str().unwrap(), "confluent.py");
}

#[test]
fn kafka_python_3() {
    let python = target_dir().join("clients/kafka-python-3/bin/python");
    run("kafka-python 3", python.to_str().unwrap(), "kafka_python.py");
}

#[test]
fn kafkajs() {
    run("kafkajs", "node", "kafkajs.js");
}

#[test]
fn franz_go() {
    if let Some(program) = franz_go_program() {
        run("franz-go", &program, "franz_go/main.go");
    }
}

#[test]
fn kafkas_own_tools() {
    run("Kafka's tools", "sh", "java.sh");
}

#[test]
fn aiokafka_in_transactions() {
    let python = target_dir().join("clients/aiokafka/bin/python");
    run("aiokafka", python.to_str().unwrap(), "aiokafka_transactions.py");
}

/// librdkafka asks every node for its groups, and puts the answers one behind the other.
#[test]
fn a_group_is_listed_once() {
    let broker = start(&[]);
    broker.tool("topics", "--create --topic spread --partitions 2", "");
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address(&broker, "SHARDS"))
        .set("group.id", "once")
        .create()
        .unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("spread", 0, Offset::Offset(0)).unwrap();
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
    let all = consumer.fetch_metadata(None, PATIENCE).unwrap();
    assert_eq!(all.brokers().len(), 3, "the broker and its shards");
    let mut groups = None;
    wait_until("every coordinator has loaded its groups", || {
        groups = match consumer.fetch_group_list(None, PATIENCE) {
            Err(KafkaError::GroupListFetch(RDKafkaErrorCode::CoordinatorLoadInProgress)) => None,
            list => Some(list.unwrap()),
        };
        groups.is_some()
    });
    let groups = groups.unwrap();
    let names: Vec<&str> = groups.groups().iter().map(|group| group.name()).collect();
    assert_eq!(names, ["once"]);
}

/// What is produced to a partition comes over a connection of the shard that is said to lead it; on the other listener the
/// broker leads it.
#[test]
fn a_shards_port_leads_to_that_shard() {
    let admin = free_port();
    let broker = start(&[("admin.listener", &format!("127.0.0.1:{admin}"))]);
    broker.tool("topics", "--create --topic spread --partitions 2", "");
    let plain: BaseProducer = client("plain", &broker.bootstrap());
    assert_eq!(leaders(&plain), [0, 0]);
    let mut shards = Vec::new();
    for partition in 0..2 {
        let name = format!("to-{partition}");
        let producer = client(&name, &address(&broker, "SHARDS"));
        let shard = leaders(&producer)[partition] - FIRST_NODE;
        produce(&producer, partition as i32);
        let connections = get(admin, "/v1/connections", "localhost").2;
        let connections: serde_json::Value = serde_json::from_str(&connections).unwrap();
        let carried = connections.as_array().unwrap().iter().find(|row| {
            row["client_id"] == name && row["bytes_in"].as_u64().unwrap() >= (RECORDS * RECORD_BYTES) as u64
        });
        let carried = carried.unwrap_or_else(|| panic!("{connections}"));
        assert_eq!(carried["shard"], shard, "{connections}");
        assert_eq!(carried["listener"], format!("SHARDS#{shard}"), "{connections}");
        shards.push(shard);
    }
    shards.sort_unstable();
    assert_eq!(shards, [0, 1]);
}

fn client(name: &str, bootstrap: &str) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("client.id", name)
        .create()
        .unwrap()
}

fn leaders(producer: &BaseProducer) -> Vec<i32> {
    let mut leaders = Vec::new();
    wait_until("the topic has its leaders", || {
        let Ok(known) = producer.client().fetch_metadata(Some("spread"), PATIENCE) else {
            return false;
        };
        leaders = known.topics()[0].partitions().iter().map(|one| one.leader()).collect();
        leaders.len() == 2 && leaders.iter().all(|leader| *leader >= 0)
    });
    leaders
}

fn produce(producer: &BaseProducer, partition: i32) {
    let value = vec![b'x'; RECORD_BYTES];
    for _ in 0..RECORDS {
        let record: BaseRecord<'_, (), [u8]> = BaseRecord::to("spread").payload(&value[..]).partition(partition);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(PATIENCE).unwrap();
    assert_eq!(producer.in_flight_count(), 0);
}
