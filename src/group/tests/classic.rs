//! Classic groups (behaviours 47 to 53, 57).

use super::*;

fn leaver(member_id: &str, instance_id: Option<&str>) -> Leaver {
    Leaver {
        member_id: member_id.into(),
        instance_id: instance_id.map(str::to_owned),
        reason: None,
    }
}

#[test] // Goal (behaviour 47): from version 4 on a new member is given its id first, and no group is made of ids alone.
fn a_new_member_is_given_its_id() {
    let mut rig = Rig::new();
    let first = Join {
        version: 4,
        ..new_join("m")
    };
    let ticket = rig.put(GroupRequest::Join(first));
    let reply = rig.joined(ticket);
    assert_eq!(
        (reply.error, reply.member_id.as_str()),
        (ErrorCode::MemberIdRequired, "m")
    );
    let second = Join {
        sender: sender("m", None, -1),
        version: 4,
        ..new_join("unused")
    };
    let ticket = rig.put(GroupRequest::Join(second));
    rig.pass(3_000);
    let reply = rig.joined(ticket);
    assert_eq!(
        (reply.error, reply.generation, reply.leader.as_str()),
        (ErrorCode::None, 1, "m")
    );
}

#[test] // Goal (behaviour 47): an id that nobody joins with is forgotten after the session timeout, and the group with it.
fn an_id_is_not_kept_for_ever() {
    let mut rig = Rig::new();
    let first = Join {
        version: 5,
        ..new_join("m")
    };
    rig.put(GroupRequest::Join(first));
    rig.pass(10_000);
    assert_eq!(rig.state(), "none");
    let ticket = rig.put(GroupRequest::Join(rejoin("m")));
    assert_eq!(rig.joined(ticket).error, ErrorCode::UnknownMemberId);
    assert!(rig.log.is_empty());
}

#[test] // Goal: ids that nobody joins with are bounded, and there is room for new ones when their time is over.
fn a_group_gives_out_so_many_ids() {
    let mut rig = Rig::new();
    let ask_for = |rig: &mut Rig, id: &str| {
        let first = Join {
            version: 5,
            ..new_join(id)
        };
        let ticket = rig.put(GroupRequest::Join(first));
        rig.joined(ticket).error
    };
    for at in 0..4_096 {
        assert_eq!(ask_for(&mut rig, &format!("m{at}")), ErrorCode::MemberIdRequired);
    }
    assert_eq!(ask_for(&mut rig, "over"), ErrorCode::GroupMaxSizeReached);
    rig.put(GroupRequest::Join(rejoin("m7")));
    assert_eq!(ask_for(&mut rig, "in its place"), ErrorCode::MemberIdRequired);
    rig.pass(10_000);
    assert_eq!(ask_for(&mut rig, "later"), ErrorCode::MemberIdRequired);
}

#[test] // Goal: a group that rebalances again and again keeps one reminder of its phase, and none once it is stable.
fn a_phase_takes_its_reminder_along() {
    let mut rig = Rig::new();
    let reminders = |rig: &Rig| format!("{:?}", rig.coordinator.deadlines).matches("Phase(").count();
    rig.stable(&["a"]);
    assert_eq!(reminders(&rig), 0);
    for round in 0..20 {
        let id = format!("b{round}");
        rig.put(join(&id));
        assert_eq!(reminders(&rig), 1);
        assert_eq!(rig.leave(leaver(&id, None)), ErrorCode::None);
        assert_eq!(reminders(&rig), 1);
        rig.pass(1);
    }
}

#[test] // Goal (behaviour 47): whatever does not fit is refused at once.
fn joins_that_do_not_fit_are_refused() {
    let mut rig = Rig::new();
    let refused = |rig: &mut Rig, join: Join| {
        let ticket = rig.put(GroupRequest::Join(join));
        rig.joined(ticket).error
    };
    let no_group = Join {
        group: String::new(),
        ..new_join("m")
    };
    assert_eq!(refused(&mut rig, no_group), ErrorCode::InvalidGroupId);
    let long_client = Join {
        client_id: "x".repeat(20_000),
        ..new_join("m")
    };
    assert_eq!(refused(&mut rig, long_client), ErrorCode::InvalidRequest);
    for ms in [5_999, 1_800_001] {
        let join = Join {
            session_timeout: Duration::from_millis(ms),
            ..new_join("m")
        };
        assert_eq!(refused(&mut rig, join), ErrorCode::InvalidSessionTimeout);
    }
    assert_eq!(refused(&mut rig, rejoin("nobody")), ErrorCode::UnknownMemberId);
    let nothing = Join {
        protocols: Vec::new(),
        ..new_join("m")
    };
    assert_eq!(refused(&mut rig, nothing), ErrorCode::InconsistentGroupProtocol);

    rig.stable(&["a"]);
    let other_type = Join {
        protocol_type: "connect".into(),
        ..new_join("m")
    };
    assert_eq!(refused(&mut rig, other_type), ErrorCode::InconsistentGroupProtocol);
    let other_protocol = Join {
        protocols: vec![protocol("sticky", &["t"])],
        ..new_join("m")
    };
    assert_eq!(refused(&mut rig, other_protocol), ErrorCode::InconsistentGroupProtocol);
    assert_eq!(refused(&mut rig, rejoin("nobody")), ErrorCode::UnknownMemberId);
    assert_eq!(rig.state(), "Stable");
}

