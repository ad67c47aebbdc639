//! The listeners as a client sees them: it connects to what it was given, asks for the brokers, and then dials the addresses
//! that they advertise. Most "cannot connect" reports are about the second step.

use super::Line;
use crate::client::{Address, ClientError, Cluster, Connection};
use crate::config::{BrokerConfig, ListenerSpec};
use crate::rt;
use crate::tuning::Status;
use crate::wire::messages::text;

const AREA: &str = "listeners";
const CLIENT_ID: &str = "corelane-doctor";

/// Each listener of a broker that should run on this machine.
pub(super) fn of_broker(config: &BrokerConfig) -> Vec<Line> {
    let mut lines = Vec::new();
    for (listener, advertised) in config.listeners.iter().zip(&config.advertised) {
        if listener.port == 0 {
            let what = format!(
                "listener {} takes a free port at each start: not looked at",
                listener.name
            );
            lines.push(Line::new(Status::Skip, AREA, what, ""));
            continue;
        }
        lines.extend(own_advice(listener, advertised));
        lines.extend(from_here(&dialled(listener).to_string()));
    }
    lines
}

fn dialled(listener: &ListenerSpec) -> Address {
    let host = match listener.host.as_str() {
        "" | "0.0.0.0" => "127.0.0.1",
        "::" => "::1",
        host => host,
    };
    Address {
        host: host.to_owned(),
        port: listener.port,
    }
}

/// What can be said without connecting.
fn own_advice(listener: &ListenerSpec, advertised: &ListenerSpec) -> Option<Line> {
    (!is_loopback(&listener.host) && is_loopback(&advertised.host)).then(|| loopback_advertised(&advertised.host))
}

fn loopback_advertised(host: &str) -> Line {
    Line::new(
        Status::Fail,
        AREA,
        format!("clients are told to connect to {host}, which is each client's own machine"),
        "set advertised.listeners to the name by which clients reach this machine",
    )
}

fn is_loopback(host: &str) -> bool {
    matches!(host, "localhost" | "::1") || host.starts_with("127.")
}

/// What a client finds that is given these addresses.
pub(super) fn from_here(bootstrap: &str) -> Vec<Line> {
    let answer = Cluster::connect(bootstrap, CLIENT_ID).and_then(|mut cluster| cluster.metadata(Some(&[]), false));
    let metadata = match answer {
        Ok(metadata) => metadata,
        Err(problem) => return vec![unreachable(bootstrap, &problem)],
    };
    let cluster = metadata.cluster_id.as_ref().map(text).unwrap_or_default();
    let mut lines = vec![Line::ok(AREA, format!("{bootstrap} answers: cluster {cluster}"))];
    for broker in &metadata.brokers {
        let address = Address {
            host: text(&broker.host),
            port: u16::try_from(broker.port).unwrap_or_default(),
        };
        let is_remote = !bootstrap
            .split(',')
            .all(|one| one.parse::<Address>().is_ok_and(|given| is_loopback(&given.host)));
        if is_remote && is_loopback(&address.host) {
            lines.push(loopback_advertised(&address.host));
        }
        lines.push(dial(broker.node_id, &address, &cluster));
    }
    lines
}

fn unreachable(bootstrap: &str, problem: &ClientError) -> Line {
    let cure = match problem {
        ClientError::Unreachable(..) => {
            "is the broker running (systemctl status corelane), and does its listeners line name this address? a firewall between?"
        }
        ClientError::Broken(..) | ClientError::Answer(..) => {
            "something else than a Kafka broker listens there, or one with TLS"
        }
        _ => "",
    };
    Line::new(Status::Fail, AREA, problem.to_string(), cure).at(bootstrap)
}

impl Line {
    /// With what was dialled in front.
    fn at(mut self, address: &str) -> Line {
        self.what = format!("{address}: {}", self.what);
        self
    }
}

/// Connects to an advertised address, and asks whether it is the same cluster that answers there.
fn dial(node: i32, address: &Address, cluster: &str) -> Line {
    let shown = format!("broker {node} is advertised as {address}");
    if let Err(problem) = rt::resolve(&address.host, address.port) {
        let cure =
            "clients cannot resolve it either: use a name of DNS or /etc/hosts in advertised.listeners, or an address";
        return Line::new(Status::Fail, AREA, format!("{shown}: {problem}"), cure);
    }
    let began = rt::now();
    if let Err(problem) = Connection::open(address, CLIENT_ID) {
        let cure = "the broker is there (it was asked a moment ago), but not at this address: set advertised.listeners to what \
                    clients can reach; behind NAT or in a container that is the outer host and port";
        return Line::new(Status::Fail, AREA, format!("{shown}: {problem}"), cure);
    }
    let took_us = rt::now().since(began).as_micros();
    let other =
        Cluster::connect(&address.to_string(), CLIENT_ID).and_then(|mut found| found.metadata(Some(&[]), false));
    match other.map(|answer| answer.cluster_id.as_ref().map(text).unwrap_or_default()) {
        Ok(found) if found == cluster => Line::ok(AREA, format!("{shown}: connected and answered in {took_us} us")),
        Ok(found) => Line::new(
            Status::Fail,
            AREA,
            format!("{shown}: another cluster answers there, {found}"),
            "advertised.listeners leads to another machine or container: correct the host or the port",
        ),
        Err(problem) => Line::new(Status::Fail, AREA, format!("{shown}: {problem}"), ""),
    }
}
