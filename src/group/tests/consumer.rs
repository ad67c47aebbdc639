//! Consumer groups (behaviour 58).

use super::cluster::Cluster;
use super::*;

/// A group `g` in a cluster with topic `t` of four partitions; assignments are not held back.
pub(super) fn rig() -> Rig {
    let mut cluster = Cluster::default();
    cluster.settings.assignment_interval = Duration::ZERO;
    cluster.create("t", 4);
    Rig::within(cluster, config(), Vec::new(), 1_000)
}

impl Rig {
    pub(super) fn hear(&mut self, heartbeat: ConsumerHeartbeat) -> Result<ConsumerHeard, Refused> {
        match self.ask(GroupRequest::ConsumerHeartbeat(Box::new(heartbeat))) {
            GroupReply::ConsumerHeard(heard) => heard,
            other => panic!("{other:?}"),
        }
    }

    fn refusal(&mut self, heartbeat: ConsumerHeartbeat) -> ErrorCode {
        self.hear(heartbeat).expect_err("it is refused").error
    }

    /// A heartbeat of a member that reads `t`: joins, or says what it has.
    fn beat(&mut self, id: &str, epoch: i32, owned: Option<&[i32]>) -> ConsumerHeard {
        let owned = owned.map(|indexes| self.partitions(indexes));
        let heartbeat = match epoch {
            0 => joining(id),
            _ => ConsumerHeartbeat {
                owned,
                ..beating(id, epoch)
            },
        };
        self.hear(heartbeat).unwrap()
    }

    fn partitions(&self, indexes: &[i32]) -> Assignment {
        let id = self.cluster.topics["t"].id;
        match indexes.is_empty() {
            true => Assignment::new(),
            false => [(id, indexes.iter().copied().collect())].into(),
        }
    }

    /// The cluster has changed.
    pub(super) fn change_cluster(&mut self, topics: &[&str], change: impl FnOnce(&mut Cluster)) {
        change(&mut self.cluster);
        let changed: Vec<Arc<str>> = topics.iter().map(|topic| Arc::from(*topic)).collect();
        self.coordinator.set_catalog(Arc::new(self.cluster.clone()), &changed);
    }

    pub(super) fn consumers(&mut self) -> Option<DescribedConsumer> {
        match self.ask(GroupRequest::DescribeConsumer("g".into())) {
            GroupReply::DescribedConsumer(described) => described,
            other => panic!("{other:?}"),
        }
    }

    /// Does what the coordinator has ordered.
    pub(super) fn search(&mut self) -> usize {
        let searches = self.coordinator.take_searches();
        let count = searches.len();
        for search in searches {
            let found = |regex: &String| {
                let pattern = Pattern::new(regex).unwrap();
                let names = self.cluster.topics.keys().filter(|name| pattern.matches(name));
                (regex.clone(), names.map(|name| name.to_string()).collect())
            };
            let found = Found {
                topics: search.regexes.iter().map(found).collect(),
                group: search.group,
                version: self.cluster.version,
            };
            let effects = self.coordinator.on_found(found, self.now());
            self.take(effects);
        }
        count
    }
}

/// A member's first heartbeat.
pub(super) fn joining(id: &str) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        rebalance_timeout_ms: Some(30_000),
        topics: Some(["t".to_owned()].into()),
        owned: Some(Assignment::new()),
        ..beating(id, 0)
    }
}

/// A heartbeat that says nothing new.
pub(super) fn beating(id: &str, epoch: i32) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        group: "g".into(),
        sender: sender(id, None, epoch),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        ..ConsumerHeartbeat::default()
    }
}

fn static_joining(id: &str, instance: &str) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        sender: sender(id, Some(instance), 0),
        ..joining(id)
    }
}

fn indexes(heard: &ConsumerHeard) -> Option<Vec<i32>> {
    let assignment = heard.assignment.as_ref()?;
    Some(assignment.values().flatten().copied().collect())
}