#[test] // Goal (behaviour 48): the first joins wait for 3 s, every arrival extends that, up to the rebalance timeout.
fn first_joins_wait_for_more() {
    let mut rig = Rig::new();
    let first = rig.put(join("a"));
    rig.pass(2_000);
    rig.put(join("b"));
    rig.pass(1_000);
    assert!(!rig.replies.contains_key(&first));
    rig.pass(2_999);
    assert!(!rig.replies.contains_key(&first));
    rig.pass(1);
    assert_eq!(rig.joined(first).members.len(), 2);

    let mut rig = Rig::new();
    let first = rig.put(join("m0"));
    for at in 1..40 {
        rig.pass(2_000);
        if rig.replies.contains_key(&first) {
            assert_eq!(rig.now_ms - 1_000, 60_000, "the rebalance timeout");
            return;
        }
        rig.put(join(&format!("m{at}")));
    }
    panic!("the first member is never answered");
}

#[test] // Goal (behaviour 49): the first joiner leads and alone is told of the members; the protocol is the most voted one.
fn members_elect_a_protocol() {
    let mut rig = Rig::new();
    let with = |id: &str, names: &[&str]| {
        GroupRequest::Join(Join {
            protocols: names.iter().map(|name| protocol(name, &["t"])).collect(),
            ..new_join(id)
        })
    };
    let tickets = [
        rig.put(with("z", &["sticky", "range", "robin"])),
        rig.put(with("a", &["range", "sticky"])),
        rig.put(with("b", &["only", "range", "sticky"])),
    ];
    rig.pass(6_000);
    let replies = tickets.map(|ticket| rig.joined(ticket));
    for reply in &replies {
        assert_eq!((reply.leader.as_str(), reply.protocol.as_deref()), ("z", Some("range")));
    }
    assert_eq!(replies.map(|reply| reply.members.len()), [3, 0, 0]);
}

#[test] // Goal (behaviour 50): followers wait for the leader; each gets its own part, those left out an empty one.
fn the_leader_assigns() {
    let mut rig = Rig::new();
    let tickets = [rig.put(join("a")), rig.put(join("b")), rig.put(join("c"))];
    rig.pass(6_000);
    assert_eq!(tickets.map(|ticket| rig.joined(ticket).generation), [1; 3]);
    let follower = rig.sync("b", 1, &[]);
    assert!(rig.replies.is_empty());
    assert_eq!(rig.heartbeat("c", 1), ErrorCode::None);
    let leader = rig.sync("a", 1, &[("a", "one"), ("b", "two")]);
    assert_eq!(rig.synced(leader).assignment, "one");
    assert_eq!(rig.synced(follower).assignment, "two");
    let late = rig.sync("c", 1, &[]);
    assert_eq!(rig.synced(late).assignment, "");
    let stale = rig.sync("c", 0, &[]);
    assert_eq!(rig.synced(stale).error, ErrorCode::IllegalGeneration);
    let nobody = rig.sync("x", 1, &[]);
    assert_eq!(rig.synced(nobody).error, ErrorCode::UnknownMemberId);
}

#[test] // Goal (behaviour 50): a sync must name the group's protocol, if it names any.
fn a_sync_of_another_protocol_is_refused() {
    let mut rig = Rig::new();
    rig.stable(&["a"]);
    for (protocol_type, protocol) in [(Some("connect"), None), (None, Some("sticky"))] {
        let ticket = rig.put(GroupRequest::Sync(Sync {
            group: "g".into(),
            sender: sender("a", None, 1),
            protocol_type: protocol_type.map(str::to_owned),
            protocol: protocol.map(str::to_owned),
            assignments: BTreeMap::new(),
        }));
        assert_eq!(rig.synced(ticket).error, ErrorCode::InconsistentGroupProtocol);
    }
}

