//! Corelane is a broker for Linux servers that speaks the Apache Kafka protocol. Every CPU core is a lane: it owns a shard
//! of the partitions, with its own io_uring, its own direct-I/O segment writer and its own network listener.
//!
//! This page is the map. Each module's own page says what it is for, what it is not, and which invariants it keeps.
//!
//! # The process
//!
//! ```text
//!   corelane start server.properties
//!   ├── shard 0 … shard N-1   one pinned thread each: connections, partitions, one pump; never waits for the control thread
//!   ├── control thread        cluster metadata, log directory upkeep, watchdog; never touches a partition's data
//!   └── admin thread          metrics, health and status over HTTP, from what the shards have published; asks no shard
//! ```
//!
//! # The way of a request
//!
//! ```text
//!   produce   conn (frame, limits) → wire (decode) → api::produce (split by partition, check the batch)
//!             → shard::Router → lane → pump: Partition::append (dedupe, assign the offset) → Log::stage
//!             → one aligned write per partition and turn, or one for the small batches of many (the journal)
//!             → Written → high watermark → acknowledgement → conn
//!   fetch     … → pump: Log::plan_read (cached slices and file ranges, owned) → a task reads what is not cached
//!             → response: header bytes, batch slices, header bytes … in one vectored write
//! ```
//!
//! # The rooms
//!
//! | module | what it is |
//! |---|---|
//! | [`model`] | nouns without behaviour: ids, epochs, error codes |
//! | [`rt`] | the seam to the outside world: files, sockets, tasks, time, lanes, threads, randomness |
//! | [`logging`] | the process's logs, and the levels that decide what is in them |
//! | [`record`] | record batches as bytes: header view, CRC32C, validation, iteration, compression |
//! | [`wire`] | the Kafka protocol, without I/O |
//! | [`config`] | THE table of keys; the properties file; resolved broker and topic configs |
//! | [`metrics`] | THE table of metrics; cells per shard |
//! | [`tuning`] | advice about the machine, from `tuning/knobs.tsv`; changes nothing |
//! | [`storage`] | one log on one disk |
//! | [`client`] | a small blocking client for the command line and for tests |
//! | [`partition`] | one replica's state in memory |
//! | [`group`] | group coordinators and committed offsets, as pure state |
//! | [`share`] | what a share group has of a partition: its records in flight, and what is kept of them; pure state |
//! | [`txn`] | one partition's transaction coordinator, as a pure state machine |
//! | [`metadata`] | records, image, apply, decide, engine; the control thread |
//! | [`shard`] | the pump, its messages, the router |
//! | [`api`] | one file per Kafka API, and THE list of them |
//! | [`replica`] | a follower's copying: fetches from the leaders of its shard's partitions |
//! | [`conn`] | one client connection: framing, order, limits, idle close; knows no request's meaning |
//! | [`admin`] | the HTTP port for operators: metrics, health, JSON, the status page; and the talk with the service manager |
//! | [`cli`] | one file per subcommand, flags as in Kafka's scripts |
//! | [`preflight`] | what the machine must offer, with cause and cure |
//! | [`broker`] | the composition root: builds everything once, owns the order of shutdown |
//!
//! Imports point down only (`tests/house` holds the code to it):
//!
//! ```text
//!   main, broker, cli, preflight
//!   conn, admin
//!   api, replica
//!   shard
//!   partition, group, share, txn, metadata   (these do not import each other; shard connects them)
//!   storage, client
//!   config, metrics, wire, record, tuning
//!   logging
//!   rt
//!   model
//! ```
//!
//! # Where to put things
//!
//! | to add | write | what follows by itself |
//! |---|---|---|
//! | a Kafka API | a file in `src/api/` and its row in the list there; the row in the README | ApiVersions, dispatch |
//! | a config key | a row in the table of `src/config/keys/`, a field in the resolved config | parsing, bounds, DescribeConfigs, `config/server.properties` |
//! | a metric | a row in `src/metrics/table.rs`, `metrics.add(Metric::X, 1)` at the site | Prometheus text |
//! | a storage fault test | a function in `tests/faults/`: a fault plan, a short load, a reopening, an assertion | seeds, replay by `SEED` |
//! | a fault of a cluster | a line in `tests/sim/faults.rs` | seeds, the history of a failure, replay by `SEED` |
//! | a refusal to start | the check in `src/preflight.rs`, with cause and cure; a test in `tests/startup/` | |
//! | a setting of the server | a row in `tuning/knobs.tsv` | tune's check, plan, apply, revert, explain; the broker's look at its start |
//! | a client test | a script in `tests/clients/` and its line in `tests/compat/` | it runs in `make test` |
//! | a background job | a message to the pump; the pure decision in the module that owns the data | visible to the simulation |
#![deny(unsafe_op_in_unsafe_fn)]

pub mod admin;
pub mod api;
pub mod broker;
pub mod cli;
pub mod client;
pub mod config;
pub mod conn;
pub mod group;
pub mod logging;
pub mod metadata;
pub mod metrics;
pub mod model;
pub mod partition;
pub mod preflight;
pub mod record;
pub mod replica;
pub mod rt;
pub mod shard;
pub mod share;
pub mod storage;
pub mod tuning;
pub mod txn;
pub mod wire;

#[cfg(test)]
#[path = "../tests/faults/mod.rs"]
mod faults;

#[cfg(test)]
#[path = "../tests/sim/mod.rs"]
mod sim;
