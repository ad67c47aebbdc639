//! Threads: one pinned executor per shard, and the control thread.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Once};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use glommio::io::OpenOptions;
use glommio::{GlommioError, LocalExecutor, LocalExecutorBuilder, Placement};

use super::heartbeat::{Heartbeat, look_after, tick};
use super::home::{HomeGuard, answer_doorbell};
use super::world::{World, current, enter};
use super::{blocking, cgroup, host};
use crate::model::ShardId;

/// How long a queue of tasks may run before the executor looks at I/O, timers and other threads' messages again.
/// Below 10 ms the executor can fall asleep with work to do; above 100 ms messages wait too long. Shards that share a core
/// need more: the time runs on while the others have the core.
const PREEMPT_TIMER: Duration = Duration::from_millis(20);
const PREEMPT_TIMER_MAX: Duration = Duration::from_millis(100);
/// Entries of each ring's submission queue.
const RING_DEPTH: usize = 1024;
/// A file in each log directory that every executor reads first.
const PROBE_FILE: &str = ".corelane-probe";

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
    heartbeats: Vec<Arc<Heartbeat>>,
}

impl Shards {
    /// One per shard, in their order, for the watchdog.
    pub fn heartbeats(&self) -> Vec<Arc<Heartbeat>> {
        self.heartbeats.clone()
    }

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
    let heartbeats: Vec<_> = options.cores.iter().map(|_| Arc::<Heartbeat>::default()).collect();
    let alive = look_after(heartbeats.clone())?;
    let mut starting = Vec::new();
    for (index, (&core, heartbeat)) in options.cores.iter().zip(&heartbeats).enumerate() {
        let seat = Seat {
            shard: ShardId(u16::try_from(index).map_err(io::Error::other)?),
            core,
            preempt_timer: preempt_timer(&options.cores, core),
            io_memory: options.io_memory,
            log_dirs: options.log_dirs.clone(),
            heartbeat: heartbeat.clone(),
            _alive: alive.clone(),
        };
        starting.push(start_shard(seat, main.clone())?);
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
    Ok(Shards { threads, heartbeats })
}

fn preempt_timer(cores: &[usize], core: usize) -> Duration {
    let sharing = cores.iter().filter(|other| **other == core).count();
    (PREEMPT_TIMER * sharing as u32).min(PREEMPT_TIMER_MAX)
}

/// What one shard's thread runs with.
struct Seat {
    shard: ShardId,
    core: usize,
    preempt_timer: Duration,
    io_memory: usize,
    log_dirs: Vec<PathBuf>,
    heartbeat: Arc<Heartbeat>,
    /// Dropped when the thread ends.
    _alive: Sender<()>,
}

/// A shard whose thread builds its executor and then waits for the others'.
struct Starting {
    thread: JoinHandle<()>,
    ready: Receiver<io::Result<()>>,
    go: Sender<()>,
}

fn start_shard<F, Fut>(seat: Seat, main: F) -> io::Result<Starting>
where
    F: FnOnce(ShardId) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let (ready_tx, ready) = channel();
    let (go, go_rx) = channel();
    let name = format!("shard-{}", seat.shard.0);
    let thread = thread::Builder::new().name(name.clone()).spawn(move || {
        let (executor, result) = match build_executor(&name, &seat) {
            Ok(executor) => (Some(executor), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let told = ready_tx.send(result);
        if let (Some(executor), Ok(()), Ok(())) = (executor, told, go_rx.recv()) {
            run_executor(executor, &seat, main);
        }
    })?;
    Ok(Starting { thread, ready, go })
}

fn build_executor(name: &str, seat: &Seat) -> io::Result<LocalExecutor> {
    let build = || {
        LocalExecutorBuilder::new(Placement::Fixed(seat.core))
            .name(name)
            .preempt_timer(seat.preempt_timer)
            .ring_depth(RING_DEPTH)
            .io_memory(seat.io_memory)
            .make()
    };
    host::with_locked_memory(build, is_out_of_memory).map_err(|error| {
        let cure = if is_out_of_memory(&error) {
            LOCKED_MEMORY_TAKEN
        } else {
            ""
        };
        io::Error::other(format!("executor on core {}: {error}{cure}", seat.core))
    })
}

/// Preflight knows the limit, and not what others have of it.
const LOCKED_MEMORY_TAKEN: &str = ": the limit of locked memory holds for all processes of a user together, and others \
    have most of it; raise it (LimitMEMLOCK=infinity in the unit, `ulimit -l unlimited` in a shell), or stop them";

fn is_out_of_memory(error: &GlommioError<()>) -> bool {
    matches!(error, GlommioError::IoError(error) if error.raw_os_error() == Some(libc::ENOMEM))
}

fn run_executor<Fut: Future<Output = ()>>(executor: LocalExecutor, seat: &Seat, main: impl FnOnce(ShardId) -> Fut) {
    seat.heartbeat.start();
    let _home = HomeGuard::new();
    let executor = executor; // after the guard, so that it goes before it, also when a panic unwinds
    enter(World::Shard);
    executor.run(async move {
        for dir in &seat.log_dirs {
            read_probe_file(dir).await;
        }
        glommio::spawn_local(answer_doorbell()).detach();
        glommio::spawn_local(tick(seat.heartbeat.clone())).detach();
        main(seat.shard).await;
    });
}

/// glommio takes the first file that an executor opens on a device for a test of polled I/O, and one that is empty or a
/// hole passes that test on every device; all reads then fail. So the first file is one with something in it.
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

/// Makes the file that each executor reads first in a log directory. Zeros do not do: a copy of them may be a hole.
pub(super) fn make_probe_file(dir: &Path) -> io::Result<()> {
    const CONTENT: [u8; 4096] = [b'.'; 4096];
    let path = dir.join(PROBE_FILE);
    match blocking::read_file(&path) {
        Ok(content) if content == CONTENT => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    blocking::write_file_atomic(&path, &CONTENT)
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
