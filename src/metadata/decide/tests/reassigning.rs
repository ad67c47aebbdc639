//! Reassignments, from the request to the last old replica.

use super::rig::{Rig, dirs};
use super::*;

fn ids(list: &[BrokerId]) -> Vec<i32> {
    list.iter().map(|id| id.0).collect()
}

/// (replicas, adding, removing)
fn assignment(rig: &Rig) -> (Vec<i32>, Vec<i32>, Vec<i32>) {
    let state = rig.state(0);
    (ids(&state.replicas), ids(&state.adding), ids(&state.removing))
}

/// New replicas first, old ones last; when all new ones are in sync the old ones go, and the leader with them.
#[test]
fn replicas_are_added_before_others_are_removed() {
    let mut rig = Rig::new(4);
    rig.topic(&[&[0, 1]], &[]);
    assert_eq!(rig.reassign(Some(&[2, 3]), false), Ok(()));
    assert_eq!(assignment(&rig), (vec![2, 3, 0, 1], vec![2, 3], vec![0, 1]));
    let state = rig.state(0);
    assert_eq!((state.leader, state.leader_epoch.0), (Some(BrokerId(0)), 0));
    assert_eq!(state.directories.len(), 4);
    assert!(dirs(2).contains(&state.directories[0]) && dirs(0).contains(&state.directories[2]));
    rig.set_isr(&[0, 1, 2]).unwrap();
    assert_eq!(assignment(&rig).0, [2, 3, 0, 1]);
    assert_eq!(rig.set_isr(&[0, 1, 2, 3]), Err(ErrorCode::NewLeaderElected));
    assert_eq!(assignment(&rig), (vec![2, 3], vec![], vec![]));
    assert_eq!(rig.show(), "2@1 isr=2,3");
    assert_eq!(rig.state(0).directories.len(), 2);
}

/// Nobody has to be waited for: fewer replicas, or another order.
#[test]
fn what_is_in_sync_already_is_done_at_once() {
    let mut rig = Rig::new(3);
    rig.topic(&[&[0, 1, 2]], &[]);
    assert_eq!(rig.reassign(Some(&[2, 1]), true), Ok(()));
    assert_eq!(assignment(&rig), (vec![2, 1], vec![], vec![]));
    assert_eq!(rig.show(), "2@1 isr=1,2");
    assert_eq!(rig.reassign(Some(&[1, 2]), true), Ok(()));
    assert_eq!(assignment(&rig).0, [1, 2]);
    assert_eq!(rig.show(), "2@1 isr=1,2");
}

/// Back to what was before; the added replicas go.
#[test]
fn a_reassignment_can_be_undone() {
    let mut rig = Rig::new(4);
    rig.topic(&[&[0, 1]], &[]);
    let none = refused(
        ErrorCode::NoReassignmentInProgress,
        "No partition reassignment is in progress.",
    );
    assert_eq!(rig.reassign(None, true), none);
    rig.reassign(Some(&[2, 3]), true).unwrap();
    rig.set_isr(&[0, 1, 2]).unwrap();
    assert_eq!(rig.reassign(None, true), Ok(()));
    assert_eq!(assignment(&rig), (vec![0, 1], vec![], vec![]));
    assert_eq!(rig.show(), "0@1 isr=0,1");
}

/// Only an added replica holds everything: undoing would lose records, unless the topic allows that.
#[test]
fn undoing_does_not_lose_records() {
    for is_allowed in [false, true] {
        let mut rig = Rig::new(3);
        rig.topic(&[&[0]], &[]);
        rig.reassign(Some(&[1, 2]), true).unwrap();
        rig.set_isr(&[0, 1]).unwrap();
        rig.silence(0);
        assert_eq!(rig.show(), "1@1 isr=1");
        rig.beat(0);
        if is_allowed {
            rig.configure("unclean.leader.election.enable", "true");
            assert_eq!(rig.reassign(None, true), Ok(()));
            assert_eq!(rig.show(), "0@2 isr=0 recovering");
        } else {
            let message = "Unable to revert partition assignment for t:0 because it would require an unclean leader \
                           election.";
            assert_eq!(
                rig.reassign(None, true),
                refused(ErrorCode::InvalidReplicaAssignment, message)
            );
        }
    }
}

/// A second request before the first is done: what the first one added and the second does not want goes at once.
#[test]
fn a_reassignment_can_be_changed() {
    let mut rig = Rig::new(5);
    rig.topic(&[&[0, 1]], &[]);
    rig.reassign(Some(&[2, 3]), true).unwrap();
    rig.set_isr(&[0, 1, 3]).unwrap();
    rig.reassign(Some(&[2, 4]), true).unwrap();
    assert_eq!(assignment(&rig), (vec![2, 4, 0, 1], vec![2, 4], vec![0, 1]));
    assert_eq!(rig.show(), "0@1 isr=0,1");
    rig.reassign(None, true).unwrap();
    assert_eq!(assignment(&rig), (vec![0, 1], vec![], vec![]));
}

/// Unless it is the only one that holds everything.
#[test]
fn the_last_holder_stays_until_others_hold_it() {
    let mut rig = Rig::new(4);
    rig.topic(&[&[0]], &[]);
    rig.reassign(Some(&[1, 2]), true).unwrap();
    rig.set_isr(&[0, 1]).unwrap();
    rig.silence(0);
    rig.reassign(Some(&[2, 3]), true).unwrap();
    assert_eq!(rig.show(), "1@1 isr=1");
    assert_eq!(assignment(&rig), (vec![2, 3, 1, 0], vec![2, 3], vec![1, 0]));
    assert_eq!(rig.set_isr(&[1, 2, 3]), Err(ErrorCode::NewLeaderElected));
    assert_eq!(rig.show(), "2@2 isr=2,3");
}

/// Kafka's words for what cannot be.
#[test]
fn requests_are_checked() {
    let mut rig = Rig::new(3);
    rig.topic(&[&[0, 1]], &[]);
    let invalid = |message| refused(ErrorCode::InvalidReplicaAssignment, message);
    let cases: [(&[i32], Outcome); 4] = [
        (
            &[],
            invalid("The manual partition assignment includes an empty replica list."),
        ),
        (
            &[1, 1],
            invalid("The manual partition assignment includes the broker 1 more than once."),
        ),
        (
            &[1, 9],
            invalid("The manual partition assignment includes broker 9, but no such broker is registered."),
        ),
        (
            &[0, 1, 2],
            refused(
                ErrorCode::InvalidReplicationFactor,
                "The replication factor is changed from 2 to 3",
            ),
        ),
    ];
    for (replicas, expected) in cases {
        assert_eq!(rig.reassign(Some(replicas), false), expected);
    }
    assert_eq!(assignment(&rig), (vec![0, 1], vec![], vec![]));
}
