//! Sockets.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;

use crate::rt::testing::on_shard;
use crate::rt::{Listener, Stream, oneshot, sleep, spawn, timeout};

const TIMEOUT: Duration = Duration::from_secs(10);

fn listener() -> Listener {
    Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap()
}

async fn pair() -> (Stream, Stream) {
    let listener = listener();
    let client = Stream::connect(listener.local_addr().unwrap(), TIMEOUT).await.unwrap();
    (client, listener.accept().await.unwrap())
}

#[test]
fn more_slices_than_one_call_takes_reach_a_slow_reader_in_order() {
    on_shard(|| async {
        let (client, server) = pair().await;
        server.set_buffer_sizes(16 << 10, 0);
        client.set_buffer_sizes(0, 16 << 10);
        let data: Bytes = (0..4 << 20).map(|index: u32| (index / 7) as u8).collect();
        let mut slices = vec![Bytes::new()];
        for (index, start) in (0..data.len()).step_by(1000).enumerate() {
            slices.push(data.slice(start..data.len().min(start + 1000)));
            if index % 50 == 0 {
                slices.push(Bytes::new());
            }
        }
        slices.push(Bytes::new());
        assert!(slices.len() > 4 * 1024);
        let (done_tx, done) = oneshot();
        spawn(async move { done_tx.send(server.write_all(&slices).await.is_ok()) });
        let mut received = Vec::new();
        let mut buf = vec![0; 30_000];
        while received.len() < data.len() {
            let count = client.read(&mut buf).await.unwrap();
            assert_ne!(count, 0);
            received.extend_from_slice(&buf[..count]);
            if received.len() < 1 << 20 {
                sleep(Duration::from_millis(1)).await;
            }
        }
        assert!(received == data);
        assert_eq!(done.await, Some(true));
    });
}

#[test]
fn closing_a_listener_ends_its_accept_loop() {
    on_shard(|| async {
        let listener = std::rc::Rc::new(listener());
        let addr = listener.local_addr().unwrap();
        let (done_tx, done) = oneshot();
        let accepting = listener.clone();
        spawn(async move {
            let mut accepted = 0;
            let error = loop {
                match accepting.accept().await {
                    Ok(_) => accepted += 1,
                    Err(error) => break error,
                }
            };
            done_tx.send((accepted, error.kind()));
        });
        let client = Stream::connect(addr, TIMEOUT).await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0, "accepted, and dropped");
        listener.close();
        let (accepted, kind) = timeout(TIMEOUT, done).await.unwrap().unwrap();
        assert_eq!((accepted, kind), (1, ErrorKind::NotConnected));
        assert_eq!(listener.accept().await.err().unwrap().kind(), ErrorKind::NotConnected);
        assert!(Stream::connect(addr, TIMEOUT).await.is_err());
    });
}

#[test]
fn shutdown_wakes_a_reader_and_fails_a_writer() {
    on_shard(|| async {
        let (client, server) = pair().await;
        let reading = server.clone();
        let (read_tx, read) = oneshot();
        spawn(async move { read_tx.send(reading.read(&mut [0; 8]).await.unwrap()) });
        let writing = server.clone();
        let (write_tx, write) = oneshot();
        spawn(async move {
            let flood = [Bytes::from(vec![1; 64 << 20])];
            write_tx.send(writing.write_all(&flood).await.is_err());
        });
        sleep(Duration::from_millis(20)).await; // lets both reach their wait; either order must pass
        server.shutdown();
        assert_eq!(timeout(TIMEOUT, read).await.unwrap(), Some(0));
        assert_eq!(timeout(TIMEOUT, write).await.unwrap(), Some(true));
        drop(client);
    });
}

#[test]
fn a_read_that_timed_out_loses_nothing() {
    on_shard(|| async {
        let (client, server) = pair().await;
        let mut buf = [0; 16];
        assert!(timeout(Duration::from_millis(5), server.read(&mut buf)).await.is_none());
        client.write_all(&[Bytes::from_static(b"late")]).await.unwrap();
        let count = timeout(TIMEOUT, server.read(&mut buf)).await.unwrap().unwrap();
        assert_eq!(&buf[..count], b"late");
        assert_eq!(server.peer().ip(), client.peer().ip());
    });
}

#[test]
fn two_listeners_share_a_port() {
    on_shard(|| async {
        let first = listener();
        let second = Listener::bind(first.local_addr().unwrap()).unwrap();
        assert_eq!(first.local_addr().unwrap(), second.local_addr().unwrap());
    });
}
