//! Tasks and timers in one thread, in the order that the seed gives.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::clock::Clock;
use super::disk::NEVER;
use super::host::Crash;
use super::rng::Rng;
use super::{Here, HostId, Machine, SharedDisk, now_nanos, with_current};

/// Task runs of one `run`: more is a task that spins.
const STEPS_MAX: u64 = 20_000_000;
/// A timer this near may be early, before tasks that are ready: as on a machine whose tasks take time.
const OVERTAKE_NANOS_MAX: u64 = 1_000_000;
const OVERTAKE_ONE_IN: u64 = 8;
const MAIN: u64 = 0;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// What a task unwinds with that ends its process.
pub struct ProcessEnds;

pub struct Executor {
    clock: Clock,
    state: RefCell<State>,
    ready: Arc<Ready>,
    /// The disks of the machines besides the first.
    disks: RefCell<Vec<SharedDisk>>,
}

struct Spawned {
    task: Task,
    waker: Waker,
    queued: Arc<TaskWaker>,
    /// Where it runs.
    machine: Rc<Machine>,
}

struct State {
    rng: Rng,
    /// By number; `None`: it has ended, runs just now, or is [`MAIN`].
    tasks: Vec<Option<Spawned>>,
    timers: BTreeMap<(u64, u64), Waker>,
    next_timer: u64,
}

/// Ascending: in which order tasks were woken does not count, since tokio's channels draw that themselves.
#[derive(Default)]
struct Ready(Mutex<Vec<u64>>);

impl Ready {
    fn push(&self, task: u64) {
        let mut ready = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(place) = ready.binary_search(&task) {
            ready.insert(place, task);
        }
    }

    fn take_one(&self, rng: &mut Rng) -> Option<u64> {
        let mut ready = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.is_empty() {
            return None;
        }
        let at = rng.below(ready.len() as u64) as usize;
        Some(ready.remove(at))
    }
}

struct TaskWaker {
    task: u64,
    is_queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::Relaxed) {
            self.ready.push(self.task);
        }
    }
}

impl Executor {
    pub fn new(rng: Rng, clock: Clock) -> Executor {
        Executor {
            clock,
            state: RefCell::new(State {
                rng,
                tasks: vec![None],
                timers: BTreeMap::new(),
                next_timer: 0,
            }),
            ready: Arc::default(),
            disks: RefCell::default(),
        }
    }

    /// Of another machine; its place among them.
    pub fn add_disk(&self, disk: SharedDisk) -> usize {
        let mut disks = self.disks.borrow_mut();
        disks.push(disk);
        disks.len() - 1
    }

    pub fn replace_disk(&self, at: usize, disk: SharedDisk) {
        self.disks.borrow_mut()[at] = disk;
    }