#[test] // Goal (behaviour 50): members that do not sync in time are dropped, and the others rebalance.
fn a_missing_sync_rebalances() {
    let mut rig = Rig::new();
    let tickets = [rig.put(join("a")), rig.put(join("b"))];
    rig.pass(6_000);
    assert_eq!(tickets.map(|ticket| rig.joined(ticket).generation), [1; 2]);
    let leader = rig.sync("a", 1, &[("a", "x"), ("b", "y")]);
    assert_eq!(rig.synced(leader).error, ErrorCode::None);
    for _ in 0..6 {
        rig.pass(9_900);
        assert_eq!(rig.heartbeat("a", 1), ErrorCode::None);
        assert_eq!(rig.heartbeat("b", 1), ErrorCode::None);
    }
    rig.pass(700);
    assert_eq!(rig.heartbeat("a", 1), ErrorCode::RebalanceInProgress);
    assert_eq!(rig.heartbeat("b", 1), ErrorCode::UnknownMemberId);
}

#[test] // Goal (behaviour 51): a heartbeat says whether the group rebalances, and who is not of it.
fn heartbeats_tell_of_rebalances() {
    let mut rig = Rig::new();
    assert_eq!(rig.heartbeat("a", 1), ErrorCode::UnknownMemberId);
    rig.stable(&["a", "b"]);
    assert_eq!(rig.heartbeat("a", 1), ErrorCode::None);
    assert_eq!(rig.heartbeat("a", 2), ErrorCode::IllegalGeneration);
    assert_eq!(rig.heartbeat("x", 1), ErrorCode::UnknownMemberId);
    rig.put(join("c"));
    assert_eq!(rig.heartbeat("a", 1), ErrorCode::RebalanceInProgress);
}

#[test] // Goal: a member that is silent for its session timeout is dropped; the others rebalance at once.
fn a_silent_member_is_dropped() {
    let mut rig = Rig::new();
    rig.stable(&["a", "b"]);
    rig.pass(9_000);
    assert_eq!(rig.heartbeat("a", 1), ErrorCode::None);
    rig.pass(1_000);
    assert_eq!(rig.heartbeat("a", 1), ErrorCode::RebalanceInProgress);
    let ticket = rig.put(GroupRequest::Join(rejoin("a")));
    let reply = rig.joined(ticket);
    assert_eq!((reply.generation, reply.members.len()), (2, 1));
}

#[test] // Goal (behaviour 48): a rebalance ends when all have rejoined, or without those who have not in its timeout.
fn laggards_are_left_behind() {
    let mut rig = Rig::new();
    rig.stable(&["a", "b"]);
    let newcomer = rig.put(join("c"));
    let first = rig.put(GroupRequest::Join(rejoin("a")));
    assert!(rig.replies.is_empty());
    let last = rig.put(GroupRequest::Join(rejoin("b")));
    let replies = [newcomer, first, last].map(|ticket| rig.joined(ticket));
    assert!(replies.iter().all(|reply| reply.generation == 2));
    rig.settle(&replies);

    rig.put(join("d"));
    let first = rig.put(GroupRequest::Join(rejoin("a")));
    for _ in 0..7 {
        rig.heartbeat("b", 2);
        rig.heartbeat("c", 2);
        rig.pass(9_000);
    }
    let reply = rig.joined(first);
    assert_eq!((reply.generation, reply.members.len()), (3, 2));
    assert_eq!(rig.heartbeat("b", 3), ErrorCode::UnknownMemberId);
}

#[test] // Goal: a follower that joins again with nothing new is told of the generation that it is in; a leader's rejoin, or
// other metadata, makes a new one.
fn only_news_rebalance() {
    let mut rig = Rig::new();
    rig.stable(&["a", "b"]);
    let ticket = rig.put(GroupRequest::Join(rejoin("b")));
    let reply = rig.joined(ticket);
    assert_eq!((reply.generation, reply.leader.as_str()), (1, "a"));
    assert_eq!(rig.state(), "Stable");
    let news = Join {
        protocols: vec![protocol("range", &["t", "other"])],
        ..rejoin("b")
    };
    rig.put(GroupRequest::Join(news));
    assert_eq!(rig.state(), "PreparingRebalance");
    rig.put(GroupRequest::Join(rejoin("a")));
    assert_eq!(rig.state(), "CompletingRebalance");
}

