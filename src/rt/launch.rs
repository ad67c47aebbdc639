//! Threads: one pinned executor per shard, and the control thread.

use std::future::Future;
use std::path::PathBuf;

use crate::model::ShardId;

/// The cores that this process may use: its affinity mask, capped by the cgroup's quota.
pub struct Cores {
    pub ids: Vec<usize>,
}
impl Cores {
    pub fn available() -> Cores {
        todo!()
    }
}

#[derive(Clone)]
pub struct ShardOptions {
    /// One entry per shard: the core that it is pinned to. Cores may repeat.
    pub cores: Vec<usize>,
    /// Bytes of registered I/O memory per shard.
    pub io_memory: usize,
    /// Log directories: each executor first opens a probe file of at least 4 KiB there (runtime-and-io D2).
    pub log_dirs: Vec<PathBuf>,
}

/// The running shard threads.
pub struct Shards {}
impl Shards {
    /// Waits until every shard's future has returned. A panic on a shard aborts the process before this returns.
    pub fn join(self) {
        todo!()
    }
}

/// Starts one thread and executor per core entry and runs `main(shard)` on each.
pub fn run_shards<F, Fut>(options: ShardOptions, main: F) -> std::io::Result<Shards>
where
    F: Fn(ShardId) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let _ = (options, main);
    todo!()
}

/// Runs `main` on a thread of its own with a small event loop (tokio current_thread); `spawn`, `sleep` and lanes work there.
pub fn run_control<F, Fut>(name: &str, main: F) -> std::io::Result<std::thread::JoinHandle<()>>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let _ = (name, main);
    todo!()
}
