//! Strangers on the controller listener: told nothing or why not, and closed; now and then one is logged. The quorum goes on
//! as if nothing had been.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::Cluster;
use super::metrics::Watched;
use crate::support::{PATIENCE, wait_until};

const HELLO: u8 = 1;
const COMMAND: u8 = 7;
const REFUSAL: u8 = 8;
const LENGTH_MAX: u32 = 512 << 20;
/// What a node may grow by while strangers come, in KiB.
const GROWTH_KIB_MAX: u64 = 32 << 10;

#[test]
fn strangers_on_the_controller_listener_are_closed() {
    let watched = Watched::start();
    let cluster = &watched.cluster;
    cluster.create(0, "before");
    wait_until("all replicas are in sync", || cluster.in_sync(0, Some("before"), 3));
    let (controller, rss_kib) = (cluster.controller(), cluster.nodes[0].rss_kib());
    let port = controller_port(cluster, 0);
    let id = cluster_id(cluster, 0);
    let sane = message(COMMAND, &[0; 16]);
    let mut torn = hello(&id, 2, 77, 0);
    *torn.last_mut().unwrap() ^= 1;
    let mut newer = message(HELLO, &[]);
    newer[8] += 1;
    for closed in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 64],
        vec![0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff],
        [&LENGTH_MAX.to_le_bytes()[..], &[0; 60]].concat(),
        [&3_u32.to_le_bytes()[..], &[0; 60]].concat(),
        message(HELLO, &[]),
        message(HELLO, &[0xff; 40]),
        message(99, &[]),
        sane,
        torn,
        sealed(&newer[8..]),
        // Somebody who says nothing.
        Vec::new(),
    ] {
        assert!(ask(port, &closed).is_empty(), "{closed:02x?}");
    }
    for (refused, why) in [
        (hello("another", 2, 77, 0), "belongs to cluster"),
        (
            observers_hello(&id, 2),
            "is a broker only, and in controller.quorum.voters",
        ),
        (observers_hello("another", 9), "belongs to cluster"),
        (hello(&id, 2, 77, 5), "is not the voter 0000000000000005 any more"),
        (
            hello(&id, 2, 77, 0),
            "is known to the quorum by another metadata directory",
        ),
    ] {
        let answer = ask(port, &refused);
        let told = String::from_utf8_lossy(&answer);
        assert!(answer[9] == REFUSAL && told.contains(why), "{told}");
    }
    // Somebody who might be added is told who this node is, and nothing else.
    let answer = ask(port, &[hello(&id, 9, 77, 0), message(COMMAND, &[0; 16])].concat());
    assert_eq!(answer[9], HELLO);
    assert!(
        String::from_utf8_lossy(&answer)
            .ends_with("the node is not in the quorum: kafka-metadata-quorum.sh add-controller adds it")
    );
    for _ in 0..100 {
        ask(port, b"again and again");
    }
    let log = cluster.nodes[0].log();
    let refusals = || {
        log.lines()
            .filter(|line| line.contains("refused a connection to the controller listener"))
    };
    assert!((1..10).contains(&refusals().count()), "{}", refusals().count());
    assert!(refusals().any(|line| line.contains("64")), "they are counted");
    assert!(watched.sum(&[0], "corelane_controller_listener_refused_total") >= 100.0);

    assert!(cluster.nodes[0].rss_kib() < rss_kib + GROWTH_KIB_MAX);
    assert_eq!(cluster.controller(), controller, "nobody else was elected");
    cluster.create(1, "after");
    for topic in ["before", "after"] {
        wait_until("all replicas are in sync", || cluster.in_sync(0, Some(topic), 3));
    }
}

fn controller_port(cluster: &Cluster, node: usize) -> u16 {
    let properties = std::fs::read_to_string(cluster.nodes[node].dir.join("server.properties")).unwrap();
    let (_, port) = properties.rsplit_once("CONTROLLER://127.0.0.1:").unwrap();
    port.lines().next().unwrap().parse().unwrap()
}

fn cluster_id(cluster: &Cluster, node: usize) -> String {
    let properties = std::fs::read_to_string(cluster.nodes[node].data_dir().join("meta.properties")).unwrap();
    let id = properties.lines().find_map(|line| line.strip_prefix("cluster.id="));
    id.unwrap().to_owned()
}

/// What is answered until the node closes.
fn ask(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    if let Err(problem) = stream.read_to_end(&mut answer) {
        assert_eq!(problem.kind(), std::io::ErrorKind::ConnectionReset, "it is not closed");
    }
    answer
}

const INCARNATION: [u8; 16] = [7; 16];

const HAS_METADATA: u8 = 1;
const IS_OBSERVER: u8 = 2;

fn hello(cluster: &str, node: u32, voter: u64, to: u64) -> Vec<u8> {
    hello_of(cluster, node, voter, HAS_METADATA, to)
}

fn observers_hello(cluster: &str, node: u32) -> Vec<u8> {
    hello_of(cluster, node, 77, IS_OBSERVER, 0)
}

fn hello_of(cluster: &str, node: u32, voter: u64, flags: u8, to: u64) -> Vec<u8> {
    let mut body = (cluster.len() as u32).to_le_bytes().to_vec();
    body.extend(cluster.as_bytes());
    body.extend(node.to_le_bytes());
    body.extend(voter.to_le_bytes());
    body.extend(INCARNATION);
    body.push(flags);
    // Nobody in the quorum is known.
    body.extend(0_u32.to_le_bytes());
    body.extend(to.to_le_bytes());
    message(HELLO, &body)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    sealed(&[&[1, kind][..], &[0; 8], body].concat())
}

/// Behind its length and checksum.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u32).to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&length), bytes);
    [&length, &crc.to_le_bytes(), bytes].concat()
}