#[test] // Goal (behaviour 52): a static member that is back has its assignment, without a rebalance; the old one is fenced.
fn a_static_member_comes_back() {
    for version in [5, 9] {
        let mut rig = Rig::new();
        let tickets = [
            rig.put(GroupRequest::Join(static_join("i", "s1", version))),
            rig.put(join("b")),
        ];
        rig.pass(6_000);
        let replies = tickets.map(|ticket| rig.joined(ticket));
        rig.settle(&replies);
        let ticket = rig.put(GroupRequest::Join(static_join("i", "s2", version)));
        let reply = rig.joined(ticket);
        assert_eq!(
            (reply.error, reply.generation, reply.member_id.as_str()),
            (ErrorCode::None, 1, "s2")
        );
        assert_eq!(rig.state(), "Stable");
        // A version that cannot be told to skip the assignment must not take itself for the leader.
        match version {
            9 => assert_eq!(
                (reply.skip_assignment, reply.leader.as_str(), reply.members.len()),
                (true, "s2", 2)
            ),
            _ => assert_eq!((reply.leader.as_str(), reply.members.len()), ("s1", 0)),
        }
        let sync = rig.sync("s2", 1, &[]);
        assert_eq!(rig.synced(sync).assignment, "s1");
        let fenced = Heartbeat {
            group: "g".into(),
            sender: sender("s1", Some("i"), 1),
        };
        let reply = rig.ask(GroupRequest::Heartbeat(fenced));
        assert_eq!(reply, GroupReply::Heard(ErrorCode::FencedInstanceId));
        let mut again = rig.reloaded();
        let sync = again.sync("s2", 1, &[]);
        assert_eq!(again.synced(sync).assignment, "s1");
    }
}

#[test] // Goal (behaviour 52): a join of a static member that still waits is fenced by the next one of the same name.
fn a_second_join_of_an_instance_fences_the_first() {
    let mut rig = Rig::new();
    let first = rig.put(GroupRequest::Join(static_join("i", "s1", 5)));
    let second = rig.put(GroupRequest::Join(static_join("i", "s2", 5)));
    assert_eq!(rig.joined(first).error, ErrorCode::FencedInstanceId);
    rig.pass(6_000);
    assert_eq!(rig.joined(second).member_id, "s2");
}

#[test] // Goal (behaviour 52): a static member that is away is expected back: the rebalance goes on without dropping it.
fn a_static_member_keeps_its_place() {
    let mut rig = Rig::new();
    let long = Join {
        session_timeout: Duration::from_secs(600),
        ..static_join("i", "s", 5)
    };
    let tickets = [rig.put(join("a")), rig.put(GroupRequest::Join(long))];
    rig.pass(6_000);
    let replies = tickets.map(|ticket| rig.joined(ticket));
    rig.settle(&replies);
    let ticket = rig.put(GroupRequest::Join(rejoin("a")));
    rig.pass(60_000);
    assert_eq!(rig.joined(ticket).members.len(), 2);
}

#[test] // Goal: absent static members that give a rebalance no time are awaited in steps, until their sessions end.
fn absent_members_without_a_timeout_are_awaited_in_steps() {
    let mut rig = Rig::new();
    let hasty = Join {
        rebalance_timeout: Duration::ZERO,
        ..static_join("i", "s1", 5)
    };
    let tickets = [
        rig.put(GroupRequest::Join(hasty)),
        rig.put(GroupRequest::Join(static_join("j", "s2", 5))),
    ];
    rig.pass(6_000);
    let replies = tickets.map(|ticket| rig.joined(ticket));
    rig.settle(&replies);
    assert_eq!(rig.leave(leaver("", Some("j"))), ErrorCode::None);
    assert_eq!(rig.state(), "PreparingRebalance");
    rig.pass(600_000);
    assert_eq!(rig.state(), "none");
}

