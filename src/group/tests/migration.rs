//! Groups with members that go from one protocol to the other and back (behaviour 58).

use super::consumer::{beating, joining, rig};
use super::*;

/// The consumer protocol's metadata, version 1: topic `t`, and what the member has of it.
fn reading(owned: &[i32]) -> Protocol {
    let mut metadata = vec![0, 1, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff];
    metadata.extend(parts(owned));
    Protocol {
        name: "range".into(),
        metadata: metadata.into(),
    }
}

fn parts(indexes: &[i32]) -> Vec<u8> {
    if indexes.is_empty() {
        return vec![0; 4];
    }
    let mut bytes = vec![0, 0, 0, 1, 0, 1, b't', 0, 0, 0, indexes.len() as u8];
    bytes.extend(indexes.iter().flat_map(|index| index.to_be_bytes()));
    bytes
}

/// The consumer protocol's assignment, version 1.
fn assignment(indexes: &[i32]) -> Bytes {
    let mut bytes = vec![0, 1];
    bytes.extend(parts(indexes));
    bytes.extend([0xff; 4]);
    bytes.into()
}

/// A stable classic group of `m`, which has all four partitions of `t`.
fn classic_group() -> Rig {
    let mut rig = rig();
    let ticket = rig.put(GroupRequest::Join(Join {
        protocols: vec![reading(&[])],
        ..new_join("m")
    }));
    rig.pass(3_000);
    assert_eq!(rig.joined(ticket).generation, 1);
    let ticket = rig.put(GroupRequest::Sync(Sync {
        group: "g".into(),
        sender: sender("m", None, 1),
        protocol_type: None,
        protocol: None,
        assignments: [("m".to_owned(), assignment(&[0, 1, 2, 3]))].into(),
    }));
    assert_eq!(rig.synced(ticket).error, ErrorCode::None);
    rig
}

fn rejoin_with(rig: &mut Rig, id: &str, owned: &[i32]) -> JoinReply {
    let ticket = rig.put(GroupRequest::Join(Join {
        sender: sender(id, None, -1),
        version: 9,
        protocols: vec![reading(owned)],
        ..new_join("unused")
    }));
    rig.joined(ticket)
}

fn sync_of(rig: &mut Rig, id: &str, generation: i32) -> SyncReply {
    let ticket = rig.sync(id, generation, &[]);
    rig.synced(ticket)
}

#[test] // Goal: a member of the new protocol brings the group over; the others go on, and what they lose they give up first.
fn a_group_goes_over_with_its_members() {
    let mut rig = classic_group();
    let a = rig.hear(joining("a")).unwrap();
    assert_eq!((a.epoch, a.assignment), (2, Some(Assignment::new())));
    let group = rig.consumers().unwrap();
    let kinds: Vec<_> = group.members.iter().map(|member| member.is_classic).collect();
    assert_eq!((group.epoch, kinds), (2, vec![false, true]));

    let mut rig = rig.reloaded();
    assert_eq!(rig.heartbeat("m", 1), ErrorCode::RebalanceInProgress);
    let reply = rejoin_with(&mut rig, "m", &[0, 1, 2, 3]);
    assert_eq!(
        (reply.error, reply.generation, reply.members.len()),
        (ErrorCode::None, 1, 0)
    );
    let kept = sync_of(&mut rig, "m", 1).assignment;
    assert_eq!(kept.len(), assignment(&[0, 1]).len(), "two are to be given up");
    assert_eq!(rig.hear(beating("a", 2)).unwrap().assignment, None);
    // Without them it joins again, and only then the other one is given them.
    assert_eq!(rig.heartbeat("m", 1), ErrorCode::RebalanceInProgress);
    let held = rig.consumers().unwrap().members[1].assigned.clone();
    let owned: Vec<i32> = held.values().flatten().copied().collect();
    assert_eq!(rejoin_with(&mut rig, "m", &owned).generation, 2);
    assert_eq!(sync_of(&mut rig, "m", 2).assignment, assignment(&owned));
    assert_eq!(rig.heartbeat("m", 2), ErrorCode::None);
    let given = rig.hear(beating("a", 2)).unwrap().assignment.unwrap();
    assert_eq!(given.values().map(|of| of.len()).sum::<usize>(), 2);
    assert_eq!(rig.consumers().unwrap().state, "Stable");
}