#[test] // Goal: the first member has all at once, and the answer says so once.
fn the_first_member_has_everything() {
    let mut rig = rig();
    let heard = rig.beat("a", 0, None);
    assert_eq!((heard.epoch, indexes(&heard)), (1, Some(vec![0, 1, 2, 3])));
    assert_eq!(heard.heartbeat_interval, Duration::from_secs(5));
    let heard = rig.beat("a", 1, None);
    assert_eq!((heard.epoch, heard.assignment), (1, None));
    let group = rig.consumers().unwrap();
    assert_eq!((group.state, group.epoch, group.assignor), ("Stable", 1, "uniform"));
}

#[test] // Goal: what is to be another's is taken from its owner first, and given on when that has let go of it.
fn partitions_are_given_up_before_they_are_given() {
    let mut rig = rig();
    rig.beat("a", 0, None);
    let b = rig.beat("b", 0, None);
    assert_eq!((b.epoch, indexes(&b)), (2, Some(vec![])));
    let a = rig.beat("a", 1, Some(&[0, 1, 2, 3]));
    assert_eq!((a.epoch, indexes(&a)), (1, Some(vec![0, 1])));
    assert_eq!(rig.consumers().unwrap().state, "Reconciling");
    // It has not let go: nobody else is given anything.
    let a = rig.beat("a", 1, None);
    assert_eq!((a.epoch, indexes(&a)), (1, None));
    assert_eq!(indexes(&rig.beat("b", 2, None)), None);
    let a = rig.beat("a", 1, Some(&[0, 1]));
    assert_eq!((a.epoch, indexes(&a)), (2, None));
    assert_eq!(indexes(&rig.beat("b", 2, None)), Some(vec![2, 3]));
    assert_eq!(rig.consumers().unwrap().state, "Stable");
}

#[test] // Goal: of changes that come fast only the last is assigned, when the time between two assignments is over.
fn assignments_keep_their_distance() {
    let mut rig = rig();
    rig.change_cluster(&[], |cluster| {
        cluster.settings.assignment_interval = Duration::from_secs(1)
    });
    rig.beat("a", 0, None);
    let b = rig.beat("b", 0, None);
    assert_eq!((b.epoch, indexes(&b)), (1, Some(vec![])));
    assert_eq!(rig.consumers().unwrap().state, "Assigning");
    rig.pass(1_000);
    rig.beat("b", 1, None);
    assert_eq!(rig.consumers().unwrap().state, "Reconciling");
}

#[test] // Goal: epochs that are not the member's are fenced, but for the last one of a member whose answer was lost.
fn bogus_epochs_are_fenced() {
    let mut rig = rig();
    rig.beat("a", 0, None);
    rig.beat("b", 0, None);
    assert_eq!(rig.beat("a", 1, Some(&[0, 1])).epoch, 2);
    for epoch in [0, 3, 99] {
        assert_eq!(
            rig.refusal(beating_or_joining("a", epoch)),
            ErrorCode::FencedMemberEpoch,
            "{epoch}"
        );
    }
    assert_eq!(rig.refusal(beating("a", 1)), ErrorCode::FencedMemberEpoch);
    let has_too_much = ConsumerHeartbeat {
        owned: Some(rig.partitions(&[0, 3])),
        ..beating("a", 1)
    };
    assert_eq!(rig.refusal(has_too_much), ErrorCode::FencedMemberEpoch);
    assert_eq!(rig.beat("a", 1, Some(&[0])).epoch, 2);
    assert_eq!(rig.refusal(beating("x", 1)), ErrorCode::UnknownMemberId);
    let elsewhere = ConsumerHeartbeat {
        group: "other".into(),
        ..beating("a", 1)
    };
    assert_eq!(rig.refusal(elsewhere), ErrorCode::GroupIdNotFound);
    let log = rig.log.len();
    assert_eq!(rig.refusal(beating("a", -3)), ErrorCode::InvalidRequest);
    assert_eq!(rig.log.len(), log, "a refusal writes nothing");
}

fn beating_or_joining(id: &str, epoch: i32) -> ConsumerHeartbeat {
    match epoch {
        0 => joining(id),
        epoch => beating(id, epoch),
    }
}

