//! Lanes and one-shot replies.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use futures_lite::future::block_on;

use crate::rt::testing::{on_control, on_shard, on_shards};
use crate::rt::{OneshotTx, Tx, lane, oneshot, sleep, spawn, timeout};

const TIMEOUT: Duration = Duration::from_secs(20);

#[test]
fn a_lane_holds_its_limit_and_gives_the_rest_back() {
    let (tx, mut rx) = lane(2);
    assert!(tx.try_send(1).is_ok());
    assert!(tx.try_send(2).is_ok());
    assert_eq!(tx.try_send(3).unwrap_err().0, 3);
    let mut burst = Vec::new();
    assert!(block_on(rx.recv_burst(&mut burst, 1)));
    assert_eq!(burst, [1]);
    let mut queue = VecDeque::from([3, 4, 5]);
    tx.try_send_all(&mut queue);
    assert_eq!(queue, [4, 5]);
    assert_eq!(rx.try_recv_burst(&mut burst, 10), 2);
    assert_eq!(burst, [1, 2, 3]);
    assert_eq!(rx.try_recv_burst(&mut burst, 10), 0);
}

#[test]
fn a_lane_ends_with_its_senders_after_the_last_message() {
    let (tx, mut rx) = lane(4);
    let other = tx.clone();
    drop(tx);
    other.try_send(1).unwrap();
    drop(other);
    let mut burst = Vec::new();
    assert!(block_on(rx.recv_burst(&mut burst, 4)));
    assert!(!block_on(rx.recv_burst(&mut burst, 4)));
    assert_eq!(burst, [1]);
}

#[test]
fn senders_learn_that_the_receiver_is_gone() {
    let (tx, rx) = lane(4);
    assert!(!tx.is_closed());
    drop(rx);
    assert!(tx.is_closed());
    assert_eq!(tx.try_send(1).unwrap_err().0, 1);
    let mut queue = VecDeque::from([1]);
    tx.try_send_all(&mut queue);
    assert_eq!(queue, [1]);
}

/// A message may hold the sending end of its own lane: dropping the lane must not lock it twice.
#[test]
fn a_lane_may_hold_its_own_sender() {
    struct Message(#[expect(dead_code, reason = "held for its drop")] Tx<Message>);
    let (tx, rx) = lane(4);
    assert!(tx.try_send(Message(tx.clone())).is_ok());
    drop(rx);
    assert!(tx.is_closed());
}

#[test]
fn a_reply_comes_once_or_its_loss_is_told() {
    let (tx, rx) = oneshot();
    tx.send(5);
    assert_eq!(block_on(rx), Some(5));
    let (tx, rx) = oneshot::<u8>();
    drop(tx);
    assert_eq!(block_on(rx), None);
    let (tx, rx) = oneshot::<u8>();
    let waiting = thread::spawn(move || block_on(rx));
    tx.send(7);
    assert_eq!(waiting.join().unwrap(), Some(7));
}

fn count_from_threads(tx: Tx<(usize, usize)>, threads: usize, each: usize) -> Vec<thread::JoinHandle<()>> {
    let start = |sender| {
        let tx = tx.clone();
        thread::spawn(move || {
            let mut waiting = VecDeque::new();
            for number in 0..each {
                waiting.push_back((sender, number));
                if number % 7 == 0 {
                    tx.try_send_all(&mut waiting);
                }
            }
            while !waiting.is_empty() {
                tx.try_send_all(&mut waiting);
                thread::yield_now();
            }
        })
    };
    (0..threads).map(start).collect()
}

/// Nothing is lost or reordered between one sender and the receiver, whoever is quicker.
#[test]
fn foreign_threads_reach_a_busy_shard_in_order() {
    const THREADS: usize = 4;
    const EACH: usize = 50_000;
    let (tx, mut rx) = lane(1024);
    let threads = count_from_threads(tx, THREADS, EACH);
    let next = on_shard(|| async move {
        let (mut next, mut burst) = ([0; THREADS], Vec::new());
        while timeout(TIMEOUT, rx.recv_burst(&mut burst, 256)).await.unwrap() {
            for (sender, number) in burst.drain(..) {
                assert_eq!(number, next[sender]);
                next[sender] += 1;
            }
        }
        next
    });
    assert_eq!(next, [EACH; THREADS]);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Each question finds the shard asleep and each answer the thread: a lost wake-up would be a time-out. The tick must
/// not be what saves them either: with it alone 2,000 round trips would take 20 seconds.
#[test]
fn round_trips_between_sleepers_are_never_lost() {
    const ROUNDS: usize = 2_000;
    const EXPECTED_MAX: Duration = Duration::from_secs(10);
    let (tx, mut rx) = lane::<(usize, OneshotTx<usize>)>(1024);
    let asking = thread::spawn(move || {
        let start = std::time::Instant::now();
        for round in 0..ROUNDS {
            let (reply_tx, reply) = oneshot();
            tx.try_send((round, reply_tx)).unwrap();
            assert_eq!(block_on(reply), Some(round + 1));
        }
        start.elapsed()
    });
    on_shard(|| async move {
        let mut burst = Vec::new();
        while timeout(TIMEOUT, rx.recv_burst(&mut burst, 16)).await.unwrap() {
            for (round, reply) in burst.drain(..) {
                reply.send(round + 1);
            }
        }
    });
    assert!(asking.join().unwrap() < EXPECTED_MAX);
}

/// A ring of shards and the control thread passes a token around.
#[test]
fn shards_and_the_control_thread_reach_each_other() {
    const ROUNDS: u32 = 1_000;
    let (to_shard, at_shard) = lane::<u32>(16);
    let (to_control, mut at_control) = lane::<u32>(16);
    let ends = std::sync::Arc::new(std::sync::Mutex::new(Some((at_shard, to_control))));
    let control = thread::spawn(move || {
        on_control(|| async move {
            to_shard.try_send(0).unwrap();
            let mut burst = Vec::new();
            while timeout(TIMEOUT, at_control.recv_burst(&mut burst, 4)).await.unwrap() {
                let token = burst.pop().unwrap();
                if token == ROUNDS {
                    break;
                }
                to_shard.try_send(token).unwrap();
            }
        });
    });
    on_shards(2, move |shard| {
        let ends = ends.clone();
        async move {
            if shard.0 != 1 {
                return;
            }
            let (mut at_shard, to_control) = ends.lock().unwrap().take().unwrap();
            let mut burst = Vec::new();
            while timeout(TIMEOUT, at_shard.recv_burst(&mut burst, 4)).await.unwrap() {
                to_control.try_send(burst.pop().unwrap() + 1).unwrap();
            }
        }
    });
    control.join().unwrap();
}

/// A task that a shard leaves behind is never dropped; waking it from elsewhere must do no harm.
#[test]
fn a_message_to_a_shard_that_has_ended_does_no_harm() {
    let (tx, mut rx) = lane::<u32>(16);
    on_shard(|| async move {
        spawn(async move {
            let mut burst = Vec::new();
            while rx.recv_burst(&mut burst, 4).await {}
        });
        sleep(Duration::from_millis(5)).await; // the task waits now
    });
    tx.try_send(1).unwrap();
    drop(tx);
}
