//! The simulated arm of the seam: a disk, a clock and a scheduler that one seed decides. Only in test builds.
//!
//! A [`World`] is one machine in one thread. Whatever runs inside [`World::run`] finds it behind the functions of
//! [`super`]: files and directories are on its disk, `now` and `sleep` follow its clock, which jumps to the next timer
//! when nothing is ready, and of the tasks that are ready the seed picks the next. The same seed and the same code give
//! the same run, step by step ([`World::trace`]). Several shards are several tasks: they share nothing but lanes anyway.
//!
//! A world may hold more machines ([`Host`]): each has a disk of its own, all have one clock and one network (`net`).
//!
//! # What the disk does, and storage must survive
//!
//! | event | what is left |
//! |---|---|
//! | [`World::kill`] (kill -9), or the process ends itself | every completed operation; a direct write in flight lands wholly, in some of its 512-byte sectors, or not at all; of an append that was under way, a part; locks are free |
//! | [`World::power_cut`] | per file and per directory, what was durable and none, some or all of what was under way to be: see below |
//! | an error (EIO) of a write | nothing, or a part of the write has landed |
//! | an error of a sync | none, or some, of what it was to make durable is |
//! | [`Host::fail_disk`] | as it was: reads, changes or syncs below one directory fail with EIO |
//! | [`Host::lose_disk`] | nothing: another disk takes its place |
//! | [`Host::slow_disk`] | all of it, later |
//! | ENOSPC ([`Host::fill_disk`]) | nothing changed; only growing a file can meet it |
//! | reads | are never short within a file, never reordered with a completed write |
//!
//! At a power cut:
//! - a direct write that has completed is kept where the block had been written before and that is durable;
//! - a direct write into space that was never written is lost (it reads as zeros) until the journal has taken note:
//!   with a sync of that file, a DSYNC write to it, or [`JOURNAL_MS`] later. Before that any subset of its blocks may be
//!   kept. So with lengths: growing or cutting a file may or may not have happened, in the order in which it was asked;
//! - appended bytes that were not synced may be there, in part, not at all, or as zeros;
//! - a name that was made, moved or removed may be as before until its directory is synced, or [`JOURNAL_MS`] later.
//!   The changes of one directory are kept in order; no order holds between two directories, or a directory and a file;
//! - a direct write in flight is torn like at a kill, and kept only where the space is durable, or it was DSYNC and whole.
//!
//! # What storage need not survive, only tell
//!
//! A device that lies ([`WriteFault::Lie`]) or bits that change by themselves ([`World::flip_bit`]): no wrong byte may be
//! served as a good batch, but data is lost. Tests use both as controls: an oracle that sees no loss there is blind.

mod clock;
mod disk;
mod executor;
mod fault;
mod file;
pub(super) mod fs;
mod host;
pub(super) mod net;
mod node;
mod pace;
mod rng;
mod rule;
mod trace;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::resume_unwind;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use disk::JOURNAL_MS;
pub use fault::{Failing, FaultPlan, WriteFault};
pub(super) use file::File;
pub use host::{Crash, Host, HostId};
pub use net::{Plane, cut, heal_all, is_cut, is_still, latency, mend, on_heal, slow_link};
pub use pace::{Pace, between_ms, ms, paced, set_pace};
pub use rng::Rng;
pub use rule::{Rule, is_off, switch_off};
pub use trace::Event;

use super::{Instant, world};
use clock::Clock;
use disk::Disk;
use executor::Executor;
use net::Net;

/// What the wall clock shows when a world begins.
const WALL_START_MS: u64 = 1_700_000_000_000;

const NO_WORLD: &str = "this thread is in no simulated world";

thread_local! {
    static CURRENT: RefCell<Option<Rc<Machine>>> = const { RefCell::new(None) };
}

/// One simulated machine and the process on it.
pub struct World {
    machine: Rc<Machine>,
    seed: u64,
}

struct Machine {
    id: HostId,
    disk: SharedDisk,
    executor: Rc<Executor>,
    clock: Clock,
    net: Arc<Net>,
    /// By how much its wall clock is ahead of the world's; a crash leaves it.
    wall_shift_ms: Rc<Cell<i64>>,
}

/// The disk of a machine. Behind a mutex because files of the control thread and locks must be `Send`.
#[derive(Clone)]
struct SharedDisk(Arc<Mutex<Disk>>);

impl SharedDisk {
    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// A machine with an empty disk.
    pub fn new(seed: u64, plan: FaultPlan) -> World {
        let mut rng = Rng::new(seed);
        let disk = Disk::new(rng.fork(), plan, Clock::new());
        World::on(disk, seed, rng)
    }

    fn on(disk: Disk, seed: u64, rng: Rng) -> World {
        let clock = disk.clock();
        World {
            machine: Rc::new(Machine {
                id: HostId(0),
                disk: SharedDisk(Arc::new(Mutex::new(disk))),
                executor: Rc::new(Executor::new(rng, clock.clone())),
                clock,
                net: Arc::default(),
                wall_shift_ms: Rc::default(),
            }),
            seed,
        }
    }

