//! The seam: files, sockets, tasks, time, lanes, randomness and threads. The only module that may name glommio, libc,
//! std::fs, std::net, std::time, std::thread or a random generator, and the only one with `unsafe`.
//!
//! What it offers is concrete types and functions, no traits and no generics to carry around. What a call does is decided
//! by the thread that makes it, which lives in one of these worlds:
//!
//! | world | started by | `File`, `Listener`, `Stream` | `spawn`, `sleep`, `yield_now` | lanes, `Buf`, `now`, [`blocking`] |
//! |---|---|---|---|---|
//! | a shard: pinned, glommio on io_uring | [`run_shards`] | yes | yes | yes, but `blocking` would stall its clients |
//! | the control thread: tokio current_thread | [`run_control`] | no, but [`ControlListener`], [`ControlStream`] | yes | yes |
//! | any other thread | | no | no | yes |
//!
//! # Rules for whoever calls
//!
//! - A spawned task ends by itself: because its socket was shut down, its lane closed, or a flag set. There is no handle
//!   to cancel it with (glommio leaks what is cancelled). Several waits in one task are combined as plain futures, with
//!   [`timeout`] or futures-lite's `or`; what must not be dropped half-way (a write to a file) gets a task of its own.
//! - After about 200 µs of own work a task calls [`yield_now`]: until then its shard sees no message, timer or completion.
//! - What a shard awaits from elsewhere comes over a [`lane()`] or a [`oneshot`]; they work from any thread to any other.
//! - A [`Frozen`] goes to disk without a copy on the shard that made it, and only as a whole. Read anywhere, drop anywhere.
//! - io_uring does not order writes: no two in flight may touch the same block.
//! - The end of a shard: close its listeners, shut its streams down, wait until their tasks are done, return. What is
//!   left behind is not dropped: its sockets stay open until the process ends.
//!
//! # What it hides
//!
//! | of glommio | here |
//! |---|---|
//! | parks with tasks ready | a tick per shard, and a look from outside (`heartbeat`); preempt timer within 10–100 ms |
//! | takes a first file without blocks for a sign of polled I/O | a probe file in each log directory is read first (`launch`) |
//! | leaks cancelled tasks | nothing to cancel with |
//! | sets rings up without COOP_TASKRUN | added at link time (`ring_flag`, `build.rs`) |
//! | interrupts all cores each time it falls asleep | a fence instead, put in at link time (`sleep_barrier`) |
//! | its wakers are unsafe to drop on foreign threads, its buffers to touch there | both go home first (`home`) |
//! | panics when a path vanishes during its open; sizes by path | opens and sizes by descriptor (`real::file`) |
//! | unaligned reads count bytes past the end, aligned to another disk | aligned reads of [`ALIGN`], cut here |
//! | has its buffers of an allocator that gives large memory back at once | it keeps some (`allocator`) |
//! | its vectored write sends one slice | sendmsg with up to 1,024 |
//! | panics where io_uring is forbidden | asked first (`host`) |
//!
//! # The two arms
//!
//! `File`, `Listener` and `Stream` are enums inside, with the arm of the world that made them, and so are those of the control
//! thread; `Dir` and the functions of `task` look at the world at each call. The real arm is in `real`. A simulated one is a
//! world more in `world`, an arm more in each enum, both in test builds only. Above this module it touches what the consensus
//! library runs on (`metadata::engine`), and the safety rules that a test may switch off.

mod address;
mod allocator;
pub mod blocking;
mod buf;
mod cgroup;
mod chunk;
mod control_net;
mod file;
pub mod gauge;
mod heartbeat;
mod home;
pub mod host;
mod http;
mod lane;
mod launch;
mod net;
mod pool;
mod process;
mod real;
mod ring_flag;
#[cfg(test)]
pub mod sim;
mod sleep_barrier;
mod task;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod tool;
mod world;

pub use address::{SocketAddr, claim, host_name, is_only_own_host, is_own_host, lookup, resolve};
pub use allocator::keep_freed_memory;
pub use buf::{ALIGN, Buf, Frozen};
pub use chunk::Chunk;
pub use control_net::{ControlListener, ControlStream};
pub use file::{Dir, File, Open, Sync};
pub use heartbeat::Heartbeat;
pub use http::HttpPort;
pub use lane::{LaneFull, OneshotRx, OneshotTx, Rx, Tx, lane, oneshot};
pub use launch::{Cores, ShardOptions, Shards, run_control, run_shards};
pub use net::{Listener, Stream};
pub use process::{Signal, abort, ask_to_end, exit, pid, signals};
pub use ring_flag::coop_taskrun_setups;
pub use sleep_barrier::spared_barriers;
pub use task::{Instant, Now, now, random_u64, sleep, spawn, thread_cpu_nanos, timeout, wall_ms, yield_now};