#[test] // Goal: a first heartbeat says all of the member; whatever does not fit leaves no group behind.
fn heartbeats_that_do_not_fit_are_refused() {
    let mut rig = rig();
    let cases = [
        (
            ErrorCode::InvalidRequest,
            ConsumerHeartbeat {
                group: String::new(),
                ..joining("a")
            },
        ),
        (
            ErrorCode::InvalidRequest,
            ConsumerHeartbeat {
                rebalance_timeout_ms: None,
                ..joining("a")
            },
        ),
        (
            ErrorCode::InvalidRequest,
            ConsumerHeartbeat {
                topics: None,
                ..joining("a")
            },
        ),
        (
            ErrorCode::InvalidRequest,
            ConsumerHeartbeat {
                owned: None,
                ..joining("a")
            },
        ),
        (
            ErrorCode::InvalidRequest,
            ConsumerHeartbeat {
                rack_id: Some(String::new()),
                ..joining("a")
            },
        ),
        (ErrorCode::InvalidRequest, joining("")),
        (ErrorCode::InvalidRequest, joining(&"x".repeat(20_000))),
        (
            ErrorCode::UnsupportedAssignor,
            ConsumerHeartbeat {
                assignor: Some("mine".into()),
                ..joining("a")
            },
        ),
        (
            ErrorCode::InvalidRegularExpression,
            ConsumerHeartbeat {
                regex: Some("(".into()),
                ..joining("a")
            },
        ),
        (
            ErrorCode::InvalidRegularExpression,
            ConsumerHeartbeat {
                regex: Some("(a{1000}){1000}".into()),
                ..joining("a")
            },
        ),
    ];
    for (error, heartbeat) in cases {
        assert_eq!(rig.refusal(heartbeat.clone()), error, "{heartbeat:?}");
        assert_eq!((rig.consumers(), rig.state()), (None, "none"));
    }
    let many = (0..100_000).map(|at| format!("some-topic-{at}")).collect();
    let too_long = ConsumerHeartbeat {
        topics: Some(many),
        ..joining("a")
    };
    assert_eq!(rig.refusal(too_long), ErrorCode::InvalidRequest);
    assert!(rig.log.is_empty());
}

#[test] // Goal: the group has so many members, and no more.
fn a_group_is_full_one_day() {
    let mut rig = rig();
    rig.coordinator.config.consumer.size_max = 1;
    rig.beat("a", 0, None);
    assert_eq!(rig.refusal(joining("b")), ErrorCode::GroupMaxSizeReached);
    assert_eq!(rig.beat("a", 1, None).epoch, 1);
}

#[test] // Goal: a member that leaves or is silent is gone, and what it had is the others'.
fn members_go() {
    let mut rig = rig();
    rig.beat("a", 0, None);
    rig.beat("b", 0, None);
    rig.beat("a", 1, Some(&[0, 1]));
    rig.beat("b", 2, None);
    let left = rig.hear(beating("b", -1)).unwrap();
    assert_eq!((left.epoch, left.assignment), (-1, None));
    assert_eq!(indexes(&rig.beat("a", 2, None)), Some(vec![0, 1, 2, 3]));

    rig.beat("c", 0, None);
    rig.pass(40_000);
    rig.beat("a", 3, Some(&[0, 1, 2, 3]));
    rig.pass(5_000);
    assert_eq!(rig.refusal(beating("c", 4)), ErrorCode::UnknownMemberId);
    assert_eq!(rig.hear(beating("a", -1)).unwrap().epoch, -1);
    assert_eq!(rig.consumers().unwrap().state, "Empty");
    assert_eq!(
        rig.ask(GroupRequest::Delete("g".into())),
        GroupReply::Deleted(ErrorCode::None)
    );
    assert_eq!(rig.reloaded().consumers(), None);
}

