//! The process: its signals as events, and its end.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

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

/// From now on these signals do not end the process but arrive here, in order.
pub fn signals() -> io::Result<Rx<Signal>> {
    let mut caught = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1])?;
    let (tx, rx) = lane(SIGNALS_MAX);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for number in caught.forever() {
            if tx.is_closed() {
                return;
            }
            let Some(signal) = signal(number) else { continue };
            if tx.try_send(signal).is_err() {
                tracing::warn!(?signal, "signal dropped: many wait already");
            }
        }
    })?;
    Ok(rx)
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
