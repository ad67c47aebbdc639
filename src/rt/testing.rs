//! For the unit tests of all modules: a body that runs on a real shard, whose panics fail the test.

use std::cell::Cell;
use std::future::Future;
use std::panic::resume_unwind;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use super::{Cores, ShardOptions, run_control, run_shards};
use crate::model::ShardId;

/// Small, so that several tests fit into the usual locked-memory limit at once.
const IO_MEMORY: usize = 256 << 10;

thread_local! {
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic on this thread is a test's: it then fails that test instead of ending the process.
pub(super) fn is_caught_by_test() -> bool {
    // A simulated machine is a test by itself, and what it panics about is that test's to judge.
    super::world::current() == super::world::World::Sim || CAUGHT.with(Cell::get)
}

/// Runs `main` on one shard and gives its result. Files may be anywhere on the file system of the temporary directory.
pub fn on_shard<F, Fut, T>(main: F) -> T
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let main = Arc::new(Mutex::new(Some(main)));
    let (sender, result) = channel();
    on_shards(1, move |_| {
        let main = main.lock().unwrap().take().unwrap();
        let sender = sender.clone();
        async move { sender.send(main().await).unwrap() }
    });
    result.recv().unwrap()
}

/// Runs `main` on a control thread and gives its result.
pub fn on_control<F, Fut, T>(main: F) -> T
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let (sender, result) = channel();
    let thread = run_control("control", || async move {
        CAUGHT.with(|caught| caught.set(true));
        let value = main().await;
        sender.send(value).unwrap();
    });
    if let Err(panic) = thread.unwrap().join() {
        resume_unwind(panic);
    }
    result.recv().unwrap()
}

/// Runs `main` on `count` shards, which share the cores there are, until all have returned.
pub fn on_shards<F, Fut>(count: usize, main: F)
where
    F: Fn(ShardId) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let available = Cores::available().ids;
    let options = ShardOptions {
        cores: available.iter().copied().cycle().take(count).collect(),
        io_memory: IO_MEMORY,
        log_dirs: vec![std::env::temp_dir()],
    };
    let caught = move |shard| {
        CAUGHT.with(|caught| caught.set(true));
        main(shard)
    };
    run_shards(options, caught).unwrap().join();
}
