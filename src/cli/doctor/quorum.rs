//! The quorum of controllers, as the configuration names it: whether each node's address is there, and this node's own is
//! where it listens.

use std::time::Duration;

use super::Line;
use crate::config::{BrokerConfig, QuorumConfig, VoterSpec};
use crate::rt::{self, blocking};
use crate::tuning::Status;

const AREA: &str = "quorum";
const PATIENCE: Duration = Duration::from_secs(3);

/// Nothing where this node keeps its metadata alone. A broker only needs to reach the controllers, and is not dialled.
pub(super) fn look(config: &BrokerConfig) -> Vec<Line> {
    let Some(quorum) = &config.quorum else {
        return Vec::new();
    };
    if quorum.voters.is_empty() {
        let servers = quorum.bootstrap.iter();
        return servers.map(|(host, port)| knock("a controller", host, *port)).collect();
    }
    let mut lines = Vec::from_iter((!quorum.is_dynamic).then(|| size(quorum)));
    for voter in &quorum.voters {
        lines.extend(own_advice(config.broker_id, quorum, voter));
        let VoterSpec { id, host, port } = voter;
        let who = if *id == config.broker_id { "this node" } else { "node" };
        lines.push(knock(&format!("{who} {id}"), host, *port));
    }
    lines
}

fn size(quorum: &QuorumConfig) -> Line {
    let count = quorum.voters.len();
    let what = format!("{count} nodes, of which {} must run", count / 2 + 1);
    match count % 2 {
        1 => Line::ok(AREA, what),
        _ => Line::new(
            Status::Warn,
            AREA,
            what,
            "an even number survives no more failures than one less: name three or five nodes",
        ),
    }
}

/// What can be said without connecting.
fn own_advice(me: i32, quorum: &QuorumConfig, voter: &VoterSpec) -> Option<Line> {
    let (theirs, listens) = (voter.port, quorum.listener.as_ref()?.port);
    (voter.id == me && theirs != listens).then(|| {
        Line::new(
            Status::Fail,
            AREA,
            format!("the others look for this node at port {theirs}, and it listens at {listens}"),
            "write the same port in controller.quorum.voters and in listeners",
        )
    })
}

fn knock(who: &str, host: &str, port: u16) -> Line {
    let shown = format!("{who} at {host}:{port}");
    if let Err(problem) = rt::resolve(host, port) {
        let cure = "use a name of DNS or /etc/hosts, the same on every node, or an address";
        return Line::new(Status::Fail, AREA, format!("{shown}: {problem}"), cure);
    }
    match blocking::TcpStream::connect(host, port, PATIENCE) {
        Ok(_) => Line::ok(AREA, format!("{shown}: something listens there")),
        Err(problem) => Line::new(
            Status::Fail,
            AREA,
            format!("{shown}: {problem}"),
            "does it run, with its controller listener on an address that the others reach, and no firewall between?",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ListenerSpec, Role};

    fn quorum(ports: &[u16], listens: u16) -> QuorumConfig {
        let voter = |(at, port): (usize, &u16)| VoterSpec {
            id: at as i32 + 1,
            host: "127.0.0.1".to_owned(),
            port: *port,
        };
        QuorumConfig {
            role: Role::Both,
            is_dynamic: false,
            advertised: None,
            voters: ports.iter().enumerate().map(voter).collect(),
            bootstrap: Vec::new(),
            listener_name: "CONTROLLER".to_owned(),
            listener: Some(ListenerSpec {
                name: "CONTROLLER".to_owned(),
                host: "127.0.0.1".to_owned(),
                port: listens,
            }),
            election_timeout_ms: 1_000,
            request_timeout_ms: 2_000,
        }
    }

    #[test]
    fn a_port_that_is_not_listened_on_and_an_even_number_are_found() {
        let named = quorum(&[1, 2], 3);
        assert_eq!(size(&named).status, Status::Warn);
        assert_eq!(size(&quorum(&[1, 2, 3], 3)).status, Status::Ok);
        let advice = |me: i32, at: usize| own_advice(me, &named, &named.voters[at]).map(|line| line.status);
        assert_eq!(advice(1, 0), Some(Status::Fail));
        assert_eq!(advice(1, 1), None, "another node's");
        assert_eq!(
            own_advice(3, &quorum(&[1, 2, 3], 3), &quorum(&[1, 2, 3], 3).voters[2]).map(|line| line.what),
            None
        );
    }
}
