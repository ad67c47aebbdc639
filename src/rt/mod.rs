//! The seam: files, sockets, tasks, time, lanes, randomness and threads. The only module that may name glommio, libc,
//! std::fs, std::net, std::time, std::thread or a random generator, and the only one with `unsafe`.

pub mod blocking;
mod buf;
mod file;
mod lane;
mod launch;
mod net;
mod task;

pub use buf::{ALIGN, Buf, Frozen};
pub use file::{Dir, File, Open, Sync};
pub use lane::{LaneFull, OneshotRx, OneshotTx, Rx, Tx, lane, oneshot};
pub use launch::{Cores, ShardOptions, Shards, run_control, run_shards};
pub use net::{Listener, Stream};
pub use task::{Instant, now, random_u64, sleep, spawn, wall_ms, yield_now};
