//! What goes wrong, one thing after the other or several at once, as the seed has it.

use std::rc::Rc;
use std::time::Duration;

use super::cluster::Cluster;
use super::node::Node;
use super::plots;
use crate::metadata::{Command, Election, NewReplicas};
use crate::model::BrokerId;
use crate::rt::sim::{Crash, Failing, HostId, Plane, cut, heal_all, ms};
use crate::rt::{self, random_u64, sleep};

const COMMAND_PATIENCE: Duration = Duration::from_secs(5);
const PLOT_ONE_IN: u64 = 2;
const CLOCK_SHIFT_MS_MAX: u64 = 50 * 60 * 1000;
/// A full disk has this much left at most: a little more than what brokers keep free.
const DISK_SPARE_MAX: u64 = 2 << 20;
/// A machine that loses power by its disk does so within so many operations.
const STOP_WITHIN: u64 = 300;

/// Breaks a few things, mends the links after a while, leaves some calm, until the load is over. Now and then it is a plot
/// instead.
pub async fn torment(cluster: Rc<Cluster>) {
    // Some runs are rougher than others.
    let at_once_max = 2 + random_u64() % 3;
    while !cluster.is_over.get() {
        if random_u64().is_multiple_of(PLOT_ONE_IN) {
            plots::any(&cluster).await;
        }
        for _ in 0..1 + random_u64() % at_once_max {
            plots::over(&cluster).await;
            if cluster.is_over.get() {
                return;
            }
            break_something(&cluster);
            sleep(ms(random_u64() % 1_500)).await;
        }
        sleep(ms(random_u64() % 4_000)).await;
        plots::over(&cluster).await;
        if cluster.is_over.get() {
            return;
        }
        cluster.note("links are whole");
        heal_all();
        if random_u64().is_multiple_of(at_once_max) {
            sleep(ms(random_u64() % 5_000)).await;
        }
    }
}

fn break_something(cluster: &Rc<Cluster>) {
    match random_u64() % 29 {
        0..=2 => bring_down(cluster, any_broker(cluster), Some(Crash::Kill)),
        3..=5 => bring_down(cluster, any_broker(cluster), Some(Crash::PowerCut)),
        6 | 7 => bring_down(cluster, any_broker(cluster), None),
        8 | 9 => cut_off(cluster, any_broker(cluster), &[Plane::Data, Plane::Control]),
        10 | 11 => cut_off(cluster, any_broker(cluster), &[Plane::Control]),
        22 => cut_off(cluster, controller(cluster), &[Plane::Control]),
        23 => bring_down(cluster, controller(cluster), Some(any_crash())),
        24 | 25 => stop_disk(cluster),
        12 | 26 => cut_one_way(cluster),
        13 => cut_leader(cluster),
        14 | 15 => pause(cluster),
        16 => reassign(cluster),
        17 | 18 => elect(cluster, Election::Preferred),
        19 => fill_disk(cluster),
        20 => set_clock(cluster),
        27 | 28 => fail_disk(cluster),
        _ => elect(cluster, Election::Unclean),
    }
}

fn any_broker(cluster: &Cluster) -> BrokerId {
    cluster.any_node().id
}

/// As one of them sees it; if it sees none, that one.
fn controller(cluster: &Cluster) -> BrokerId {
    let node = cluster.any_node();
    let seen = node.router().and_then(|router| router.image().controller);
    seen.unwrap_or(node.id)
}

fn any_crash() -> Crash {
    [Crash::Kill, Crash::PowerCut][(random_u64() % 2) as usize]
}

/// How; `None`: in order. It starts again a while later.
fn bring_down(cluster: &Rc<Cluster>, broker: BrokerId, crash: Option<Crash>) {
    let node = cluster.node(broker);
    if !node.is_up() || crash.is_none() && node.router().is_none() {
        return;
    }
    match crash {
        Some(crash) => {
            cluster.note(format!("broker {}: {crash:?}", node.id.0));
            node.crash(crash);
        }
        None => {
            cluster.note(format!("broker {}: stops in order", node.id.0));
            node.stop();
        }
    }
    let away = ms(random_u64() % [300, 2_000, 8_000][(random_u64() % 3) as usize]);
    let cluster = cluster.clone();
    rt::spawn(async move {
        sleep(away).await;
        cluster.begin(broker);
    });
}

fn any_host(cluster: &Cluster) -> HostId {
    cluster.any_node().host.id()
}

/// One broker from all others.
fn cut_off(cluster: &Cluster, broker: BrokerId, planes: &[Plane]) {
    let host = cluster.node(broker).host.id();
    let which = random_u64() % 3;
    cluster.note(format!("broker {}: cut off, {planes:?}, way {which}", host.0));
    for other in cluster.hosts_but(host) {
        for plane in planes {
            if which != 1 {
                cut(*plane, host, other);
            }
            if which != 2 {
                cut(*plane, other, host);
            }
        }
    }
}

fn cut_one_way(cluster: &Cluster) {
    let (from, to) = (any_host(cluster), any_host(cluster));
    if from != to {
        let plane = [Plane::Data, Plane::Control][(random_u64() % 2) as usize];
        cluster.note(format!("cut from {} to {}, {plane:?}", from.0, to.0));
        cut(plane, from, to);
    }
}

