//! ISRs that grow and shrink: every reason to refuse, and who is eligible.

use super::rig::Rig;
use super::*;
use crate::metadata::command::{AlterPartition, Election, IsrChange};
use crate::model::{LeaderEpoch, PartitionId};

/// Every check of KRaft's controller, with its code.
#[test]
fn isr_changes_are_checked() {
    let mut rig = Rig::new(4);
    rig.topic(&[&[0, 1, 2]], &[]);
    rig.silence(2);
    rig.set_isr(&[0]).unwrap();
    rig.silence(0);
    rig.beat(0);
    rig.beat(2);
    // Led by 0 again, in its second term.
    let state = rig.state(0).clone();
    let good = rig.isr_change(0, &[0, 1]);
    let unknown = |topic, index| IsrChange {
        partition: PartitionId { topic, index },
        ..good.clone()
    };
    let with = |change: &dyn Fn(&mut IsrChange)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed
    };
    let epoch = |by: i32| LeaderEpoch(state.leader_epoch.0 + by);
    let isr = |ids: &[i32]| ids.iter().map(|id| (BrokerId(*id), -1)).collect::<Vec<_>>();
    let cases = [
        (0, unknown(TopicId([9; 16]), 0), ErrorCode::UnknownTopicId),
        (0, unknown(good.partition.topic, 7), ErrorCode::UnknownTopicOrPartition),
        (0, with(&|c| c.leader_epoch = epoch(1)), ErrorCode::NotController),
        (0, with(&|c| c.partition_epoch += 1), ErrorCode::NotController),
        (0, with(&|c| c.leader_epoch = epoch(-1)), ErrorCode::FencedLeaderEpoch),
        (1, good.clone(), ErrorCode::InvalidRequest),
        (0, with(&|c| c.partition_epoch -= 1), ErrorCode::InvalidUpdateVersion),
        (0, with(&|c| c.isr = isr(&[0, 3])), ErrorCode::InvalidRequest),
        (0, with(&|c| c.isr = isr(&[0, 1, 1])), ErrorCode::InvalidRequest),
        (0, with(&|c| c.isr = isr(&[1])), ErrorCode::InvalidRequest),
        (0, with(&|c| c.isr = isr(&[])), ErrorCode::InvalidRequest),
        (0, with(&|c| c.recovering = true), ErrorCode::InvalidRequest),
        (0, with(&|c| c.isr[1].1 -= 1), ErrorCode::IneligibleReplica),
    ];
    for (broker, change, code) in cases {
        assert_eq!(rig.alter(broker, change.clone()), Err(code), "{change:?}");
    }
    assert_eq!(rig.state(0), &state);
    rig.silence(1);
    let fenced = with(&|c| c.isr = isr(&[0, 1]));
    assert_eq!(rig.alter(0, fenced), Err(ErrorCode::IneligibleReplica));
    let grown = rig.set_isr(&[0, 2]).unwrap();
    assert_eq!((grown.isr.len(), grown.leader_epoch), (2, state.leader_epoch));
    assert_eq!(grown.partition_epoch, state.partition_epoch + 1);
}

/// An earlier life of the leader has no say.
#[test]
fn an_earlier_life_of_a_leader_changes_nothing() {
    let mut rig = Rig::new(2);
    rig.topic(&[&[0, 1]], &[]);
    let asked = AlterPartition {
        broker: BrokerId(0),
        broker_epoch: rig.epoch(0) - 1,
        partitions: vec![rig.isr_change(0, &[0])],
    };
    let error = rig.ask(Command::AlterPartition(asked)).unwrap_err();
    assert_eq!(error.code, ErrorCode::StaleBrokerEpoch);
}

/// Below min.insync.replicas whoever falls out stays eligible; an ISR that is large enough ends it. //= KIP-966
#[test]
fn who_falls_out_of_a_small_isr_stays_eligible() {
    let mut rig = Rig::new(3);
    rig.topic(&[&[0, 1, 2]], &[("min.insync.replicas", "2")]);
    rig.set_isr(&[0, 1]).unwrap();
    assert_eq!(rig.show(), "0@0 isr=0,1");
    rig.set_isr(&[0]).unwrap();
    assert_eq!(rig.show(), "0@0 isr=0 elr=1");
    rig.silence(0);
    assert_eq!(rig.show(), "1@1 isr=1 elr=0");
    rig.set_isr(&[1, 2]).unwrap();
    assert_eq!(rig.show(), "1@1 isr=1,2");
}

/// All of them stop, one after the other, and the first eligible one that is back leads.
#[test]
fn an_empty_isr_is_filled_from_the_eligible() {
    let mut rig = Rig::new(4);
    rig.topic(&[&[0, 1, 2]], &[("min.insync.replicas", "2")]);
    rig.silence(2);
    rig.silence(1);
    rig.silence(0);
    assert_eq!(rig.show(), "none@1 isr= elr=0,1 last=0");
    rig.beat(2);
    assert_eq!(rig.show(), "none@1 isr= elr=0,1 last=0", "2 may lack records");
    rig.beat(1);
    assert_eq!(rig.show(), "1@2 isr=1 elr=0");
}

/// As long as somebody is in sync nobody else leads, not even an eligible replica that is preferred.
#[test]
fn the_eligible_do_not_lead_before_the_ones_in_sync() {
    let mut rig = Rig::new(3);
    rig.topic(&[&[0, 1]], &[("min.insync.replicas", "2")]);
    rig.silence(0);
    rig.beat(0);
    assert_eq!(rig.show(), "1@1 isr=1 elr=0");
    assert_eq!(
        rig.elect(Election::Preferred),
        Err(ErrorCode::PreferredLeaderNotAvailable)
    );
    let Ok(Reply::BalanceLeaders { moved: 0, more: false }) = rig.ask(Command::BalanceLeaders) else {
        panic!("0 is not in sync")
    };
}

/// A smaller min.insync.replicas is acknowledged by at once, so that nobody may be eligible by the old one.
#[test]
fn a_smaller_min_isr_ends_eligibility() {
    let mut rig = Rig::new(3);
    rig.topic(&[&[0, 1, 2]], &[("min.insync.replicas", "3")]);
    rig.set_isr(&[0, 1]).unwrap();
    assert_eq!(rig.show(), "0@0 isr=0,1 elr=2");
    rig.configure("min.insync.replicas", "2");
    assert_eq!(rig.show(), "0@0 isr=0,1");
}

/// The same when the leader comes out of the ELR: with it the ISR is large enough.
#[test]
fn an_elected_eligible_replica_may_be_enough() {
    let mut rig = Rig::new(4);
    rig.topic(&[&[0, 1]], &[("min.insync.replicas", "2")]);
    rig.silence(1);
    rig.silence(0);
    assert_eq!(rig.show(), "none@1 isr= elr=0,1 last=0");
    rig.configure("min.insync.replicas", "1");
    rig.beat(0);
    assert_eq!(rig.show(), "0@2 isr=0");
}
