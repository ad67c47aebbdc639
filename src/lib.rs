//! Corelane: a broker for Linux servers that speaks the Apache Kafka protocol, one shard per core.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod api;
pub mod broker;
pub mod cli;
pub mod client;
pub mod config;
pub mod conn;
pub mod metadata;
pub mod metrics;
pub mod model;
pub mod partition;
pub mod preflight;
pub mod record;
pub mod rt;
pub mod shard;
pub mod storage;
pub mod wire;