/// A leader from its followers, not from the controller.
fn cut_leader(cluster: &Cluster) {
    let partitions = cluster.partitions();
    let (spec, id) = &partitions[(random_u64() % partitions.len() as u64) as usize];
    let Some(leader) = cluster.leader_as_seen(*id).map(|node| node.host.id()) else {
        return;
    };
    cluster.note(format!(
        "broker {}, leader of {}-{}: cut from its followers",
        leader.0, spec.name, id.index
    ));
    for other in cluster.hosts_but(leader) {
        cut(Plane::Data, leader, other);
        cut(Plane::Data, other, leader);
    }
}

fn pause(cluster: &Cluster) {
    let node = cluster.any_node();
    let still = ms(500 + random_u64() % 6_000);
    cluster.note(format!(
        "broker {}: stands still for {} ms",
        node.id.0,
        still.as_millis()
    ));
    node.host.pause(still);
}

/// Back or forth, as far as a broker still takes the clients' timestamps (message.timestamp.after.max.ms).
fn set_clock(cluster: &Cluster) {
    let node = cluster.any_node();
    let shift_ms = (random_u64() % (2 * CLOCK_SHIFT_MS_MAX)) as i64 - CLOCK_SHIFT_MS_MAX as i64;
    cluster.note(format!("broker {}: its wall clock is off by {shift_ms} ms", node.id.0));
    node.host.set_wall_shift(shift_ms);
}

/// Its broker refuses what does not fit. Should a log directory go offline, somebody starts it again.
fn fill_disk(cluster: &Rc<Cluster>) {
    let node = cluster.any_node();
    let spare = random_u64() % DISK_SPARE_MAX;
    cluster.note(format!("broker {}: {spare} bytes are left on its disk", node.id.0));
    node.host.fill_disk(spare);
    mend_disk(cluster, node.id, ms(500 + random_u64() % 8_000));
}

/// What cannot be relied on any more is let go: a log directory, or the process where it is the metadata's.
fn fail_disk(cluster: &Rc<Cluster>) {
    let node = cluster.any_node();
    let dirs = node.dirs();
    let dir = &dirs[(random_u64() % dirs.len() as u64) as usize];
    let what = [Failing::Reads, Failing::Writes, Failing::Syncs][(random_u64() % 3) as usize];
    if node.host.fail_disk(dir, what).is_ok() {
        cluster.note(format!("broker {}: {what:?} fail below {}", node.id.0, dir.display()));
        mend_disk(cluster, node.id, ms(500 + random_u64() % 4_000));
    }
}

fn mend_disk(cluster: &Rc<Cluster>, broker: BrokerId, after: Duration) {
    let cluster = cluster.clone();
    rt::spawn(async move {
        sleep(after).await;
        let node: &Node = cluster.node(broker);
        cluster.note(format!("broker {}: its disk is well again", node.id.0));
        if node.host.disk_failures() > 0 {
            cluster.saw("disk operations failed");
        }
        node.host.clear_disk();
        if node.is_up() && node.has_lost_disk() {
            cluster.saw("a log directory was offline");
            cluster.note(format!(
                "broker {}: starts again, for its log directory is offline",
                node.id.0
            ));
            node.crash(Crash::Kill);
            node.start();
        }
    });
}

/// It loses power in the midst of a disk operation, and is started by whoever watches over it.
fn stop_disk(cluster: &Cluster) {
    let node = cluster.any_node();
    let operation = 1 + random_u64() % STOP_WITHIN;
    cluster.note(format!(
        "broker {}: loses power at disk operation {operation}",
        node.id.0
    ));
    node.host.stop_at(operation);
}

fn reassign(cluster: &Rc<Cluster>) {
    let partitions = cluster.partitions();
    let (spec, id) = &partitions[(random_u64() % partitions.len() as u64) as usize];
    let mut brokers: Vec<_> = cluster.nodes.iter().map(|node| node.id).collect();
    let turn = (random_u64() % brokers.len() as u64) as usize;
    brokers.rotate_left(turn);
    brokers.truncate(3);
    cluster.note(format!("{}-{}: to be moved to {brokers:?}", spec.name, id.index));
    let moved = NewReplicas {
        topic: spec.name.to_owned(),
        index: id.index,
        replicas: (!random_u64().is_multiple_of(5)).then_some(brokers),
    };
    submit(
        cluster.any_node(),
        Command::AlterReassignments {
            partitions: vec![moved],
            allow_factor_change: false,
        },
    );
}

/// An unclean one only where the topic allows it.
fn elect(cluster: &Rc<Cluster>, election: Election) {
    let may = |unclean: bool| election == Election::Preferred || unclean;
    let partitions = cluster
        .partitions()
        .into_iter()
        .filter(|(spec, _)| may(spec.is_unclean));
    let partitions: Vec<_> = partitions.map(|(spec, id)| (spec.name.to_owned(), id.index)).collect();
    submit(
        cluster.any_node(),
        Command::ElectLeaders {
            election,
            partitions: Some(partitions),
        },
    );
}

pub fn submit(node: &Node, command: Command) {
    if let Some(router) = node.router() {
        rt::spawn(async move {
            // Whatever comes of it.
            drop(rt::timeout(COMMAND_PATIENCE, router.metadata().submit(command)).await);
        });
    }
}
