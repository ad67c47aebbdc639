//! Share groups: members that come, stay and go, and what each of them is to read.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

type Assigned = BTreeMap<TopicId, BTreeSet<i32>>;

const SESSION_MS: i64 = 45_000;

fn rig(topics: &[(&str, i32)]) -> (Rig, Cluster) {
    let mut cluster = Cluster::default();
    for (name, partitions) in topics {
        cluster.create(name, *partitions);
    }
    let mut rig = Rig::new();
    rig.coordinator.set_catalog(Arc::new(cluster.clone()), &[]);
    (rig, cluster)
}

fn beat(rig: &mut Rig, member: &str, epoch: i32, topics: Option<&[&str]>) -> Result<ShareHeard, ErrorCode> {
    let beat = ShareBeat {
        group: "g".into(),
        member_id: member.into(),
        epoch,
        rack: None,
        client_id: "c".into(),
        client_host: "/127.0.0.1".into(),
        topics: topics.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
    };
    match rig.ask(GroupRequest::ShareBeat(beat)) {
        GroupReply::ShareHeard(heard) => heard,
        other => panic!("{other:?}"),
    }
}

fn join(rig: &mut Rig, member: &str, topics: &[&str]) -> ShareHeard {
    beat(rig, member, 0, Some(topics)).expect("it may join")
}

fn describe(rig: &mut Rig) -> DescribedShareGroup {
    match rig.ask(GroupRequest::DescribeShare("g".into())) {
        GroupReply::DescribedShare(Some(group)) => group,
        other => panic!("{other:?}"),
    }
}

/// How many partitions each member has by now, in the order of their ids.
fn counts(rig: &mut Rig) -> Vec<usize> {
    let members = describe(rig).members;
    members
        .iter()
        .map(|member| member.assigned.values().map(BTreeSet::len).sum())
        .collect()
}

fn partitions(assigned: &Assigned) -> BTreeSet<i32> {
    assigned.values().flatten().copied().collect()
}

/// The first member has all partitions; each one more takes its part, and nothing waits.
#[test]
fn members_divide_the_partitions() {
    let (mut rig, _) = rig(&[("t", 4)]);
    let first = join(&mut rig, "a", &["t"]);
    assert_eq!(partitions(&first.assigned.unwrap()), BTreeSet::from([0, 1, 2, 3]));
    let second = join(&mut rig, "b", &["t"]);
    assert_eq!(partitions(&second.assigned.unwrap()).len(), 2);
    let heard = beat(&mut rig, "a", first.epoch, None).unwrap();
    assert_eq!(partitions(&heard.assigned.unwrap()).len(), 2);
    assert_eq!(heard.epoch, second.epoch);
    let again = beat(&mut rig, "a", heard.epoch, None).unwrap();
    assert_eq!((again.epoch, again.assigned), (heard.epoch, None), "nothing is new");
}

/// Where there are more members than partitions, a partition has several, and no member is without one.
#[test]
fn members_share_partitions() {
    let (mut rig, _) = rig(&[("t", 2)]);
    for member in ["a", "b", "c", "d", "e"] {
        join(&mut rig, member, &["t"]);
    }
    for member in ["a", "b", "c", "d", "e"] {
        let epoch = describe(&mut rig)
            .members
            .iter()
            .find(|one| one.member_id == member)
            .unwrap()
            .epoch;
        beat(&mut rig, member, epoch, None).unwrap();
    }
    let counts = counts(&mut rig);
    assert!(counts.iter().all(|count| (1..=2).contains(count)), "{counts:?}");
    let described = describe(&mut rig);
    for index in 0..2 {
        let readers = described
            .members
            .iter()
            .filter(|member| partitions(&member.assigned).contains(&index));
        assert!((2..=3).contains(&readers.count()));
    }
}

/// Members with different topics each read their own; a topic that comes later is read from then on.
#[test]
fn topics_are_read_by_those_who_ask_for_them() {
    let (mut rig, mut cluster) = rig(&[("t", 2)]);
    let first = join(&mut rig, "a", &["t"]);
    let second = join(&mut rig, "b", &["u"]);
    assert_eq!(second.assigned, Some(Assigned::new()));
    cluster.create("u", 3);
    rig.coordinator.set_catalog(Arc::new(cluster), &["u".into()]);
    let heard = beat(&mut rig, "b", second.epoch, None).unwrap();
    assert_eq!(partitions(&heard.assigned.unwrap()), BTreeSet::from([0, 1, 2]));
    let heard = beat(&mut rig, "a", first.epoch, None).unwrap();
    assert_eq!(heard.assigned, None, "it reads what it read");
}

