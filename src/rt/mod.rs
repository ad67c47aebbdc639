//! The seam: files, sockets, tasks, time, lanes, randomness and threads. The only module that may name glommio, libc,
//! std::fs, std::net, std::time, std::thread or a random generator, and the only one with `unsafe`.

pub mod blocking;
mod buf;
mod cgroup;
mod file;
mod heartbeat;
mod home;
pub mod host;
mod lane;
mod launch;
mod net;
mod process;
mod real;
mod ring_flag;
mod task;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod tool;
mod world;

pub use buf::{ALIGN, Buf, Frozen};
pub use file::{Dir, File, Open, Sync};
pub use heartbeat::Heartbeat;
pub use lane::{LaneFull, OneshotRx, OneshotTx, Rx, Tx, lane, oneshot};
pub use launch::{Cores, PROBE_FILE, ShardOptions, Shards, run_control, run_shards};
pub use net::{Listener, Stream};
pub use process::{Signal, abort, exit, pid, signals};
pub use ring_flag::coop_taskrun_setups;
pub use task::{Instant, now, random_u64, sleep, spawn, timeout, wall_ms, yield_now};
