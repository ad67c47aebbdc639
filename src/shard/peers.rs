//! Requests of this broker to others, for what a connection's task or a job of this shard needs from there: one at a time on
//! each connection, and some idle connections kept per broker.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::connection::{BrokerConnection, CallProblem, Manner};
use crate::config::BrokerConfig;
use crate::metadata::{Endpoint, Image};
use crate::model::BrokerId;
use crate::wire::ApiKey;

/// Idle connections to one broker.
const IDLE_MAX: usize = 16;
/// For one answer. What takes longer is asked again by whoever needs it.
const PATIENCE: Duration = Duration::from_secs(35);

pub(super) struct Peers {
    config: Arc<BrokerConfig>,
    idle: Cell<BTreeMap<BrokerId, Vec<BrokerConnection>>>,
}

impl Peers {
    pub(super) fn new(config: Arc<BrokerConfig>) -> Peers {
        Peers {
            config,
            idle: Cell::default(),
        }
    }

    /// The body of the answer. A connection that was idle may have been closed by the other side: then another one is tried.
    pub(super) async fn call(
        &self,
        image: &Image,
        broker: BrokerId,
        (key, version): (ApiKey, i16),
        body: Vec<Bytes>,
    ) -> Result<Bytes, CallProblem> {
        if let Some(mut connection) = self.take_idle(broker)
            && let Ok(answer) = connection.call(key, version, body.clone()).await
        {
            self.put_back(broker, connection);
            return Ok(answer);
        }
        let endpoint = endpoint(image, broker, &self.config.replication.listener).ok_or(CallProblem::NoAddress)?;
        let manner = Manner {
            client_id: Bytes::from(format!("broker-{}", self.config.broker_id)),
            frame_bytes_max: self.config.socket_request_max_bytes,
            patience: PATIENCE,
        };
        let mut connection = BrokerConnection::open(&endpoint.host, endpoint.port, manner).await?;
        let answer = connection.call(key, version, body).await?;
        self.put_back(broker, connection);
        Ok(answer)
    }

    fn take_idle(&self, broker: BrokerId) -> Option<BrokerConnection> {
        let mut idle = self.idle.take();
        let connection = idle.get_mut(&broker).and_then(Vec::pop);
        self.idle.set(idle);
        connection
    }

    fn put_back(&self, broker: BrokerId, connection: BrokerConnection) {
        let mut idle = self.idle.take();
        let of_broker = idle.entry(broker).or_default();
        if of_broker.len() < IDLE_MAX {
            of_broker.push(connection);
        }
        self.idle.set(idle);
    }
}

/// Where a broker is reached by others: on the listener of the brokers, or on the only one there is.
pub fn endpoint<'a>(image: &'a Image, broker: BrokerId, listener: &str) -> Option<&'a Endpoint> {
    let endpoints = &image.brokers.get(&broker)?.endpoints;
    let named = endpoints.iter().find(|one| one.listener.eq_ignore_ascii_case(listener));
    named.or(endpoints.first().filter(|_| endpoints.len() == 1))
}
