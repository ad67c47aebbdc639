//! A client that asks the wrong broker is told which is the right one, and where: it need not ask for metadata first.

use corelane::client::{Address, Connection};
use corelane::model::ErrorCode;
use corelane::record::{BatchBuilder, Compression};
use corelane::wire::produce::{ProducePartition, ProduceRequest, ProduceResponse, ProduceTopic};

use super::Cluster;
use crate::support::wait_until;

const TOPIC: &str = "moves";

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

/// Whoever is asked names the leader that clients are told of.
fn check_hints(cluster: &Cluster, asked: &[usize]) {
    let leaders = cluster.partitions(asked[0], Some(TOPIC));
    let mut hints = 0;
    for at in asked {
        let address: Address = cluster.nodes[*at].bootstrap().parse().unwrap();
        let mut connection = Connection::open(&address, "hints").unwrap();
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
