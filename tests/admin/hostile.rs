//! Clients of the admin port that are slow, many, or send without end.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::{Admin, get};
use crate::support::wait_until;

/// A page of another site, which has given its own name this address, gets nothing; nobody can change anything.
#[test]
fn other_names_and_other_methods_are_refused() {
    let admin = Admin::start(&[]);
    assert_eq!(get(admin.port, "/v1/config", "evil.example").0, 403);
    assert_eq!(get(admin.port, "/metrics", "evil.example:80").0, 403);
    let (code, head, _) = get(admin.port, "/", "localhost");
    assert_eq!(code, 200);
    assert!(head.contains("x-frame-options: deny"), "{head}");
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let mut stream = TcpStream::connect(("127.0.0.1", admin.port)).unwrap();
        write!(
            stream,
            "{method} /v1/config HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 405"), "{method}: {answer}");
    }
}

/// A head without end is cut off; garbage is refused; the port goes on.
#[test]
fn huge_heads_and_garbage_cost_their_connection() {
    let admin = Admin::start(&[]);
    let mut stream = TcpStream::connect(("127.0.0.1", admin.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let header = [b"X-Long: ".as_slice(), &[b'x'; 8 << 10], b"\r\n"].concat();
    let mut sent = stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n");
    for _ in 0..1_000 {
        sent = sent.and_then(|()| stream.write_all(&header));
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    for garbage in [
        &[0; 4096][..],
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", admin.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(garbage).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{garbage:?}");
    }
    assert_eq!(admin.get("/livez").0, 200);
}

/// How long a connection may hold its place without asking for anything, or without reading its answer.
const STILL_FOR: Duration = Duration::from_secs(10);

/// More connections than there are places, silent or not reading what they asked for: whoever comes is answered all the same,
/// before any of their times is over.
#[test]
fn still_connections_hold_nobody_up() {
    let admin = Admin::start(&[]);
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000);
    for asks in [false, true] {
        let begun = Instant::now();
        let still: Vec<_> = (0..100).map(|_| narrow(admin.port)).collect();
        if asks {
            // Far more answers than the kernel keeps for a reader.
            still
                .iter()
                .for_each(|mut stream| drop(stream.write_all(request.as_bytes())));
        }
        for _ in 0..10 {
            assert_eq!(admin.get("/livez").0, 200);
        }
        // Their number is bounded: the first ones have given their places up.
        let mut first = &still[0];
        first.set_read_timeout(Some(STILL_FOR)).unwrap();
        let mut answers = Vec::new();
        let ended = first.read_to_end(&mut answers);
        assert!(
            !ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
            "asking: {asks}"
        );
        assert!(begun.elapsed() < STILL_FOR, "asking: {asks}");
    }
}

/// A connection for which the kernel keeps little that was not read: a hundred of them cost no time to fill.
fn narrow(port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket
        .connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())
        .unwrap();
    socket.into()
}

/// What does not read its answer is cut off, in less time than an idle connection may have.
#[test]
fn an_answer_that_nobody_reads_is_cut_off() {
    let admin = Admin::start(&[]);
    let mut stream = TcpStream::connect(("127.0.0.1", admin.port)).unwrap();
    let begun = Instant::now();
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000);
    wait_until("the connection is closed", || {
        stream.write_all(request.as_bytes()).is_err()
    });
    assert!(begun.elapsed() >= Duration::from_secs(5), "it was given time");
}

/// What a half-sent request holds is given back in time, however its bytes drip.
#[test]
fn a_dripping_request_is_cut_off() {
    let admin = Admin::start(&[]);
    let mut stream = TcpStream::connect(("127.0.0.1", admin.port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    wait_until("the connection is closed", || {
        let sent = stream.write_all(b"G");
        let read = stream.read(&mut [0; 64]);
        sent.is_err()
            || matches!(read, Ok(0))
            || read.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    });
}