    /// Runs `main` to its end. Tasks that it spawned stay for the next run.
    pub fn run<T>(&mut self, main: impl Future<Output = T>) -> T {
        let seed = self.seed;
        self.run_until_crash(main)
            .unwrap_or_else(|| panic!("seed {seed}: every task waits, or the plan stopped the machine"))
    }

    /// Runs `main` until it ends, the plan stops the machine, or every task waits for what never comes: then `None`.
    pub fn run_until_crash<T>(&mut self, main: impl Future<Output = T>) -> Option<T> {
        let _here = Here::enter(self.machine.clone());
        self.machine.executor.run(&self.machine.disk, main)
    }

    /// From now on the world has this plan; its counts begin anew.
    pub fn set_plan(&mut self, plan: FaultPlan) {
        self.machine.disk.lock().set_plan(plan);
    }

    /// kill -9: the next process finds what the killed one left.
    pub fn kill(self) -> World {
        self.crash(Crash::Kill)
    }

    /// The machine loses power and starts again.
    pub fn power_cut(self) -> World {
        self.crash(Crash::PowerCut)
    }

    fn crash(self, crash: Crash) -> World {
        self.machine.executor.drop_tasks();
        let disk = self.machine.disk.lock().after(crash);
        let rng = self.machine.executor.fork_rng();
        World::on(disk, self.seed, rng)
    }

    /// Changes one bit on the disk, as a medium does that goes bad.
    pub fn flip_bit(&mut self, path: &Path, position: u64, bit: u8) {
        self.machine.disk.lock().flip_bit(path, position, bit);
    }

    /// A number that depends on every operation so far, and the last of them.
    pub fn trace(&self) -> (u64, Vec<Event>) {
        self.machine.disk.lock().trace()
    }

    /// Disk operations so far under this plan, for plans that count them.
    pub fn ops(&self) -> u64 {
        self.machine.disk.lock().ops()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.machine.executor.drop_tasks();
    }
}

/// Makes a machine this thread's world until it goes.
struct Here {
    before: Option<Rc<Machine>>,
}

impl Here {
    fn enter(machine: Rc<Machine>) -> Here {
        world::enter(world::World::Sim);
        Here {
            before: CURRENT.replace(Some(machine)),
        }
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        if self.before.is_none() {
            world::enter(world::World::Plain);
        }
        CURRENT.replace(self.before.take());
    }
}

fn with_current<T>(f: impl FnOnce(&Rc<Machine>) -> T) -> T {
    let machine = CURRENT.with_borrow(Clone::clone);
    f(&machine.expect(NO_WORLD))
}

/// Whether this thread is in a simulated world.
pub fn is_here() -> bool {
    world::current() == world::World::Sim
}

/// `None` outside of a world, as at its end.
fn try_current<T>(f: impl FnOnce() -> T) -> Option<T> {
    CURRENT.with_borrow(Option::is_some).then(f)
}

fn current_disk() -> SharedDisk {
    with_current(|machine| machine.disk.clone())
}

pub(super) fn now_nanos() -> u64 {
    CURRENT.with_borrow(|machine| machine.as_ref().expect(NO_WORLD).clock.now_nanos())
}

pub(super) fn wall_ms() -> i64 {
    let shift_ms = with_current(|machine| machine.wall_shift_ms.get());
    (WALL_START_MS + now_nanos() / 1_000_000) as i64 + shift_ms
}

pub(super) fn random_u64() -> u64 {
    with_current(|machine| machine.executor.random_u64())
}

pub(super) fn spawn(task: impl Future<Output = ()> + 'static) {
    with_current(|machine| machine.executor.spawn(machine, task));
}

pub(super) async fn sleep(duration: Duration) {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    executor::sleep_until(now_nanos().saturating_add(nanos)).await;
}

/// As the runtime of the consensus library offers it: `Send`.
pub async fn sleep_until(at: Instant) {
    executor::sleep_until(at.0).await;
}

/// The future's output, or `None` once `within` has passed; `Send` if the future is.
pub(super) async fn timeout<T>(within: Duration, future: impl Future<Output = T>) -> Option<T> {
    let deadline = async {
        sleep(within).await;
        None
    };
    futures_lite::future::or(async { Some(future.await) }, deadline).await
}

/// The process of this machine ends at once; the machine goes on.
pub(super) fn end_process() -> ! {
    resume_unwind(Box::new(executor::ProcessEnds))
}

/// As long as a call takes that runs beside the shard's loop.
pub(super) async fn pause() {
    let nanos = current_disk().lock().latency_nanos();
    sleep(Duration::from_nanos(nanos)).await;
}

#[cfg(test)]
mod tests;