/// Epochs that are not the member's are fenced; unknown members and groups are named as such.
#[test]
fn strangers_are_refused() {
    let (mut rig, _) = rig(&[("t", 1)]);
    assert_eq!(beat(&mut rig, "a", 3, None), Err(ErrorCode::GroupIdNotFound));
    let joined = join(&mut rig, "a", &["t"]);
    assert_eq!(
        beat(&mut rig, "a", joined.epoch + 1, None),
        Err(ErrorCode::FencedMemberEpoch)
    );
    assert_eq!(beat(&mut rig, "b", 1, None), Err(ErrorCode::UnknownMemberId));
    assert_eq!(beat(&mut rig, "b", -1, None), Err(ErrorCode::UnknownMemberId));
    rig.commit("offsets", 0, 1).unwrap();
    let mut of_others = |epoch| {
        let beat = ShareBeat {
            group: "offsets".into(),
            member_id: "a".into(),
            epoch,
            rack: None,
            client_id: "c".into(),
            client_host: "h".into(),
            topics: Some(vec!["t".into()]),
        };
        rig.ask(GroupRequest::ShareBeat(beat))
    };
    assert_eq!(of_others(0), GroupReply::ShareHeard(Err(ErrorCode::GroupIdNotFound)));
}

/// A member that leaves, or is not heard of for as long as a session lasts, gives its part to the others.
#[test]
fn members_that_go_leave_their_part() {
    let (mut rig, _) = rig(&[("t", 4)]);
    let a = join(&mut rig, "a", &["t"]);
    join(&mut rig, "b", &["t"]);
    join(&mut rig, "c", &["t"]);
    assert_eq!(beat(&mut rig, "b", -1, None).unwrap().epoch, -1);
    rig.pass(SESSION_MS - 1);
    let heard = beat(&mut rig, "a", a.epoch, None).unwrap();
    rig.pass(2);
    assert_eq!(describe(&mut rig).members.len(), 1, "c was silent");
    let heard = beat(&mut rig, "a", heard.epoch, None).unwrap();
    assert_eq!(partitions(&heard.assigned.unwrap()).len(), 4);
    rig.pass(SESSION_MS + 1);
    assert_eq!(describe(&mut rig).state, "Empty");
}

/// What the log says makes the same group again: members go on with their epochs, and silent ones run out of time.
#[test]
fn groups_are_found_again_in_the_log() {
    let (mut rig, cluster) = rig(&[("t", 4)]);
    let a = join(&mut rig, "a", &["t"]);
    let b = join(&mut rig, "b", &["t"]);
    beat(&mut rig, "a", a.epoch, None).unwrap();
    let before = describe(&mut rig);
    let mut again = rig.reloaded();
    again.coordinator.set_catalog(Arc::new(cluster), &[]);
    assert_eq!(describe(&mut again), before);
    let heard = beat(&mut again, "b", b.epoch, None).unwrap();
    assert_eq!((heard.epoch, heard.assigned), (b.epoch, None));
    again.pass(SESSION_MS + 1);
    assert_eq!(describe(&mut again).state, "Empty");
    assert_eq!(describe(&mut again.reloaded()).state, "Empty");
}

/// A group without members stays until it is deleted, and then nothing of it is left.
#[test]
fn an_empty_group_stays_until_it_is_deleted() {
    let (mut rig, _) = rig(&[("t", 1)]);
    join(&mut rig, "a", &["t"]);
    assert_eq!(
        rig.ask(GroupRequest::Delete("g".into())),
        GroupReply::Deleted(ErrorCode::NonEmptyGroup)
    );
    beat(&mut rig, "a", -1, None).unwrap();
    rig.pass(30 * DAY_MS);
    let listed = rig.ask(GroupRequest::List(ListFilter {
        states: Vec::new(),
        kinds: vec!["share".into()],
    }));
    let GroupReply::Listed(listed) = listed else {
        panic!("{listed:?}");
    };
    assert_eq!(
        listed.iter().map(|group| (group.kind, group.state)).collect::<Vec<_>>(),
        [("share", "Empty")]
    );
    assert_eq!(
        rig.ask(GroupRequest::Delete("g".into())),
        GroupReply::Deleted(ErrorCode::None)
    );
    let mut again = rig.reloaded();
    assert_eq!(
        again.ask(GroupRequest::DescribeShare("g".into())),
        GroupReply::DescribedShare(None)
    );
}

/// Offsets may be set for a group that nobody has joined yet: it is there from then on.
#[test]
fn a_group_is_there_before_its_first_member() {
    let (mut rig, _) = rig(&[("t", 1)]);
    let prepare = |rig: &mut Rig| rig.ask(GroupRequest::PrepareShare("g".into()));
    assert_eq!(prepare(&mut rig), GroupReply::SharePrepared(ErrorCode::None));
    assert_eq!(describe(&mut rig.reloaded()).state, "Empty");
    join(&mut rig, "a", &["t"]);
    assert_eq!(prepare(&mut rig), GroupReply::SharePrepared(ErrorCode::NonEmptyGroup));
}
