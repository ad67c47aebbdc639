//! Brokers that do not hear each other while their clients hear them all: each in a network namespace of its own, which
//! takes root.

use std::process::Command;

use super::Cluster;
use super::failover::{Load, TOPIC};
use crate::support::{Broker, is_root, wait_until};

const NODES: usize = 3;

/// A bridge that the test stands on, and a namespace for each node.
struct Net {
    /// What its names begin with: its process.
    name: String,
    /// The first three numbers of its addresses.
    prefix: String,
}

impl Net {
    /// Whether this user may make networks on this machine.
    fn is_possible() -> bool {
        let name = format!("cp{}", std::process::id() % 100_000);
        let made = [format!("netns add {name}"), format!("link add {name} type bridge")].map(|line| run_ip(&line));
        let _ = run_ip(&format!("link delete {name}"));
        let _ = run_ip(&format!("netns delete {name}"));
        made.iter()
            .all(|done| done.as_ref().is_ok_and(|status| status.success()))
    }

    fn new() -> Net {
        let process = std::process::id();
        let net = Net {
            name: format!("cl{}", process % 100_000),
            prefix: format!("10.{}.{}", 128 + process % 64, process / 64 % 256),
        };
        let Net { name, prefix } = &net;
        ip(&format!("link add {name} type bridge"));
        ip(&format!("address add {prefix}.254/24 dev {name}"));
        ip(&format!("link set {name} up"));
        for node in 0..NODES {
            let (space, host) = (net.namespace(node), net.host(node));
            ip(&format!("netns add {space}"));
            ip(&format!("link add {space} type veth peer name eth0 netns {space}"));
            ip(&format!("link set {space} master {name} up"));
            ip(&format!("-n {space} address add {host}/24 dev eth0"));
            ip(&format!("-n {space} link set lo up"));
            ip(&format!("-n {space} link set eth0 up"));
        }
        net
    }

    fn namespace(&self, node: usize) -> String {
        format!("{}n{node}", self.name)
    }

    fn host(&self, node: usize) -> String {
        format!("{}.{}", self.prefix, node + 1)
    }

    /// Whether what `from` sends comes to `to`.
    fn set_cut(&self, from: usize, to: usize, is_cut: bool) {
        let verb = if is_cut { "add" } else { "del" };
        let (space, host) = (self.namespace(from), self.host(to));
        ip(&format!("-n {space} route {verb} blackhole {host}/32"));
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for node in 0..NODES {
            let _ = run_ip(&format!("netns delete {}", self.namespace(node)));
        }
        let _ = run_ip(&format!("link delete {}", self.name));
    }
}

fn run_ip(arguments: &str) -> std::io::Result<std::process::ExitStatus> {
    Command::new("ip").args(arguments.split(' ')).status()
}

fn ip(arguments: &str) {
    assert!(run_ip(arguments).unwrap().success(), "ip {arguments}");
}

/// One broker after the other is cut off from the rest, in both directions, then in one, then in the other. Its clients
/// still reach it, and it may lead and be the controller: others take over, and nothing that it takes then is acknowledged
/// and lost.
#[test]
fn brokers_that_are_cut_off_lose_nothing() {
    if !is_root() || !Net::is_possible() {
        return eprintln!("skipped: no network namespaces, which need root and iproute2");
    }
    let net = Net::new();
    let node = |node| {
        let host = net.host(node);
        (Broker::prepare_at(&host, Some(&net.namespace(node)), &[]), host)
    };
    let cluster = Cluster::of((0..NODES).map(node).collect());
    let load = Load::start(&cluster);
    for victim in 0..NODES {
        let others = [(victim + 1) % NODES, (victim + 2) % NODES];
        let mut cuts = Vec::new();
        for other in others {
            cuts.extend((victim != 1).then_some((victim, other)));
            cuts.extend((victim != 2).then_some((other, victim)));
        }
        load.ledger.await_more();
        cuts.iter().for_each(|(from, to)| net.set_cut(*from, *to, true));
        wait_until("others lead", || cluster.is_led_without(others[0], victim));
        load.ledger.await_more();
        cuts.iter().for_each(|(from, to)| net.set_cut(*from, *to, false));
        wait_until("it is in sync again", || cluster.in_sync(others[0], Some(TOPIC), NODES));
    }
    load.stop_and_check(&cluster);
    drop(cluster);
    drop(net);
}
