//! Threads: one pinned executor per shard, and the control thread.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use glommio::io::OpenOptions;
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};

use super::home::{HomeGuard, reclaim};
use super::world::{World, current, enter};
use super::{blocking, cgroup, host};
use crate::model::ShardId;

/// How long a queue of tasks may run before the executor looks at I/O, timers and other threads' messages again.
/// Below 10 ms the executor can fall asleep with work to do; above 100 ms messages wait too long.
const PREEMPT_TIMER: Duration = Duration::from_millis(20);
/// Entries of each ring's submission queue.
const RING_DEPTH: usize = 1024;
/// An executor that fell asleep with work to do (see [`tick`]) wakes after at most this long, or…
const TICK: Duration = Duration::from_millis(10);
/// …this long, when it had nothing to do for a second.
const TICK_IDLE: Duration = Duration::from_millis(100);
const IDLE_TICKS_BEFORE_STRETCHING: u32 = 100;
/// Task runs between two ticks that still count as idle: the tick's own, and a timer's.
const IDLE_TASK_RUNS_MAX: u64 = 2;

/// A file in each log directory that every executor reads first.
pub const PROBE_FILE: &str = ".corelane-probe";
const PROBE_FILE_BYTES: usize = 4096;

/// The cores that this process may use: its affinity mask, capped by the cgroup's quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores {
    pub ids: Vec<usize>,
}

impl Cores {
    /// At least one. A quota of 2.5 cores gives 2: a shard that is throttled stalls all its clients.
    pub fn available() -> Cores {
        let affinity = core_affinity::get_core_ids().unwrap_or_default();
        let mut ids: Vec<usize> = affinity.iter().map(|core| core.id).collect();
        if ids.is_empty() {
            ids.push(0);
        }
        if let Some(quota) = cgroup::quota_cores() {
            ids.truncate(quota.max(1));
        }
        Cores { ids }
    }
}

#[derive(Clone)]
pub struct ShardOptions {
    /// One entry per shard: the core that it is pinned to. Cores may repeat.
    pub cores: Vec<usize>,
    /// Bytes of registered I/O memory per shard.
    pub io_memory: usize,
    /// Log directories: each executor first reads a probe file there, which is made if missing (runtime-and-io D2).
    pub log_dirs: Vec<PathBuf>,
}

/// The running shard threads.
pub struct Shards {
    threads: Vec<JoinHandle<()>>,
}