#[test] // Goal: when the last member of the new protocol leaves, the group is a classic one again, and rebalances.
fn a_group_goes_back() {
    let mut rig = classic_group();
    rig.hear(joining("a")).unwrap();
    rejoin_with(&mut rig, "m", &[]);
    assert_eq!(rig.heartbeat("m", 2), ErrorCode::None);
    rig.hear(beating("a", -1)).unwrap();
    assert_eq!((rig.consumers(), rig.state()), (None, "PreparingRebalance"));
    assert_eq!(rig.reloaded().state(), "Stable");
    assert_eq!(rig.heartbeat("m", 2), ErrorCode::RebalanceInProgress);
    let reply = rejoin_with(&mut rig, "m", &[]);
    assert_eq!(
        (reply.generation, reply.leader.as_str(), reply.members.len()),
        (3, "m", 1)
    );
}

#[test] // Goal: where the broker does not allow it nobody changes the protocol of a group with members.
fn policies_keep_groups_as_they_are() {
    let mut rig = classic_group();
    rig.coordinator.config.consumer.upgrades = false;
    let refused = rig.hear(joining("a")).unwrap_err();
    assert_eq!(refused.error, ErrorCode::GroupIdNotFound);
    assert_eq!(rig.heartbeat("m", 1), ErrorCode::None);
    rig.coordinator.config.consumer.upgrades = true;
    rig.coordinator.config.consumer.downgrades = false;
    rig.hear(joining("a")).unwrap();
    rig.hear(beating("a", -1)).unwrap();
    assert_eq!(rig.consumers().map(|group| group.members.len()), Some(1));
}

#[test] // Goal: a member of the classic protocol joins a group of the new one like any group, in two steps.
fn a_classic_member_joins_a_consumer_group() {
    let mut rig = rig();
    rig.hear(joining("a")).unwrap();
    let first = |protocols| Join {
        version: 9,
        protocols,
        ..new_join("m")
    };
    let ticket = rig.put(GroupRequest::Join(first(vec![reading(&[])])));
    let reply = rig.joined(ticket);
    assert_eq!(
        (reply.error, reply.member_id.as_str()),
        (ErrorCode::MemberIdRequired, "m")
    );
    let reply = rejoin_with(&mut rig, "m", &[]);
    assert_eq!(
        (reply.error, reply.generation, reply.protocol.as_deref()),
        (ErrorCode::None, 2, Some("range"))
    );
    assert_eq!(sync_of(&mut rig, "m", 2).assignment, assignment(&[]));
    assert_eq!(sync_of(&mut rig, "m", 1).error, ErrorCode::IllegalGeneration);
    assert_eq!(
        rig.heartbeat("a", 1),
        ErrorCode::UnknownMemberId,
        "it does not speak that protocol"
    );
    // It does not join again though it is told to.
    rig.hear(ConsumerHeartbeat {
        topics: Some(["t".to_owned(), "u".to_owned()].into()),
        ..beating("a", 1)
    })
    .unwrap();
    assert_eq!(rig.heartbeat("m", 2), ErrorCode::RebalanceInProgress);
    let kept = rig.consumers().unwrap().members[0].assigned.clone();
    let epoch = rig.hear(ConsumerHeartbeat {
        owned: Some(kept),
        ..beating("a", 1)
    });
    let epoch = epoch.unwrap().epoch;
    for _ in 0..10 {
        rig.pass(6_000);
        rig.hear(beating("a", epoch)).unwrap();
        rig.heartbeat("m", 2);
    }
    assert_eq!(rig.heartbeat("m", 2), ErrorCode::UnknownMemberId);
    let other = Join {
        protocol_type: "connect".into(),
        ..first(vec![reading(&[])])
    };
    let ticket = rig.put(GroupRequest::Join(other));
    assert_eq!(rig.joined(ticket).error, ErrorCode::InconsistentGroupProtocol);
}

#[test] // Goal: members of the classic protocol leave by its request, those of the new one do not.
fn classic_members_leave() {
    let mut rig = rig();
    rig.hear(joining("a")).unwrap();
    rejoin_with(&mut rig, "m", &[]);
    let leaver = |id: &str| Leaver {
        member_id: id.into(),
        ..Leaver::default()
    };
    assert_eq!(rig.leave(leaver("a")), ErrorCode::UnknownMemberId);
    assert_eq!(rig.leave(leaver("m")), ErrorCode::None);
    assert_eq!(rig.consumers().unwrap().members.len(), 1);
}
