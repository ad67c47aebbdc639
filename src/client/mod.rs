//! A small blocking Kafka client: for the command line, and for tests that want to say exactly what goes over the wire.
//!
//! One thread, no background work: a [`Connection`] sends one request and waits, or sends several and collects the answers
//! in order; a [`Cluster`] finds brokers and leaders;
//! a [`Producer`] writes a stream of records, a [`Consumer`] reads one, a [`GroupConsumer`] its share of one, a
//! [`ShareConsumer`] what others leave of one. Not for shards: they never block.

mod assignment;
mod cluster;
mod connection;
mod consumer;
mod coordinator;
mod error;
mod group_consumer;
mod membership;
mod producer;
mod requests;
mod share;

pub use cluster::{Address, Cluster, Leaders, TopicLeaders};
pub use connection::Connection;
pub use consumer::{ConsumedRecord, Consumer, ConsumerSettings, Position};
pub use coordinator::{with_coordinator, with_coordinators_of};
pub use error::ClientError;
pub use group_consumer::GroupConsumer;
pub use membership::GroupSettings;
pub use producer::{Failure, Producer, ProducerSettings};
pub use requests::Request;
pub use share::{ShareAnswer, ShareConsumer};