    /// Runs `main` and all tasks until `main` ends; `None` when it cannot, or the machine has stopped.
    pub fn run<T>(&self, disk: &SharedDisk, main: impl Future<Output = T>) -> Option<T> {
        let mut main = pin!(main);
        let main_waker = self.waker_of(MAIN);
        main_waker.wake_by_ref();
        for _ in 0..STEPS_MAX {
            if disk.lock().is_stopped() {
                return None;
            }
            let Some(task) = self.next_task(disk) else {
                if self.fire_next_timer(disk, NEVER - 1) {
                    continue;
                }
                return None;
            };
            if task != MAIN {
                self.poll_task(task);
                continue;
            }
            main_waker.is_queued.store(false, Ordering::Relaxed);
            let waker = Waker::from(main_waker.clone());
            if let Poll::Ready(value) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(value);
            }
        }
        panic!("no end after {STEPS_MAX} task runs");
    }

    pub fn spawn(&self, machine: &Rc<Machine>, task: impl Future<Output = ()> + 'static) {
        let mut state = self.state.borrow_mut();
        let queued = self.waker_of(state.tasks.len() as u64);
        queued.wake_by_ref();
        state.tasks.push(Some(Spawned {
            task: Box::pin(task),
            waker: Waker::from(queued.clone()),
            queued,
            machine: machine.clone(),
        }));
    }

    pub fn drop_tasks_of(&self, host: HostId) {
        let dropped: Vec<Spawned> = {
            let mut state = self.state.borrow_mut();
            let is_there = |spawned: &mut Spawned| spawned.machine.id == host;
            let tasks = state.tasks.iter_mut();
            tasks.filter_map(|task| task.take_if(is_there)).collect()
        };
        drop(dropped);
    }

    pub fn drop_tasks(&self) {
        let dropped: (Vec<Spawned>, _) = {
            let mut state = self.state.borrow_mut();
            let tasks = state.tasks.iter_mut().filter_map(Option::take).collect();
            (tasks, std::mem::take(&mut state.timers))
        };
        drop(dropped);
    }

    pub fn random_u64(&self) -> u64 {
        self.state.borrow_mut().rng.draw()
    }

    pub fn fork_rng(&self) -> Rng {
        self.state.borrow_mut().rng.fork()
    }

    fn waker_of(&self, task: u64) -> Arc<TaskWaker> {
        Arc::new(TaskWaker {
            task,
            is_queued: AtomicBool::new(false),
            ready: self.ready.clone(),
        })
    }

    /// One of the tasks that are ready; sometimes a timer comes first.
    fn next_task(&self, disk: &SharedDisk) -> Option<u64> {
        if self.state.borrow_mut().rng.one_in(OVERTAKE_ONE_IN) {
            let until = self.clock.now_nanos() + OVERTAKE_NANOS_MAX;
            self.fire_next_timer(disk, until);
        }
        self.ready.take_one(&mut self.state.borrow_mut().rng)
    }

    /// Lets time jump to the next timer that is due by `until`.
    fn fire_next_timer(&self, disk: &SharedDisk, until: u64) -> bool {
        let next = {
            let mut state = self.state.borrow_mut();
            let first = state.timers.first_entry().filter(|timer| timer.key().0 <= until);
            first.map(|timer| timer.remove_entry())
        };
        let Some(((due_nanos, _), waker)) = next else {
            return false;
        };
        if self.clock.advance(due_nanos) {
            disk.lock().complete_due();
            for disk in self.disks.borrow().iter() {
                disk.lock().complete_due();
            }
        }
        waker.wake();
        true
    }

    fn poll_task(&self, id: u64) {
        let taken = self.state.borrow_mut().tasks[id as usize].take();
        let Some(mut spawned) = taken else { return };
        spawned.queued.is_queued.store(false, Ordering::Relaxed);
        let _here = Here::enter(spawned.machine.clone());
        let until = spawned.machine.net.still_until(spawned.machine.id);
        if now_nanos() < until {
            self.set_timer(until, spawned.waker.clone());
        } else {
            let mut cx = Context::from_waker(&spawned.waker);
            let polled = catch_unwind(AssertUnwindSafe(|| spawned.task.as_mut().poll(&mut cx)));
            match polled {
                Err(panic) if !panic.is::<ProcessEnds>() => resume_unwind(panic),
                _ if spawned.machine.disk.lock().is_stopped() => return self.end_process(spawned, Crash::PowerCut),
                Err(_) => return self.end_process(spawned, Crash::Kill),
                Ok(Poll::Ready(())) => return,
                Ok(Poll::Pending) => {}
            }
        }
        self.state.borrow_mut().tasks[id as usize] = Some(spawned);
    }

    /// Of the task's machine.
    fn end_process(&self, last: Spawned, how: Crash) {
        last.machine.net.end_process(last.machine.id, how);
        self.drop_tasks_of(last.machine.id);
    }

    pub fn set_timer(&self, due_nanos: u64, waker: Waker) {
        let mut state = self.state.borrow_mut();
        let id = state.next_timer;
        state.next_timer += 1;
        state.timers.insert((due_nanos, id), waker);
    }
}

/// Waits until the clock shows at least `nanos`; for ever, if that is [`NEVER`].
pub async fn sleep_until(nanos: u64) {
    let mut is_set = false;
    poll_fn(|cx| {
        if now_nanos() >= nanos {
            return Poll::Ready(());
        }
        if !is_set && nanos != NEVER {
            is_set = true;
            with_current(|machine| machine.executor.set_timer(nanos, cx.waker().clone()));
        }
        Poll::Pending
    })
    .await;
}
