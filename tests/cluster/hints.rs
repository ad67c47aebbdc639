//! A client that asks the wrong broker is told which is the right one, and where: it need not ask for metadata first.

use std::time::{Duration, Instant};

use corelane::client::{Address, Connection};
use corelane::model::ErrorCode;
use corelane::record::{BatchBuilder, Compression};
use corelane::wire::messages::MetadataRequestData;
use corelane::wire::produce::{ProducePartition, ProduceRequest, ProduceResponse, ProduceTopic};

use super::Cluster;
use crate::support::{Broker, wait_until};

const TOPIC: &str = "moves";
/// Of the half second that a broker answers on.
const GOES_ON: Duration = Duration::from_millis(200);

#[test] //= KIP-951
fn the_wrong_broker_names_the_leader() {
    let mut cluster = Cluster::start();
    cluster.create(0, TOPIC);
    wait_until("all replicas are in sync", || cluster.in_sync(0, Some(TOPIC), 3));
    check_hints(&cluster, &[0, 1, 2]);
    let (first, _) = cluster.partitions(0, Some(TOPIC))[0];
    let gone = first as usize - 1;
    cluster.nodes[gone].kill_9();
    let left: Vec<usize> = (0..3).filter(|at| *at != gone).collect();
    wait_until("others lead", || {
        left.iter().all(|at| cluster.is_led_without(*at, gone))
    });
    check_hints(&cluster, &left);
}

/// A broker that stops in order first tells its clients who leads now, on the connections that they have, and is named
/// among the brokers meanwhile: clients that miss a leader there may take a second to find the next. When it ends it is
/// named no more.
#[test]
fn a_broker_that_leaves_names_who_leads_now() {
    let mut cluster = Cluster::start();
    cluster.create(0, TOPIC);
    wait_until("all replicas are in sync", || cluster.in_sync(0, Some(TOPIC), 3));
    let controller = cluster.controller();
    let leaders = cluster.partitions(controller, Some(TOPIC));
    let (index, leader) = (0..)
        .zip(leaders.iter().map(|(leader, _)| *leader))
        .find(|(_, leader)| *leader != controller as i32 + 1)
        .expect("not everything is led by the controller");
    let mut other = connect(&cluster.nodes[controller]);
    let leaving = &mut cluster.nodes[leader as usize - 1];
    let mut connection = connect(leaving);
    leaving.signal("TERM");
    let answer = loop {
        let answer = connection.call(&produce(index)).expect("it serves on");
        if answer.topics[0].partitions[0].error_code != 0 {
            break answer;
        }
    };
    let until = Instant::now() + GOES_ON;
    while Instant::now() < until {
        connection.call(&produce(index)).expect("it still answers");
        assert!(brokers(&mut other).contains(&leader), "while it answers");
    }
    let refused = &answer.topics[0].partitions[0];
    assert_eq!(refused.error_code, ErrorCode::NotLeaderOrFollower.code());
    let (next, _) = refused.current_leader.expect("a leader is named");
    assert_ne!(next, leader);
    assert!(leaving.wait().success());
    assert!(
        !brokers(&mut other).contains(&leader),
        "before anybody could see that it has ended"
    );
    assert_eq!(endpoint_of(&answer, next), cluster.nodes[next as usize - 1].bootstrap());
}

/// The brokers that are named on that connection.
fn brokers(connection: &mut Connection) -> Vec<i32> {
    let answer = connection.call(&MetadataRequestData::default()).unwrap();
    answer.brokers.iter().map(|broker| broker.node_id).collect()
}

/// Whoever is asked names the leader that clients are told of.
fn check_hints(cluster: &Cluster, asked: &[usize]) {
    let leaders = cluster.partitions(asked[0], Some(TOPIC));
    let mut hints = 0;
    for at in asked {
        let mut connection = connect(&cluster.nodes[*at]);
        for (index, (leader, _)) in leaders.iter().enumerate() {
            let answer = connection.call(&produce(index as i32)).unwrap();
            let partition = &answer.topics[0].partitions[0];
            if *leader == *at as i32 + 1 {
                assert_eq!((partition.error_code, partition.current_leader), (0, None));
                continue;
            }
            assert_eq!(partition.error_code, ErrorCode::NotLeaderOrFollower.code());
            let (id, epoch) = partition.current_leader.expect("a leader is named");
            assert!(id == *leader && epoch >= 0, "{id} in epoch {epoch}, and {leader} leads");
            assert_eq!(endpoint_of(&answer, id), cluster.nodes[id as usize - 1].bootstrap());
            hints += 1;
        }
    }
    assert!(hints > 0, "everybody leads everything");
}

fn connect(node: &Broker) -> Connection {
    let address: Address = node.bootstrap().parse().unwrap();
    Connection::open(&address, "hints").unwrap()
}

fn endpoint_of(answer: &ProduceResponse, id: i32) -> String {
    let endpoint = answer.node_endpoints.iter().find(|endpoint| endpoint.node_id == id);
    let endpoint = endpoint.expect("an address");
    format!("{}:{}", endpoint.host, endpoint.port)
}

fn produce(index: i32) -> ProduceRequest {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(1, None, Some(b"hello"), &[]);
    ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: 10_000,
        topics: vec![ProduceTopic {
            name: TOPIC.as_bytes().into(),
            partitions: vec![ProducePartition {
                index,
                records: Some(batch.build()),
            }],
        }],
    }
}
