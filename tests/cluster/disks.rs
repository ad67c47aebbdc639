//! A broker whose disk is full, for real: a small file system on a loop device. Needs root; says so otherwise.

use std::path::PathBuf;

use super::Cluster;
use super::failover::{Load, TOPIC};
use super::replicas::assert_same_bytes;
use super::tools_partitions::create;
use crate::disk::device::Disk;
use crate::support::{Broker, wait_until};

const FULL: usize = 0;
const OTHER: usize = 1;

/// With space again it comes back into every ISR by itself.
#[test]
fn others_lead_what_is_on_a_full_disk() {
    lead_on_without(false, |_, disk| disk.remove_filler());
}

/// It starts with nothing free, too, though its logs may want some to recover: they are opened once there is.
#[test]
fn a_broker_that_is_killed_with_a_full_disk_comes_back() {
    lead_on_without(false, |broker, disk| {
        broker.kill_9();
        broker.restart();
        disk.remove_filler();
    });
}

/// The quorum's log is on the disk as well: the process may end, and is started again.
#[test]
fn a_broker_whose_metadata_are_on_the_full_disk_comes_back() {
    lead_on_without(true, |broker, disk| {
        broker.kill_9();
        disk.remove_filler();
        broker.restart();
    });
}

/// Others lead what is on the full disk, and producers go on. Once its broker is helped it is in sync again, and leads;
/// nothing that was acknowledged is lost, and its copies are those of the others, byte for byte.
fn lead_on_without(with_metadata: bool, help: impl FnOnce(&mut Broker, &Disk)) {
    let Some(disk) = Disk::new("ext4") else { return };
    let data = disk.path().join("data");
    let first = Broker::prepare(&[]);
    first.set(&[("log.dirs", &data.display().to_string())]);
    if !with_metadata {
        let metadata = first.dir.join("metadata").display().to_string();
        first.set(&[("metadata.log.dir", &metadata)]);
    }
    let nodes = [first, Broker::prepare(&[]), Broker::prepare(&[])];
    let mut cluster = Cluster::of(nodes.map(|node| (node, "127.0.0.1".to_owned())).into());
    let load = Load::start(&cluster);
    let leads = |cluster: &Cluster| {
        let partitions = cluster.partitions(OTHER, Some(TOPIC));
        partitions.iter().any(|(leader, _)| *leader == FULL as i32 + 1)
    };
    assert!(leads(&cluster), "each broker leads one");
    load.ledger.await_more();
    disk.fill();
    wait_until("others lead", || cluster.is_led_without(OTHER, FULL));
    load.ledger.await_more();
    help(&mut cluster.nodes[FULL], &disk);
    wait_until("it is in sync again", || cluster.in_sync(OTHER, Some(TOPIC), 3));
    let elect = "--election-type PREFERRED --all-topic-partitions";
    cluster.nodes[OTHER].tool("leader-election", elect, "");
    wait_until("it leads again", || leads(&cluster));
    load.ledger.await_more();
    load.stop_and_check(&cluster);
    for node in &mut cluster.nodes {
        assert!(node.terminate().success());
    }
    let others: Vec<PathBuf> = cluster.nodes[OTHER..].iter().map(Broker::data_dir).collect();
    assert_same_bytes(&[&data, &others[0], &others[1]]);
    drop(cluster);
}

/// One of a broker's two directories fails while it runs. Others lead what it led there, and it is in no ISR of that any more;
/// what lies in the other directory it leads on, all in sync. Producers go on with all of it.
#[test]
fn others_lead_what_is_in_a_directory_that_fails() {
    let Some(disk) = Disk::new("ext4") else { return };
    let (cluster, failing) = start_with_a_second_directory(&disk);
    create(
        &cluster,
        &format!("--topic {TOPIC} --replica-assignment 1:2:3,1:3:2,1:2:3"),
    );
    let load = Load::onto_topic(&cluster, 3);
    load.ledger.await_more_of(&[0, 1, 2]);
    let fails: Vec<bool> = (0..3)
        .map(|index| failing.join(format!("{TOPIC}-{index}")).exists())
        .collect();
    assert!(fails.contains(&true) && fails.contains(&false), "{fails:?}");

    disk.fail();
    let id = FULL as i32 + 1;
    wait_until("others lead what has failed, and only that", || {
        let partitions = cluster.replicas_in_sync(OTHER, Some(TOPIC));
        let is_as_it_should = |((leader, isr), fails): (&(i32, Vec<i32>), &bool)| match fails {
            true => *leader > 0 && *leader != id && isr.len() == 2 && !isr.contains(&id),
            false => *leader == id && isr.len() == 3,
        };
        partitions.len() == 3 && partitions.iter().zip(&fails).all(is_as_it_should)
    });
    load.ledger.await_more_of(&[0, 1, 2]);
    wait_until("the directory is counted", || {
        cluster.nodes[FULL].metric("kafka_log_logmanager_offlinelogdirectorycount") == 1
    });
    load.stop_and_check(&cluster).check_none_failed();
    drop(cluster);
}

/// The first broker's second log directory is on that disk, its metadata are not.
fn start_with_a_second_directory(disk: &Disk) -> (Cluster, PathBuf) {
    let (first, failing) = (Broker::prepare(&[]), disk.path().join("data"));
    let both = format!("{},{}", first.data_dir().display(), failing.display());
    let metadata = first.dir.join("metadata").display().to_string();
    first.set(&[("log.dirs", &both), ("metadata.log.dir", &metadata)]);
    let nodes = [first, Broker::prepare(&[]), Broker::prepare(&[])];
    (
        Cluster::of(nodes.map(|node| (node, "127.0.0.1".to_owned())).into()),
        failing,
    )
}