#[test] // Goal: who does not let go of its partitions within its rebalance timeout is fenced, however alive it is.
fn who_keeps_what_is_not_its_own_is_fenced() {
    let mut rig = rig();
    rig.beat("a", 0, None);
    rig.beat("b", 0, None);
    rig.beat("a", 1, Some(&[0, 1, 2, 3]));
    for _ in 0..6 {
        rig.beat("b", 2, None);
        rig.beat("a", 1, None);
        rig.pass(5_000);
    }
    assert_eq!(rig.refusal(beating("a", 1)), ErrorCode::UnknownMemberId);
    assert_eq!(indexes(&rig.beat("b", 2, None)), Some(vec![0, 1, 2, 3]));
}

#[test] // Goal: a static member that is away keeps its place; under a new id it has what it had, without a new epoch.
fn a_static_member_comes_back() {
    let mut rig = rig();
    rig.hear(static_joining("s1", "i")).unwrap();
    assert_eq!(rig.refusal(static_joining("s2", "i")), ErrorCode::UnreleasedInstanceId);
    let away = ConsumerHeartbeat {
        sender: sender("s1", Some("i"), -2),
        ..beating("s1", -2)
    };
    assert_eq!(rig.hear(away.clone()).unwrap().epoch, -2);
    let mut rig = rig.reloaded();
    let back = rig.hear(static_joining("s2", "i")).unwrap();
    assert_eq!((back.epoch, indexes(&back)), (1, Some(vec![0, 1, 2, 3])));
    assert_eq!(rig.refusal(away), ErrorCode::FencedInstanceId);
    let old = ConsumerHeartbeat {
        sender: sender("s1", Some("i"), 1),
        ..beating("s1", 1)
    };
    assert_eq!(rig.refusal(old), ErrorCode::FencedInstanceId);
    assert_eq!(rig.consumers().unwrap().members.len(), 1);
}

#[test] // Goal: partitions that a topic gets, and a topic that goes, make a new epoch at the next heartbeat.
fn the_group_follows_its_topics() {
    let mut rig = rig();
    rig.beat("a", 0, None);
    rig.change_cluster(&["other"], |cluster| cluster.create("other", 1));
    assert_eq!(rig.beat("a", 1, None).epoch, 1);
    rig.change_cluster(&["t"], |cluster| {
        if let Some(topic) = cluster.topics.get_mut("t") {
            topic.partitions = 6;
        }
    });
    let heard = rig.beat("a", 1, None);
    assert_eq!((heard.epoch, indexes(&heard)), (2, Some(vec![0, 1, 2, 3, 4, 5])));
    // What has changed while nobody looked is seen after a reload.
    rig.change_cluster(&[], |cluster| {
        cluster.topics.remove("t");
    });
    let mut rig = rig.reloaded();
    let heard = rig.hear(ConsumerHeartbeat {
        owned: Some(Assignment::new()),
        ..beating("a", 2)
    });
    assert_eq!(heard.map(|heard| (heard.epoch, indexes(&heard))), Ok((3, Some(vec![]))));
}

#[test] // Goal: an expression is looked for, and again when there are new topics; both change what its members have.
fn expressions_bring_topics() {
    let mut rig = rig();
    let by_regex = ConsumerHeartbeat {
        topics: None,
        regex: Some("t|log.*".into()),
        ..joining("a")
    };
    let heard = rig.hear(by_regex.clone()).unwrap();
    assert_eq!((heard.epoch, indexes(&heard)), (1, Some(vec![])));
    assert_eq!(rig.search(), 1);
    let heard = rig.beat("a", 1, None);
    assert_eq!((heard.epoch, indexes(&heard)), (2, Some(vec![0, 1, 2, 3])));
    assert_eq!(rig.search(), 0);

    rig.change_cluster(&["logs"], |cluster| cluster.create("logs", 2));
    rig.beat("a", 2, None);
    assert_eq!(rig.search(), 0, "not at once");
    rig.pass(10_001);
    rig.beat("a", 2, None);
    assert_eq!(rig.search(), 1);
    let mut rig = rig.reloaded();
    let heard = rig.beat("a", 2, None);
    assert_eq!(heard.assignment.unwrap().len(), 2);

    let by_name = ConsumerHeartbeat {
        topics: Some(["logs".to_owned()].into()),
        regex: Some(String::new()),
        ..beating("a", 3)
    };
    let heard = rig.hear(by_name).unwrap();
    assert_eq!(heard.assignment.unwrap().len(), 1);
    let of_member: Vec<_> = rig
        .consumers()
        .unwrap()
        .members
        .iter()
        .map(|one| one.regex.clone())
        .collect();
    assert_eq!(of_member, [None]);
}

