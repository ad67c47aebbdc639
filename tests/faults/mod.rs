//! Storage faults against the real log and the real metadata engine, on a simulated disk.
//!
//! A unit test of the library, so that no release build carries a simulator. Each test is a plan, a short load, a
//! crash and a reopening; [`case`] knows what has been promised and checks it at every reopening. Which faults must
//! be survived is written at the top of `src/rt/sim/mod.rs`. A failing test prints the line that repeats it.

mod bit_flip;
mod case;
mod checkpoint_damage;
mod compaction;
mod controls;
mod eio_on_sync;
mod eio_on_write;
mod enospc;
mod journal;
mod lost_rename;
mod lost_write;
mod metadata;
mod model;
mod power_cut;
mod reordered;
mod rig;
mod schedule;
mod seeds;
mod torn_write;
mod truncation;
