//! The process: its signals as events, and its end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator;

#[cfg(test)]
use super::sim;
use super::{Rx, lane};

/// What an operator or the service manager asks by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
    /// SIGHUP.
    Hangup,
    /// SIGUSR1.
    User1,
}

/// Signals that wait to be looked at; more are dropped, since each kind asks for the same thing again.
const SIGNALS_MAX: usize = 16;

/// Those of a process that has nothing to close yet: one that asks for its end still ends it at once.
pub struct Signals {
    caught: Rx<Signal>,
    is_begun: Arc<AtomicBool>,
}

impl Signals {
    /// From now on they all arrive here, in order.
    pub fn begin(self) -> Rx<Signal> {
        self.is_begun.store(true, Ordering::Release);
        self.caught
    }
}

/// Catches them.
pub fn signals() -> io::Result<Signals> {
    let mut numbers = iterator::Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])?;
    let (tx, caught) = lane(SIGNALS_MAX);
    let is_begun = Arc::new(AtomicBool::new(false));
    let signals = Signals {
        caught,
        is_begun: is_begun.clone(),
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for number in numbers.forever() {
            if tx.is_closed() {
                return;
            }
            let Some(signal) = signal(number) else { continue };
            if matches!(signal, Signal::Terminate | Signal::Interrupt) && !is_begun.load(Ordering::Acquire) {
                tracing::info!(?signal, "stopped before it has started");
                exit(0);
            }
            if tx.try_send(signal).is_err() {
                tracing::warn!(?signal, "signal dropped: many wait already");
            }
        }
    })?;
    Ok(signals)
}

fn signal(number: i32) -> Option<Signal> {
    match number {
        SIGTERM => Some(Signal::Terminate),
        SIGINT => Some(Signal::Interrupt),
        SIGHUP => Some(Signal::Hangup),
        SIGUSR1 => Some(Signal::User1),
        _ => None,
    }
}

/// As an operator would, by SIGTERM.
pub fn ask_to_end() {
    #[cfg(test)]
    assert!(!sim::is_here(), "a simulated process asks for its end");
    // SAFETY: sends a signal to this process, and touches no memory.
    unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
}

/// Ends the process at once with this exit code; nothing is flushed or closed.
pub fn exit(code: i32) -> ! {
    #[cfg(test)]
    if sim::is_here() {
        sim::end_process();
    }
    std::process::exit(code)
}

/// Ends the process at once as after a crash, with a core dump where those are on.
pub fn abort() -> ! {
    #[cfg(test)]
    if sim::is_here() {
        sim::end_process();
    }
    std::process::abort()
}

/// This process's id.
pub fn pid() -> u32 {
    std::process::id()
}
