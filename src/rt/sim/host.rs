//! More machines in one world: each has a disk and tasks of its own, and crashes, stands still and starts again by itself.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::disk::Disk;
use super::fault::{Failing, FaultPlan};
use super::{Here, Machine, SharedDisk, now_nanos, with_current};

/// 0: the machine that the world began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostId(pub u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    Kill,
    PowerCut,
}

pub struct Host {
    /// Another one after each crash.
    machine: RefCell<Rc<Machine>>,
}

impl Host {
    /// With an empty disk, and up. To be called within the world.
    pub fn install() -> Host {
        let machine = with_current(|current| {
            let disk = current.new_disk();
            let at = current.executor.add_disk(disk.clone());
            current.beside(HostId(at as u8 + 1), disk, Rc::default())
        });
        Host {
            machine: RefCell::new(Rc::new(machine)),
        }
    }

    pub fn id(&self) -> HostId {
        self.machine.borrow().id
    }

    pub fn address(&self) -> IpAddr {
        self.id().address()
    }

    /// Runs `f` there: what it spawns, opens or asks is of that machine.
    pub fn enter<T>(&self, f: impl FnOnce() -> T) -> T {
        let machine = self.machine.borrow().clone();
        let _here = Here::enter(machine);
        f()
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.enter(|| super::spawn(task));
    }

    /// The process on it, or all of it, is gone; it does not answer before [`Host::boot`].
    pub fn crash(&self, crash: Crash) {
        let before = self.machine.borrow().clone();
        before.net.go_down(before.id, crash);
        before.executor.drop_tasks_of(before.id);
        let disk = before.disk.lock().after(crash);
        self.replace_disk(SharedDisk(Arc::new(Mutex::new(disk))));
    }

    /// After a crash: its disk is gone, and an empty one takes its place.
    pub fn lose_disk(&self) {
        let disk = self.machine.borrow().new_disk();
        self.replace_disk(disk);
    }

    fn replace_disk(&self, disk: SharedDisk) {
        let before = self.machine.borrow().clone();
        before.executor.replace_disk(usize::from(before.id.0) - 1, disk.clone());
        let after = before.beside(before.id, disk, before.wall_shift_ms.clone());
        *self.machine.borrow_mut() = Rc::new(after);
    }

    /// How the process on it has ended, if it has by itself and nothing was started since.
    pub fn ended(&self) -> Option<Crash> {
        self.machine.borrow().net.ended(self.id())
    }

    /// It loses power in the midst of one of its next disk operations, of that number.
    pub fn stop_at(&self, operation: u64) {
        self.machine.borrow().disk.lock().stop_in(operation);
    }

    pub fn boot(&self) {
        self.machine.borrow().net.go_up(self.id());
    }

    /// Somebody else fills its disk, but for so many bytes, until [`Host::clear_disk`] or its next crash.
    pub fn fill_disk(&self, spare: u64) {
        self.machine.borrow().disk.lock().fill(spare);
    }

    /// What is below that directory of its disk cannot be read, changed or synced any more (EIO), until [`Host::clear_disk`] or
    /// its next crash.
    pub fn fail_disk(&self, dir: &Path, what: Failing) -> io::Result<()> {
        self.machine.borrow().disk.lock().fail(dir, what)
    }

    /// How many operations have failed so since its last crash.
    pub fn disk_failures(&self) -> u64 {
        self.machine.borrow().disk.lock().failures()
    }

    /// Its disk takes so many times as long as usual, until [`Host::clear_disk`] or its next crash.
    pub fn slow_disk(&self, slowness: u64) {
        self.machine.borrow().disk.lock().slow_down(slowness);
    }

    /// It has space again, is good and as quick as usual, and does not stop its machine any more.
    pub fn clear_disk(&self) {
        self.machine.borrow().disk.lock().clear();
    }

    /// Somebody sets its wall clock: from now on it is so far ahead of the world's, or behind.
    pub fn set_wall_shift(&self, shift_ms: i64) {
        self.machine.borrow().wall_shift_ms.set(shift_ms);
    }

    /// Stands still for so long, as a stopped process does: the others and the disk go on.
    pub fn pause(&self, duration: Duration) {
        let until = now_nanos() + duration.as_nanos() as u64;
        self.machine.borrow().net.stand_still(self.id(), until);
    }
}

impl HostId {
    pub fn address(self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, self.0))
    }

    pub fn of(address: IpAddr) -> HostId {
        match address {
            IpAddr::V4(address) => HostId(address.octets()[3]),
            IpAddr::V6(_) => HostId(0),
        }
    }
}

impl Machine {
    fn new_disk(&self) -> SharedDisk {
        let disk = Disk::new(self.executor.fork_rng(), FaultPlan::none(), self.clock.clone());
        SharedDisk(Arc::new(Mutex::new(disk)))
    }

    /// Another machine of the same world.
    fn beside(&self, id: HostId, disk: SharedDisk, wall_shift_ms: Rc<Cell<i64>>) -> Machine {
        Machine {
            id,
            disk,
            executor: self.executor.clone(),
            clock: self.clock.clone(),
            net: self.net.clone(),
            wall_shift_ms,
        }
    }
}
