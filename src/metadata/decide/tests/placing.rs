//! Where replicas go: racks, brokers that are not active, log directories.

use super::rig::{Rig, dirs, registration};
use super::*;
use crate::metadata::command::Registration;

fn racked(racks: &[&str]) -> Rig {
    let mut rig = Rig::new(0);
    for (id, rack) in (0..).zip(racks) {
        let asked = Registration {
            rack: Some((*rack).to_owned()),
            ..registration(id, 1)
        };
        rig.register_with(asked).unwrap();
        rig.beat(id);
    }
    rig
}

/// No two replicas in one rack while another has none, and every broker carries the same.
#[test]
fn replicas_are_spread_over_racks() {
    let racks = ["a", "a", "b", "b", "c", "c"];
    let rig = racked(&racks);
    for draw in [0, 1, 17] {
        let lists = placement::assign(&rig.image, 0, 60, 3, draw).unwrap();
        for replicas in &lists {
            let used: BTreeSet<_> = replicas.iter().map(|id| racks[id.0 as usize]).collect();
            assert_eq!(used.len(), 3, "{replicas:?}");
        }
        for broker in rig.image.brokers.keys() {
            let leads = lists.iter().filter(|replicas| replicas[0] == *broker).count();
            assert_eq!(leads, 10);
        }
    }
}

/// More replicas than racks: every rack has one before any has two.
#[test]
fn every_rack_has_a_replica_before_one_has_two() {
    let racks = ["a", "a", "a", "b"];
    let rig = racked(&racks);
    for replicas in placement::assign(&rig.image, 0, 20, 3, 3).unwrap() {
        let distinct: BTreeSet<_> = replicas.iter().collect();
        assert_eq!(distinct.len(), 3);
        assert!(replicas.iter().any(|id| racks[id.0 as usize] == "b"), "{replicas:?}");
    }
}

/// With too few active brokers the others hold replicas as well, but do not come first and are not in sync.
#[test]
fn brokers_that_are_not_active_come_last() {
    let mut rig = Rig::new(4);
    rig.silence(1);
    let lists = placement::assign(&rig.image, 0, 12, 3, 5).unwrap();
    assert!(lists.iter().flatten().all(|id| *id != BrokerId(1)));
    for replicas in placement::assign(&rig.image, 0, 12, 4, 5).unwrap() {
        assert_eq!(replicas[3], BrokerId(1));
        let state = placement::new_partition(&rig.image, &rig.live, 0, &replicas);
        assert_eq!((state.leader, state.isr), (Some(replicas[0]), replicas[..3].to_vec()));
    }
}

/// Of every broker the directory that holds the fewest, of those that it says are online.
#[test]
fn each_replica_goes_to_its_brokers_emptiest_directory() {
    let mut rig = Rig::new(2);
    rig.topic(&[&[0, 1], &[0, 1], &[1], &[1]], &[]);
    let [first, second] = [0, 1].map(|index| rig.state(index).directories.clone());
    assert!(first[0] != second[0] && first[1] != second[1]);
    for id in 0..2 {
        for directory in dirs(id) {
            assert_eq!(rig.image.partitions_in(&directory), 1 + id as usize);
        }
    }
}
