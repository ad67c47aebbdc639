//! The brokers of a cluster: found through any of them, connected to when needed, leaders remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::{ClientError, Connection, Request};
use crate::model::{BrokerId, ErrorCode, TopicId};
use crate::wire::messages::{
    MetadataRequestData, MetadataRequestTopic, MetadataResponseData, kafka_string, text, topic_id,
};

/// `host:port` of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

/// Partition index to its leader; `None` while there is none.
pub type Leaders = BTreeMap<i32, Option<BrokerId>>;

/// A topic as Metadata describes it.
#[derive(Clone, Debug)]
pub struct TopicLeaders {
    pub id: TopicId,
    pub is_internal: bool,
    pub leaders: Leaders,
}

/// A cluster, known by its bootstrap addresses.
pub struct Cluster {
    client_id: String,
    bootstrap: Vec<Address>,
    brokers: BTreeMap<BrokerId, Address>,
    connections: BTreeMap<BrokerId, Connection>,
    controller: BrokerId,
}

impl FromStr for Address {
    type Err = ClientError;

    /// Kafka's form: `host:port`, also `[::1]:port` and `PROTOCOL://host:port`.
    fn from_str(written: &str) -> Result<Address, ClientError> {
        let wrong = || ClientError::Address(written.to_owned());
        let plain = written.rsplit("//").next().unwrap_or_default().trim();
        let (host, port) = plain.rsplit_once(':').ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = port.parse().map_err(|_| wrong())?;
        if host.is_empty() {
            Err(wrong())
        } else {
            Ok(Address { host, port })
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

impl Cluster {
    /// Connects to the first of the comma-separated addresses that answers.
    pub fn connect(bootstrap: &str, client_id: &str) -> Result<Cluster, ClientError> {
        let bootstrap = bootstrap
            .split(',')
            .map(Address::from_str)
            .collect::<Result<Vec<_>, _>>()?;
        let mut cluster = Cluster {
            client_id: client_id.to_owned(),
            bootstrap,
            brokers: BTreeMap::new(),
            connections: BTreeMap::new(),
            controller: BrokerId(-1),
        };
        cluster.metadata(Some(&[]), false)?;
        Ok(cluster)
    }

    /// Metadata of the named topics, or of all; creates them where asked to and the broker allows it.
    pub fn metadata(&mut self, topics: Option<&[&str]>, create: bool) -> Result<MetadataResponseData, ClientError> {
        let named = |name: &&str| MetadataRequestTopic::default().with_name(Some(kafka_string(name)));
        let request = MetadataRequestData::default()
            .with_topics(topics.map(|topics| topics.iter().map(named).collect()))
            .with_allow_auto_topic_creation(create);
        let answer = self.ask(&request)?;
        self.brokers = answer
            .brokers
            .iter()
            .map(|broker| {
                (
                    BrokerId(broker.node_id),
                    Address {
                        host: text(&broker.host),
                        port: broker.port as u16,
                    },
                )
            })
            .collect();
        self.controller = BrokerId(answer.controller_id);
        Ok(answer)
    }

    /// The leaders of one topic. `UnknownTopicOrPartition` where it does not exist (yet).
    pub fn topic(&mut self, name: &str, create: bool) -> Result<TopicLeaders, ClientError> {
        let answer = self.metadata(Some(&[name]), create)?;
        let missing = ClientError::Kafka {
            code: ErrorCode::UnknownTopicOrPartition,
            message: None,
        };
        let topic = answer.topics.first().ok_or(missing)?;
        ClientError::check(topic.error_code, None)?;
        let leader = |id: i32| (id >= 0).then_some(BrokerId(id));
        let leaders = topic
            .partitions
            .iter()
            .map(|p| (p.partition_index, leader(p.leader_id)))
            .collect();
        Ok(TopicLeaders {
            id: topic_id(topic.topic_id),
            is_internal: topic.is_internal,
            leaders,
        })
    }

    /// The brokers that are known, in the order of their ids; none of the shards that are nodes of their own.
    pub fn brokers(&self) -> Vec<BrokerId> {
        self.brokers.keys().copied().filter(|id| !id.is_shard()).collect()
    }

    /// Where a broker is; empty if it is not known.
    pub fn address_of(&self, id: BrokerId) -> String {
        self.brokers.get(&id).map(Address::to_string).unwrap_or_default()
    }

    /// Asks whichever broker can be reached: any of them answers for the whole cluster, and takes administrative requests.
    /// One that is gone, or that goes before it has answered, gives way to the next.
    pub fn ask<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        let mut gone = BTreeSet::new();
        let mut last = None;
        loop {
            let connection = match (self.any(&mut gone), last.take()) {
                (Ok(connection), _) => connection,
                (Err(_), Some(broken)) => return Err(broken),
                (Err(problem), None) => return Err(problem),
            };
            let address = connection.address().to_owned();
            match connection.call(request) {
                Err(problem @ (ClientError::Broken(..) | ClientError::Unreachable(..))) => {
                    self.forget_bootstrap();
                    gone.insert(address);
                    last = Some(problem);
                }
                answered => return answered,
            }
        }
    }

    /// A connection to the controller, or, where it cannot be reached, to any broker: they pass on what is for it.
    pub fn controller(&mut self) -> Result<&mut Connection, ClientError> {
        match self.broker(self.controller).is_ok() {
            true => self.broker_connection(self.controller),
            false => self.any(&mut BTreeSet::new()),
        }
    }

    /// A connection to one broker, kept for the next time.
    pub fn broker(&mut self, id: BrokerId) -> Result<&mut Connection, ClientError> {
        if !self.connections.contains_key(&id) {
            self.connections.insert(id, self.open(id)?);
        }
        self.broker_connection(id)
    }

    /// A connection to one broker for its own use, beside the kept one.
    pub fn open(&self, id: BrokerId) -> Result<Connection, ClientError> {
        let unknown = || ClientError::Kafka {
            code: ErrorCode::BrokerNotAvailable,
            message: Some(format!("Broker {} is not in the cluster, or not running.", id.0)),
        };
        let address = self.brokers.get(&id).ok_or_else(unknown)?;
        Connection::open(address, &self.client_id)
    }

    /// Closes a broken connection; the next use opens a new one.
    pub fn forget(&mut self, id: BrokerId) {
        self.connections.remove(&id);
    }

    /// Closes all connections.
    pub fn forget_all(&mut self) {
        self.connections.clear();
    }

    /// Closes the connection through which the cluster was found.
    pub fn forget_bootstrap(&mut self) {
        self.connections.remove(&BOOTSTRAP);
    }

    /// A connection to whichever broker can be reached: a known one first, then the bootstrap addresses; none that is known
    /// to be gone.
    fn any(&mut self, gone: &mut BTreeSet<String>) -> Result<&mut Connection, ClientError> {
        if !self.connections.contains_key(&BOOTSTRAP) {
            let known = self.brokers.values().chain(&self.bootstrap);
            let connection = first_that_answers(known, gone, &self.client_id)?;
            self.connections.insert(BOOTSTRAP, connection);
        }
        self.broker_connection(BOOTSTRAP)
    }

    fn broker_connection(&mut self, id: BrokerId) -> Result<&mut Connection, ClientError> {
        let unknown = ClientError::Kafka {
            code: ErrorCode::BrokerNotAvailable,
            message: None,
        };
        self.connections.get_mut(&id).ok_or(unknown)
    }
}

/// `gone`: whom not to ask, and those who have not answered.
fn first_that_answers<'a>(
    addresses: impl Iterator<Item = &'a Address>,
    gone: &mut BTreeSet<String>,
    client_id: &str,
) -> Result<Connection, ClientError> {
    let mut tried = Vec::new();
    let mut last = ClientError::Address(String::new());
    for address in addresses {
        let name = address.to_string();
        if gone.contains(&name) {
            continue;
        }
        match Connection::open(address, client_id) {
            Ok(connection) => return Ok(connection),
            Err(problem) => last = problem,
        }
        gone.insert(name.clone());
        tried.push(name);
    }
    Err(match last {
        ClientError::Unreachable(_, problem) => ClientError::Unreachable(tried.join(", "), problem),
        problem => problem,
    })
}

/// The connection through which the cluster was found, before any broker id is known.
const BOOTSTRAP: BrokerId = BrokerId(i32::MIN);

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn addresses_are_read_as_kafka_writes_them() {
        let read = |text: &str| text.parse::<Address>().ok().map(|address| address.to_string());
        assert_eq!(read("node01:9092"), Some("node01:9092".to_owned()));
        assert_eq!(read("PLAINTEXT://node01:9092"), Some("node01:9092".to_owned()));
        assert_eq!(read("[::1]:9092"), Some("::1:9092".to_owned()));
        for wrong in ["node01", ":9092", "node01:http", "node01:99999", ""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