#[test] // Goal (behaviours 52, 57): whoever leaves is gone at once; an administrator removes a static member by its name.
fn members_leave() {
    let mut rig = Rig::new();
    let tickets = [
        rig.put(join("a")),
        rig.put(join("b")),
        rig.put(GroupRequest::Join(static_join("i", "s", 5))),
    ];
    rig.pass(6_000);
    let replies = tickets.map(|ticket| rig.joined(ticket));
    rig.settle(&replies);
    assert_eq!(rig.leave(leaver("nobody", None)), ErrorCode::UnknownMemberId);
    assert_eq!(rig.leave(leaver("other", Some("i"))), ErrorCode::FencedInstanceId);
    assert_eq!(rig.leave(leaver("", Some("unknown"))), ErrorCode::UnknownMemberId);
    assert_eq!(rig.state(), "Stable");
    assert_eq!(rig.leave(leaver("", Some("i"))), ErrorCode::None);
    assert_eq!(rig.heartbeat("a", 1), ErrorCode::RebalanceInProgress);
    assert_eq!(rig.leave(leaver("a", None)), ErrorCode::None);
    assert_eq!(rig.leave(leaver("b", None)), ErrorCode::None);
    assert_eq!(rig.state(), "Empty");
    assert_eq!(rig.reloaded().state(), "Empty");
}

#[test] // Goal (group.max.size): a member too many is turned away, and the group stays as it is.
fn a_full_group_takes_nobody() {
    let small = GroupConfig {
        size_max: 2,
        ..config()
    };
    let mut rig = Rig::with(small.clone(), Vec::new(), 1_000);
    rig.stable(&["a", "b"]);
    let ticket = rig.put(join("c"));
    assert_eq!(rig.joined(ticket).error, ErrorCode::GroupMaxSizeReached);
    assert_eq!(rig.state(), "Stable");

    // One that was larger when the limit came rebalances, and the last to rejoin is left out.
    let mut rig = Rig::new();
    rig.stable(&["a", "b", "c"]);
    let mut rig = Rig::with(small, rig.log.clone(), rig.now_ms);
    let tickets = ["a", "b", "c"].map(|id| rig.put(GroupRequest::Join(rejoin(id))));
    assert_eq!(rig.joined(tickets[2]).error, ErrorCode::GroupMaxSizeReached);
    assert_eq!(
        rig.joined(tickets[0]).members.len() + rig.joined(tickets[1]).members.len(),
        2
    );
}

#[test] // Goal: a coordinator that loads the log knows the generation, who leads it and what everyone has, and drops
// members that are not heard of within their sessions.
fn a_loaded_group_goes_on() {
    let mut rig = Rig::new();
    rig.stable(&["a", "b"]);
    let mut again = rig.reloaded();
    assert_eq!(again.describe(), rig.describe());
    assert_eq!(again.heartbeat("a", 1), ErrorCode::None);
    let sync = again.sync("b", 1, &[]);
    assert_eq!(again.synced(sync).assignment, "b");
    again.pass(9_000);
    assert_eq!(again.heartbeat("a", 1), ErrorCode::None);
    again.pass(1_500);
    assert_eq!(again.heartbeat("a", 1), ErrorCode::RebalanceInProgress);
}

#[test] // Goal (behaviour 53): only members of the generation commit, and not while it waits for its assignment.
fn only_members_commit() {
    let mut rig = Rig::new();
    let as_member = |member: &str, generation| CommitOffsets {
        sender: sender(member, None, generation),
        ..commit("g", vec![item("t", 0, 1)])
    };
    rig.stable(&["a"]);
    assert_eq!(rig.commit_as(as_member("a", 1)), Ok(vec![ErrorCode::None]));
    assert_eq!(rig.commit_as(as_member("a", 0)), Err(ErrorCode::IllegalGeneration));
    assert_eq!(rig.commit_as(as_member("x", 1)), Err(ErrorCode::UnknownMemberId));
    assert_eq!(rig.commit_as(as_member("", -1)), Err(ErrorCode::UnknownMemberId));
    let newcomer = rig.put(join("b"));
    assert_eq!(
        rig.commit_as(as_member("a", 1)),
        Ok(vec![ErrorCode::None]),
        "before it rejoins"
    );
    rig.put(GroupRequest::Join(rejoin("a")));
    rig.joined(newcomer);
    assert_eq!(rig.commit_as(as_member("a", 2)), Err(ErrorCode::RebalanceInProgress));
    assert_eq!(rig.leave(leaver("a", None)), ErrorCode::None);
    assert_eq!(rig.leave(leaver("b", None)), ErrorCode::None);
    assert_eq!(
        rig.commit("g", 0, 9),
        Ok(vec![ErrorCode::None]),
        "an empty group takes anyone's"
    );
}

