//! A thin epoll: level-triggered readiness with a timeout in nanoseconds.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::clock::NS_PER_S;

const EVENTS_MAX: usize = 256;

pub struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

#[derive(Clone, Copy, Debug)]
pub struct Ready {
    pub token: usize,
}

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: takes no memory of ours.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        Ok(Epoll {
            // SAFETY: the descriptor is new and nobody else's.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX],
        })
    }

    pub fn add(&self, fd: RawFd, token: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, false)
    }

    /// Whether to be told, too, when the socket takes bytes again.
    pub fn want_write(&self, fd: RawFd, token: usize, want: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, want)
    }

    /// Waits for events, at most until `until_ns` of the monotonic clock.
    pub fn wait(&mut self, until_ns: u64, now_ns: u64) -> io::Result<impl Iterator<Item = Ready> + '_> {
        let wait_ns = until_ns.saturating_sub(now_ns);
        let timeout = libc::timespec {
            tv_sec: (wait_ns / NS_PER_S) as libc::time_t,
            tv_nsec: (wait_ns % NS_PER_S) as libc::c_long,
        };
        // SAFETY: the kernel writes at most EVENTS_MAX events, which there is room for; the timeout outlives the call.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                EVENTS_MAX as libc::c_int,
                &timeout as *const libc::timespec,
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        let count = match check(count as libc::c_int) {
            Err(problem) if problem.kind() == io::ErrorKind::Interrupted => 0,
            count => count? as usize,
        };
        Ok(self.events[..count].iter().map(|event| Ready {
            token: event.u64 as usize,
        }))
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, token: usize, want_write: bool) -> io::Result<()> {
        let write = if want_write { libc::EPOLLOUT } else { 0 };
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | write) as u32,
            u64: token as u64,
        };
        // SAFETY: `event` outlives the call.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &mut event) }).map(drop)
    }
}

/// Lets this thread's waits end on time instead of up to 50 µs later.
pub fn wake_on_time() {
    // SAFETY: takes no memory of ours.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) };
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
