//! A shard that hangs, in a process that otherwise goes on.

use std::fs;
use std::time::{Duration, Instant};

use super::Cluster;
use crate::support::{Broker, wait_until};

const SESSION: Duration = Duration::from_secs(9);

/// A thread of a broker that the kernel runs no more, until this is dropped: by the thread that made it.
struct Held(libc::pid_t);

impl Held {
    fn thread(node: &Broker, name: &str) -> Held {
        let tasks = fs::read_dir(format!("/proc/{}/task", node.pid())).unwrap();
        let is_it =
            |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name);
        let task = tasks.map(Result::unwrap).find(is_it).expect("a thread of that name");
        let id = task.file_name().into_string().unwrap().parse().unwrap();
        assert_eq!(trace(libc::PTRACE_SEIZE, id), 0, "seize thread {id}");
        assert_eq!(trace(libc::PTRACE_INTERRUPT, id), 0, "stop thread {id}");
        assert_eq!(wait_for(id), id, "thread {id} has stopped");
        Held(id)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if trace(libc::PTRACE_DETACH, self.0) != 0 {
            // It has ended, and so does its process once that is taken note of.
            wait_for(self.0);
        }
    }
}

fn trace(request: libc::c_uint, thread: libc::pid_t) -> libc::c_long {
    // SAFETY: none of the three requests above reads or writes memory through its arguments.
    unsafe { libc::ptrace(request, thread, 0, 0) }
}

/// Until something becomes of a thread that this one traces: its id.
fn wait_for(thread: libc::pid_t) -> libc::pid_t {
    let mut status = 0;
    // SAFETY: writes the status to a variable of this function.
    unsafe { libc::waitpid(thread, &mut status, libc::__WALL) }
}

/// Others lead what it led within the session timeout, though its heartbeats could go on for ever; once it moves again the
/// broker is let in as it is.
#[test]
fn a_shard_that_hangs_keeps_no_leadership() {
    let mut cluster = Cluster::start_with(&[("broker.session.timeout.ms", &SESSION.as_millis().to_string())]);
    cluster.create(0, "t");
    wait_until("all are in sync", || cluster.in_sync(0, None, 3));
    let hung = (cluster.controller() + 1) % 3;
    let other = (hung + 1) % 3;
    assert!(!cluster.is_led_without(other, hung), "it leads something");

    let (held, began) = (Held::thread(&cluster.nodes[hung], "shard-0"), Instant::now());
    wait_until("others lead", || cluster.is_led_without(other, hung));
    let after = began.elapsed();
    assert!(after < SESSION, "after {after:?}");
    drop(held);
    wait_until("all are in sync", || cluster.in_sync(other, None, 3));
    assert!(cluster.nodes[hung].terminate().success());
}