#[test] // Goal (behaviour 55): offsets are kept while the group lives, and for the retention from when it became empty.
fn a_living_groups_offsets_are_kept() {
    let mut rig = Rig::new();
    rig.commit("g", 0, 1).unwrap();
    rig.stable(&["a"]);
    for _ in 0..20 {
        rig.pass(9_000);
        rig.heartbeat("a", 1);
    }
    let alive = |rig: &mut Rig, days: i64| {
        for _ in 0..days * DAY_MS / 9_000 {
            rig.pass(9_000);
            assert_eq!(rig.heartbeat("a", 1), ErrorCode::None);
        }
    };
    alive(&mut rig, 8);
    assert_eq!(rig.fetch("g", None), [(0, 1)]);
    rig.leave(leaver("a", None));
    rig.pass(6 * DAY_MS);
    assert_eq!(rig.fetch("g", None), [(0, 1)]);
    rig.pass(2 * DAY_MS);
    assert_eq!(rig.fetch("g", None), []);
    assert_eq!(rig.state(), "none");
    assert_eq!(rig.reloaded().state(), "none");
}

#[test] // Goal (behaviour 57): a group is deleted when it is empty, with all that it has committed.
fn empty_groups_are_deleted() {
    let mut rig = Rig::new();
    let delete = |rig: &mut Rig, id: &str| rig.ask(GroupRequest::Delete(id.into()));
    assert_eq!(delete(&mut rig, "g"), GroupReply::Deleted(ErrorCode::GroupIdNotFound));
    rig.stable(&["a"]);
    assert_eq!(delete(&mut rig, "g"), GroupReply::Deleted(ErrorCode::NonEmptyGroup));
    rig.leave(leaver("a", None));
    rig.commit("g", 0, 1).unwrap();
    assert_eq!(delete(&mut rig, "g"), GroupReply::Deleted(ErrorCode::None));
    assert_eq!(rig.state(), "none");
    assert_eq!(rig.fetch("g", None), []);
    assert_eq!(rig.reloaded().state(), "none");
    assert_eq!(rig.reloaded().fetch("g", None), []);
}

#[test] // Goal: offsets of what the members read are not deleted under them.
fn offsets_in_use_are_not_deleted() {
    let mut rig = Rig::new();
    let delete = |rig: &mut Rig| {
        rig.ask(GroupRequest::DeleteOffsets(DeleteOffsets {
            group: "g".into(),
            partitions: vec![("t".into(), 0), ("other".into(), 0)],
        }))
    };
    let gone = GroupReply::OffsetsDeleted(Err(ErrorCode::GroupIdNotFound));
    assert_eq!(delete(&mut rig), gone);
    rig.commit_as(commit("g", vec![item("t", 0, 1), item("other", 0, 2)]))
        .unwrap();
    rig.stable(&["a"]);
    let codes = vec![ErrorCode::GroupSubscribedToTopic, ErrorCode::None];
    assert_eq!(delete(&mut rig), GroupReply::OffsetsDeleted(Ok(codes)));
    assert_eq!(rig.fetch("g", None), [(0, 1)]);
    rig.leave(leaver("a", None));
    delete(&mut rig);
    assert_eq!(rig.fetch("g", None), []);
}

#[test] // Goal: groups are listed by state and kind, in any case of letters.
fn groups_are_listed() {
    let mut rig = Rig::new();
    rig.commit("simple", 0, 1).unwrap();
    rig.stable(&["a"]);
    let list = |rig: &mut Rig, states: &[&str], kinds: &[&str]| {
        let names = |of: &[&str]| of.iter().map(|name| name.to_string()).collect();
        let filter = ListFilter {
            states: names(states),
            kinds: names(kinds),
        };
        match rig.ask(GroupRequest::List(filter)) {
            GroupReply::Listed(listed) => listed.iter().map(|one| one.id.to_string()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(list(&mut rig, &[], &[]), ["g", "simple"]);
    assert_eq!(list(&mut rig, &["stable"], &[]), ["g"]);
    assert_eq!(list(&mut rig, &["EMPTY", "Dead"], &["Classic"]), ["simple"]);
    assert_eq!(list(&mut rig, &[], &["consumer"]), Vec::<String>::new());
}

#[test] // Goal: an assignment that no record can hold is nobody's.
fn an_assignment_too_large_is_refused() {
    let mut rig = Rig::new();
    let ticket = rig.put(join("a"));
    rig.pass(3_000);
    rig.joined(ticket);
    let large = "x".repeat(2 << 20);
    let before = rig.log.len();
    let sync = rig.sync("a", 1, &[("a", &large)]);
    assert_eq!(rig.synced(sync).error, ErrorCode::UnknownServerError);
    assert_eq!((rig.state(), rig.log.len()), ("PreparingRebalance", before));
}
