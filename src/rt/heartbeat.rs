//! Keeps executors awake that have work to do, and shows that they live.
//!
//! glommio parks an executor although tasks are ready when the preempt timer has run out before the first of them had its
//! turn. Any event wakes it then, so each shard has a tick: a task that sleeps a little, for ever. That is not enough
//! when the tick itself is among the tasks that were ready, or when the executor has not come to run its first task
//! yet: no timer is left. So one thread looks whether each shard's tick still goes on, and sends a signal to the shard
//! that it does not find going: its wait in the kernel ends, and the executor looks at its tasks again.

use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::home::reclaim;

/// A stalled executor wakes after at most this long, or…
const TICK: Duration = Duration::from_millis(10);
/// …this long, when it had nothing to do for a second.
const TICK_IDLE: Duration = Duration::from_millis(100);
const WINDOW: Duration = Duration::from_secs(1);
/// Task runs in a window that still count as idle: the ticks' own (100), and those of timers that look whether there is
/// something to do.
const IDLE_TASK_RUNS_MAX: u64 = 250;
/// How often the shards are looked at from outside; longer than the longest tick.
const LOOK: Duration = Duration::from_millis(250);
/// Does nothing, and is ignored where it is not caught.
const KICK: libc::c_int = libc::SIGURG;

/// A shard's counter of ticks, readable from any thread: one that stands still for seconds belongs to a shard that hangs.
#[derive(Debug, Default)]
pub struct Heartbeat {
    beats: AtomicU64,
    /// The shard's thread, as the kernel numbers it; 0 before it runs.
    thread: AtomicI32,
}

impl Heartbeat {
    /// Grows by 10 to 100 a second.
    pub fn count(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// This thread runs the shard from now on.
    pub(super) fn start(&self) {
        // SAFETY: takes nothing and touches no memory.
        let thread = unsafe { libc::gettid() };
        self.thread.store(thread, Ordering::Relaxed);
    }

    fn kick(&self) {
        let thread = self.thread.load(Ordering::Relaxed);
        if thread != 0 {
            // SAFETY: touches no memory. Should the thread have ended, and another one of this process have got its
            // number: the signal does nothing there.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, KICK) };
        }
    }
}

/// A shard's tick. Frees what other shards gave back, too.
pub(super) async fn tick(heartbeat: Arc<Heartbeat>) {
    let mut is_idle = false;
    let (mut task_runs, mut elapsed) = (0, Duration::ZERO);
    loop {
        let pause = if is_idle { TICK_IDLE } else { TICK };
        glommio::timer::sleep(pause).await;
        heartbeat.beats.fetch_add(1, Ordering::Relaxed);
        reclaim();
        task_runs += glommio::executor().executor_stats().tasks_executed();
        elapsed += pause;
        let is_busy = task_runs > IDLE_TASK_RUNS_MAX;
        if is_busy || elapsed >= WINDOW {
            is_idle = !is_busy;
            (task_runs, elapsed) = (0, Duration::ZERO);
        }
    }
}

/// Starts the thread that looks after these shards. It ends once every clone of what it returns is dropped, of which
/// each shard's thread is to hold one.
pub(super) fn look_after(shards: Vec<Arc<Heartbeat>>) -> io::Result<Sender<()>> {
    catch_kicks()?;
    let (alive, all_ended) = channel();
    thread::Builder::new()
        .name("heartbeat".to_owned())
        .spawn(move || look(&shards, &all_ended))?;
    Ok(alive)
}

fn look(shards: &[Arc<Heartbeat>], all_ended: &Receiver<()>) {
    let mut seen: Vec<u64> = shards.iter().map(|shard| shard.count()).collect();
    while let Err(RecvTimeoutError::Timeout) = all_ended.recv_timeout(LOOK) {
        for (shard, seen) in shards.iter().zip(&mut seen) {
            let count = shard.count();
            if count == *seen {
                shard.kick();
            }
            *seen = count;
        }
    }
}

/// A handler, so that the signal interrupts a wait; without SA_RESTART, so that the wait is not taken up again.
fn catch_kicks() -> io::Result<()> {
    extern "C" fn do_nothing(_: libc::c_int) {}
    // SAFETY: the struct is made of integers and an optional function, for which zeros are valid.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = do_nothing as extern "C" fn(libc::c_int) as usize;
    // SAFETY: `action` is a valid sigaction with an empty mask, and its handler may run anywhere: it does nothing.
    match unsafe { libc::sigaction(KICK, &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