#[test] // Goal: a member commits in its own epoch; one that is behind only for what it had then and still has.
fn commits_need_the_members_epoch() {
    let mut rig = rig();
    rig.beat("a", 0, None);
    let id = rig.cluster.topics["t"].id;
    let commit_at = |rig: &mut Rig, member: &str, epoch, version, partition| {
        let item = CommitItem {
            topic_id: id,
            ..item("t", partition, 5)
        };
        rig.commit_as(CommitOffsets {
            sender: sender(member, None, epoch),
            version,
            ..commit("g", vec![item])
        })
    };
    let ok = Ok(vec![ErrorCode::None]);
    assert_eq!(commit_at(&mut rig, "a", 1, 9, 0), ok);
    assert_eq!(commit_at(&mut rig, "a", 1, 8, 0), Err(ErrorCode::UnsupportedVersion));
    assert_eq!(commit_at(&mut rig, "a", 2, 9, 0), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(commit_at(&mut rig, "x", 1, 9, 0), Err(ErrorCode::UnknownMemberId));
    assert_eq!(commit_at(&mut rig, "", -1, 9, 0), Err(ErrorCode::UnknownMemberId));
    rig.beat("b", 0, None);
    rig.beat("a", 1, Some(&[0, 1]));
    assert_eq!(commit_at(&mut rig, "a", 1, 9, 0), ok);
    assert_eq!(commit_at(&mut rig, "a", 1, 9, 3), Ok(vec![ErrorCode::StaleMemberEpoch]));

    let mut fetch = |member: &str, epoch| {
        let fetch = FetchOffsets {
            group: "g".into(),
            sender: sender(member, None, epoch),
            partitions: None,
            require_stable: false,
        };
        match rig.ask(GroupRequest::FetchOffsets(fetch)) {
            GroupReply::Fetched(fetched) => fetched.map(|fetched| fetched.len()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((fetch("", -1), fetch("a", 2)), (Ok(1), Ok(1)));
    assert_eq!(fetch("a", 1), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(fetch("x", 1), Err(ErrorCode::UnknownMemberId));
}

#[test] // Goal: lists show the kind; a classic group that is empty becomes one of consumers, and back, with its offsets.
fn kinds_are_told_apart_and_change_when_empty() {
    let mut rig = rig();
    rig.stable(&["m"]);
    assert_eq!(rig.refusal(joining("a")), ErrorCode::GroupIdNotFound);
    rig.leave(Leaver {
        member_id: "m".into(),
        ..Leaver::default()
    });
    rig.commit("g", 0, 7).unwrap();
    rig.beat("a", 0, None);
    assert_eq!(rig.state(), "none");
    let listed = |rig: &mut Rig| match rig.ask(GroupRequest::List(ListFilter::default())) {
        GroupReply::Listed(groups) => groups
            .into_iter()
            .map(|group| (group.kind, group.state))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(listed(&mut rig), [("consumer", "Stable")]);
    let mut rig = rig.reloaded();
    assert_eq!(listed(&mut rig), [("consumer", "Stable")]);
    assert_eq!(rig.fetch("g", None), [(0, 7)]);
    rig.hear(beating("a", -1)).unwrap();
    rig.stable(&["n"]);
    assert_eq!(listed(&mut rig), [("classic", "Stable")]);
    let mut rig = rig.reloaded();
    assert_eq!(
        (listed(&mut rig), rig.fetch("g", None)),
        (vec![("classic", "Stable")], vec![(0, 7)])
    );
}
