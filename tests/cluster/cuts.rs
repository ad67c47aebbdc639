//! Brokers that do not hear each other while their clients hear them all: each in a network namespace of its own, which
//! takes root.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Cluster;
use super::failover::{Load, TOPIC};
use super::roles::Split;
use super::tools_partitions::create;
use crate::support::{Broker, is_root, wait_until};

const NODES: usize = 3;

/// A bridge that the test stands on, and a namespace for each node.
struct Net {
    nodes: usize,
    /// What its names begin with: its process, and which of that one's it is.
    name: String,
    /// The first three numbers of its addresses.
    prefix: String,
}

impl Net {
    /// `None`, with that said, where this user may not make networks on this machine.
    fn new(nodes: usize) -> Option<Net> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let net = Net {
            nodes,
            name: format!("cl{}x{number}", process % 100_000),
            prefix: format!("10.{}.{}", 128 + process % 32 + number % 4 * 32, process / 32 % 256),
        };
        if !is_root() || !net.is_possible() {
            eprintln!("skipped: no network namespaces, which need root and iproute2");
            return None;
        }
        net.make();
        Some(net)
    }

    fn is_possible(&self) -> bool {
        let name = format!("{}p", self.name);
        let made = [format!("netns add {name}"), format!("link add {name} type bridge")].map(|line| run_ip(&line));
        let _ = run_ip(&format!("link delete {name}"));
        let _ = run_ip(&format!("netns delete {name}"));
        made.iter()
            .all(|done| done.as_ref().is_ok_and(|status| status.success()))
    }

    fn make(&self) {
        let Net { name, prefix, .. } = self;
        ip(&format!("link add {name} type bridge"));
        ip(&format!("address add {prefix}.254/24 dev {name}"));
        ip(&format!("link set {name} up"));
        for node in 0..self.nodes {
            let (space, host) = (self.namespace(node), self.host(node));
            ip(&format!("netns add {space}"));
            ip(&format!("link add {space} type veth peer name eth0 netns {space}"));
            ip(&format!("link set {space} master {name} up"));
            ip(&format!("-n {space} address add {host}/24 dev eth0"));
            ip(&format!("-n {space} link set lo up"));
            ip(&format!("-n {space} link set eth0 up"));
        }
    }

    /// A node that stands there, not started yet, and its host.
    fn prepare(&self, node: usize, settings: &[(&str, &str)]) -> (Broker, String) {
        let host = self.host(node);
        let broker = Broker::prepare_at(&host, Some(&self.namespace(node)), settings);
        (broker, host)
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

    /// The same in both directions, of one and each of the others.
    fn set_apart(&self, one: usize, others: &[usize], are_cut: bool) {
        for other in others {
            self.set_cut(one, *other, are_cut);
            self.set_cut(*other, one, are_cut);
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for node in 0..self.nodes {
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
    let Some(net) = Net::new(NODES) else { return };
    let cluster = Cluster::of((0..NODES).map(|node| net.prepare(node, &[])).collect());
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

/// Three controllers, then three brokers.
const CONTROLLERS: [usize; 3] = [0, 1, 2];
const BROKERS: [usize; 3] = [3, 4, 5];

/// A split cluster on a net of that many, its brokers with a short `replica.lag.time.max.ms`, and a load on a topic of which
/// each broker leads a partition.
fn start_split(net: &Net) -> (Split, Load) {
    let nodes = |nodes: [usize; 3], roles| nodes.map(|node| net.prepare(node, &[("process.roles", roles)])).into();
    let settings = [("replica.lag.time.max.ms", "2000")];
    let split = Split::of(nodes(CONTROLLERS, "controller"), nodes(BROKERS, "broker"), &settings);
    create(
        &split.cluster,
        &format!("--topic {TOPIC} --replica-assignment 1:2:3,2:3:1,3:1:2"),
    );
    let load = Load::onto_topic(&split.cluster, 3);
    load.ledger.await_more_of(&[0, 1, 2]);
    (split, load)
}

/// Its clients and the other brokers still reach it. Others lead what it led, producers go on, and nothing that it takes
/// meanwhile is acknowledged and lost.
#[test]
fn a_broker_that_no_controller_hears_loses_nothing() {
    let Some(net) = Net::new(6) else { return };
    let (split, load) = start_split(&net);
    net.set_apart(BROKERS[0], &CONTROLLERS, true);
    wait_until("others lead", || split.cluster.is_led_without(1, 0));
    load.ledger.await_more_of(&[0, 1, 2]);
    net.set_apart(BROKERS[0], &CONTROLLERS, false);
    wait_until("it is in sync again", || split.cluster.in_sync(1, Some(TOPIC), 3));
    load.ledger.await_more_of(&[0, 1, 2]);
    load.stop_and_check(&split.cluster).check_none_failed();
    drop(split);
    drop(net);
}

/// The controllers hear all brokers, so nobody is fenced. Cut off from one follower a leader goes on with the other. Cut off
/// from both it is alone in sync, and acknowledges nothing with `min.insync.replicas=2`; the others go on with what they lead.
#[test]
fn a_leader_that_no_follower_hears_loses_nothing() {
    let Some(net) = Net::new(6) else { return };
    let (split, load) = start_split(&net);
    let await_in_sync = |expected: [&[i32]; 3]| {
        wait_until("the ISRs are those that hear each other", || {
            let mut partitions = split.cluster.replicas_in_sync(2, Some(TOPIC));
            partitions.iter_mut().for_each(|(_, isr)| isr.sort_unstable());
            let leaders = partitions.iter().map(|(leader, _)| *leader);
            leaders.eq([1, 2, 3]) && partitions.iter().map(|(_, isr)| isr.as_slice()).eq(expected)
        });
    };
    net.set_apart(BROKERS[0], &BROKERS[1..2], true);
    await_in_sync([&[1, 3], &[2, 3], &[1, 2, 3]]);
    load.ledger.await_more_of(&[0, 1, 2]);
    net.set_apart(BROKERS[0], &BROKERS[2..], true);
    await_in_sync([&[1], &[2, 3], &[2, 3]]);
    let before = load.ledger.ends();
    load.ledger.await_more_of(&[1, 2]);
    assert_eq!(load.ledger.ends()[&0], before[&0], "acknowledged by one alone");

    net.set_apart(BROKERS[0], &BROKERS[1..], false);
    wait_until("all are in sync again", || split.cluster.in_sync(1, Some(TOPIC), 3));
    load.ledger.await_more_of(&[0, 1, 2]);
    load.stop_and_check(&split.cluster).check_none_failed();
    drop(split);
    drop(net);
}
