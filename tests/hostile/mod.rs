//! Hostile and broken bytes on the port: they cost a closed connection and a counter, never a panic, a hang or memory.

mod groups;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Broker, PATIENCE, answers_api_versions, wait_until};

/// What a broker may grow by while it is attacked, in KiB, on top of its configured budgets.
const GROWTH_KIB_MAX: u64 = 64 << 10;

fn broker() -> Broker {
    Broker::start(&[
        ("shard.count", "2"),
        ("shard.request.memory.bytes", "33554432"),
        ("shard.cache.bytes", "16777216"),
        ("connections.max.idle.ms", "2000"),
    ])
}

fn connect(broker: &Broker) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", broker.port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes and reads until the broker closes; a broker that answers nothing and keeps the connection fails here.
fn send_until_closed(broker: &Broker, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(broker);
    // It may close while we are still writing.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => answer,
        Err(problem) if problem.kind() == ErrorKind::ConnectionReset => answer,
        Err(problem) => panic!("the connection stays open after {} bytes: {problem}", bytes.len()),
    }
}

/// A frame: key, version, correlation id, null client id, body.
fn frame(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend((10 + body.len() as i32).to_be_bytes());
    frame.extend(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend([0, 0, 0, 1, 0xff, 0xff]);
    frame.extend(body);
    frame
}

#[test]
fn a_zookeeper_clients_hello_is_closed() {
    let broker = broker();
    // Reads as Produce v0 with acks=0, a timeout and no topics.
    let hello = [
        0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x75, 0x30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    assert!(send_until_closed(&broker, &hello).is_empty());
    assert!(answers_api_versions(&broker.bootstrap()));
}

#[test]
fn impossible_lengths_are_closed_and_cost_no_memory() {
    let broker = broker();
    let before = broker.rss_kib();
    for length in [-1, i32::MIN, i32::MAX, 104_857_601] {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend([0; 64]);
        assert!(send_until_closed(&broker, &bytes).is_empty(), "length {length}");
    }
    // Allowed lengths with nothing behind them: admitted against the budget, not allocated ahead.
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = connect(&broker);
            stream.write_all(&104_857_600_i32.to_be_bytes()).unwrap();
            stream.write_all(&[0, 0, 0, 9]).unwrap();
            stream
        })
        .collect();
    assert!(answers_api_versions(&broker.bootstrap()), "others are still served");
    let grown = broker.rss_kib().saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "grew by {grown} KiB");
    drop(waiting);
}

#[test]
fn every_request_may_be_cut_anywhere() {
    let broker = broker();
    for (key, version) in [
        (0, 9),
        (1, 12),
        (2, 7),
        (3, 12),
        (18, 3),
        (19, 7),
        (20, 6),
        (22, 4),
        (32, 4),
        (44, 1),
        (60, 0),
        (75, 0),
    ] {
        for length in 0..24 {
            send_until_closed(&broker, &frame(key, version, &vec![0; length]));
            send_until_closed(&broker, &frame(key, version, &vec![0xff; length]));
            send_until_closed(&broker, &frame(key, version, &vec![0x7f; length]));
        }
    }
    assert!(answers_api_versions(&broker.bootstrap()));
}

#[test]
fn arrays_that_announce_billions_cost_no_memory() {
    let broker = broker();
    let before = broker.rss_kib();
    for version in 0..=13 {
        for announced in [&[0x7f, 0xff, 0xff, 0xff][..], &[0xff, 0xff, 0xff, 0xff, 0x0f]] {
            let mut body = announced.to_vec();
            body.resize(200_000, 0);
            send_until_closed(&broker, &frame(3, version, &body));
        }
    }
    assert!(answers_api_versions(&broker.bootstrap()));
    let grown = broker.rss_kib().saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "grew by {grown} KiB");
}

#[test]
fn random_bytes_are_survived() {
    let broker = broker();
    let before = broker.rss_kib();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..400 {
        let mut body: Vec<u8> = (0..next() % 600).map(|_| next() as u8).collect();
        if round % 2 == 0 {
            // A plausible frame around them, so that they get past the framing.
            body = frame((next() % 76) as i16, (next() % 14) as i16, &body);
        }
        send_until_closed(&broker, &body);
    }
    assert!(answers_api_versions(&broker.bootstrap()));
    assert!(broker.rss_kib().saturating_sub(before) < GROWTH_KIB_MAX);
}

#[test]
fn a_slow_sender_is_closed_when_idle() {
    let broker = broker();
    let mut stream = connect(&broker);
    let request = frame(3, 1, &[0xff, 0xff, 0xff, 0xff]);
    stream.write_all(&request[..5]).unwrap();
    let begun = Instant::now();
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest);
    assert!(
        ended.is_ok() && rest.is_empty(),
        "{ended:?}: the broker closes, and says nothing"
    );
    assert!(
        begun.elapsed() >= Duration::from_millis(1500),
        "not before connections.max.idle.ms"
    );
}

/// They announce as much as the shard admits, and send next to nothing: everybody else is served meanwhile.
#[test]
fn large_requests_that_never_come_hold_up_no_small_ones() {
    const ANNOUNCED: u32 = 104_857_000;
    let broker = Broker::start(&[("shard.count", "1")]);
    let slow: Vec<TcpStream> = (0..3).map(|_| connect(&broker)).collect();
    for mut stream in &slow {
        stream.write_all(&ANNOUNCED.to_be_bytes()).unwrap();
        stream.write_all(&[0; 100]).unwrap();
    }
    wait_until("some of them wait", || {
        broker.metric("corelane_request_memory_waits_total") > 0
    });
    for _ in 0..20 {
        assert!(answers_api_versions(&broker.bootstrap()));
    }
    broker.tool("topics", "--list", "");
    drop(slow);
}

#[test]
fn ten_thousand_idle_connections_leave_room_for_work() {
    let wanted = (raise_descriptors() / 2).min(10_000) as usize;
    let broker = Broker::start(&[("shard.count", "2")]);
    let before = broker.rss_kib();
    let idle: Vec<_> = (0..wanted).map(|_| connect(&broker)).collect();
    wait_until("the broker serves beside them", || {
        answers_api_versions(&broker.bootstrap())
    });
    let per_connection = (broker.rss_kib().saturating_sub(before)) * 1024 / wanted as u64;
    eprintln!("{wanted} idle connections, {per_connection} bytes each");
    assert!(per_connection < 16 << 10, "{per_connection} bytes per idle connection");
    drop(idle);
    wait_until("the broker serves after them", || {
        answers_api_versions(&broker.bootstrap())
    });
}

/// Raises this process's soft limit of descriptors to the hard one, and returns it. The broker inherits it.
fn raise_descriptors() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid for both calls.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
    }
    limit.rlim_cur
}