impl Shards {
    /// Waits until every shard's future has returned. A panic on a shard aborts the process before this returns.
    pub fn join(self) {
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// Starts one thread and executor per core entry and runs `main(shard)` on each. All of them start, or none.
pub fn run_shards<F, Fut>(options: ShardOptions, main: F) -> io::Result<Shards>
where
    F: Fn(ShardId) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    abort_on_panic();
    host::io_uring().map_err(io::Error::other)?; // without it glommio panics
    for dir in &options.log_dirs {
        make_probe_file(dir)?;
    }
    let mut starting = Vec::new();
    for (index, &core) in options.cores.iter().enumerate() {
        let shard = ShardId(u16::try_from(index).map_err(io::Error::other)?);
        starting.push(start_shard(shard, core, &options, main.clone())?);
    }
    // Dropping `starting` on an error here closes the `go` channels, and the threads end without running anything.
    for shard in &starting {
        shard.ready.recv().map_err(io::Error::other)??;
    }
    let mut threads = Vec::new();
    for shard in starting {
        shard.go.send(()).map_err(io::Error::other)?;
        threads.push(shard.thread);
    }
    Ok(Shards { threads })
}

/// A shard whose thread builds its executor and then waits for the others'.
struct Starting {
    thread: JoinHandle<()>,
    ready: Receiver<io::Result<()>>,
    go: Sender<()>,
}

fn start_shard<F, Fut>(shard: ShardId, core: usize, options: &ShardOptions, main: F) -> io::Result<Starting>
where
    F: FnOnce(ShardId) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let (ready_tx, ready) = channel();
    let (go, go_rx) = channel();
    let name = format!("shard-{}", shard.0);
    let io_memory = options.io_memory;
    let log_dirs = options.log_dirs.clone();
    let thread = thread::Builder::new().name(name.clone()).spawn(move || {
        let built = build_executor(&name, core, io_memory);
        let (built, result) = match built {
            Ok(executor) => (Some(executor), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let told = ready_tx.send(result);
        if let (Some(executor), Ok(()), Ok(())) = (built, told, go_rx.recv()) {
            run_executor(executor, log_dirs, || main(shard));
        }
    })?;
    Ok(Starting { thread, ready, go })
}

fn build_executor(name: &str, core: usize, io_memory: usize) -> io::Result<LocalExecutor> {
    LocalExecutorBuilder::new(Placement::Fixed(core))
        .name(name)
        .preempt_timer(PREEMPT_TIMER)
        .ring_depth(RING_DEPTH)
        .io_memory(io_memory)
        .make()
        .map_err(|error| io::Error::other(format!("executor on core {core}: {error}")))
}

fn run_executor<Fut: Future<Output = ()>>(executor: LocalExecutor, log_dirs: Vec<PathBuf>, main: impl FnOnce() -> Fut) {
    let _home = HomeGuard::new(); // outlives the executor, which is moved into `run` and dropped below
    enter(World::Shard);
    executor.run(async move {
        for dir in &log_dirs {
            read_probe_file(dir).await;
        }
        glommio::spawn_local(tick()).detach();
        main().await;
    });
    drop(executor);
}

/// Wakes the executor every [`TICK`].
///
/// glommio may park although tasks are ready, when the preempt timer fires before the first queue had its turn; any
/// event wakes it, and this is the one that is sure to come. It also frees the buffers that other shards gave back.
async fn tick() {
    let mut idle_ticks = 0;
    loop {
        let stretched = idle_ticks >= IDLE_TICKS_BEFORE_STRETCHING;
        glommio::timer::sleep(if stretched { TICK_IDLE } else { TICK }).await;
        reclaim();
        let task_runs = glommio::executor().executor_stats().tasks_executed();
        idle_ticks = if task_runs <= IDLE_TASK_RUNS_MAX {
            idle_ticks + 1
        } else {
            0
        };
    }
}

/// glommio takes the first file that an executor opens on a device for a test of polled I/O, and an empty one passes
/// that test on every device; all reads then fail. So the first file is one that is not empty.
async fn read_probe_file(dir: &Path) {
    let opened = OpenOptions::new().read(true).dma_open(dir.join(PROBE_FILE)).await;
    let closed = match opened {
        Ok(file) => file.close().await,
        Err(error) => Err(error),
    };
    if let Err(error) = closed {
        // The directory's first real file will fail the same way, where its log can go offline.
        tracing::warn!(dir = %dir.display(), %error, "probe file cannot be read");
    }
}

fn make_probe_file(dir: &Path) -> io::Result<()> {
    let path = dir.join(PROBE_FILE);
    match blocking::read_file(&path) {
        Ok(content) if content.len() >= PROBE_FILE_BYTES => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    blocking::write_file_atomic(&path, &[0; PROBE_FILE_BYTES])
}

/// Runs `main` on a thread of its own with a small event loop (tokio current_thread); `spawn`, `sleep` and lanes work there.
pub fn run_control<F, Fut>(name: &str, main: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    abort_on_panic();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        enter(World::Control);
        tokio::task::LocalSet::new().block_on(&runtime, async move { main().await });
    })
}

/// From now on a panic on a shard or on the control thread is logged and ends the process: half a broker that still
/// holds its leaderships is worse than none.
fn abort_on_panic() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            report(panic);
            if current() == World::Plain || is_caught_by_test() {
                return;
            }
            let thread = thread::current();
            tracing::error!(thread = thread.name(), %panic, "aborting after a panic");
            std::process::abort();
        }));
    });
}

#[cfg(not(test))]
fn is_caught_by_test() -> bool {
    false
}
#[cfg(test)]
use super::testing::is_caught_by_test;
