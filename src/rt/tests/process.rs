//! What ends the process, or would: tried in a child, which is this test binary again with one test and a variable set.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use crate::rt::testing::on_shard;
use crate::rt::{Cores, ShardOptions, Signal, run_control, run_shards, signals, sleep, spawn};

const CHILD: &str = "CORELANE_TEST_CHILD";

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

fn run_child(test: &str) -> Output {
    let name = format!("rt::tests::process::{test}");
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap()
}

fn assert_aborted(child: &Output) {
    let stderr = String::from_utf8_lossy(&child.stderr);
    assert_eq!(child.status.signal(), Some(libc::SIGABRT), "{stderr}");
    assert!(stderr.contains("the invariant is broken"), "{stderr}");
}

#[test]
fn a_panic_on_a_shard_aborts_the_process() {
    if !is_child() {
        return assert_aborted(&run_child("a_panic_on_a_shard_aborts_the_process"));
    }
    let options = ShardOptions {
        cores: vec![Cores::available().ids[0]],
        io_memory: 128 << 10,
        log_dirs: Vec::new(),
    };
    let shards = run_shards(options, |_| async {
        spawn(async { panic!("the invariant is broken") });
        sleep(Duration::from_secs(20)).await;
    });
    shards.unwrap().join();
}

#[test]
fn a_panic_on_the_control_thread_aborts_the_process() {
    if !is_child() {
        return assert_aborted(&run_child("a_panic_on_the_control_thread_aborts_the_process"));
    }
    let control = run_control("control", || async {
        spawn(async { panic!("the invariant is broken") });
        sleep(Duration::from_secs(20)).await;
    });
    control.unwrap().join().unwrap();
}

#[test]
fn signals_arrive_as_events_in_order() {
    if !is_child() {
        let child = run_child("signals_arrive_as_events_in_order");
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        return;
    }
    let mut events = signals().unwrap().begin();
    let sent = [
        (libc::SIGHUP, Signal::Hangup),
        (libc::SIGUSR1, Signal::User1),
        (libc::SIGINT, Signal::Interrupt),
        (libc::SIGTERM, Signal::Terminate),
    ];
    for (number, expected) in sent {
        // SAFETY: sends a signal to this process, which has a handler for it.
        assert_eq!(unsafe { libc::raise(number) }, 0);
        let mut burst = Vec::new();
        assert!(futures_lite::future::block_on(events.recv_burst(&mut burst, 1)));
        assert_eq!(burst, [expected]);
    }
}

/// Whoever waits for something at its start has nothing to close.
#[test]
fn a_process_that_has_not_begun_ends_when_it_is_told_to() {
    if !is_child() {
        let child = run_child("a_process_that_has_not_begun_ends_when_it_is_told_to");
        assert_eq!(child.status.code(), Some(0));
        assert!(!String::from_utf8_lossy(&child.stdout).contains("goes on"));
        return;
    }
    let _events = signals().unwrap();
    // SAFETY: sends a signal to this process, which has a handler for it.
    assert_eq!(unsafe { libc::raise(libc::SIGTERM) }, 0);
    thread::sleep(Duration::from_secs(60));
    println!("goes on");
}

#[test]
#[should_panic = "a test's own failure"]
fn a_failed_assertion_on_a_shard_fails_its_test_only() {
    on_shard(|| async { panic!("a test's own failure") });
}

#[test]
fn shards_that_cannot_all_start_do_not_start() {
    let options = ShardOptions {
        cores: vec![Cores::available().ids[0], 100_000],
        io_memory: 128 << 10,
        log_dirs: Vec::new(),
    };
    let started = run_shards(options, |_| async { unreachable!("no shard may run") });
    assert!(started.is_err());
}
