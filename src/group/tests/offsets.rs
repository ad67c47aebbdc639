//! Committed offsets (behaviours 53, 54, 55).

use std::sync::Arc;
use std::time::Duration;

use super::cluster::Cluster;
use super::{DAY_MS, Rig, commit, config, item, sender};
use crate::group::*;
use crate::model::ErrorCode;

#[test] // Goal (behaviours 53, 54): a simple consumer commits and fetches, note included; what it never committed is -1.
fn a_simple_consumer_commits_and_fetches() {
    let mut rig = Rig::new();
    assert_eq!(rig.fetch("g", Some(&[0])), [(0, -1)]);
    assert_eq!(rig.fetch("g", None), []);
    assert_eq!(rig.commit("g", 1, 7), Ok(vec![ErrorCode::None]));
    assert_eq!(rig.commit("g", 1, 9), Ok(vec![ErrorCode::None]));
    assert_eq!(rig.fetch("g", Some(&[0, 1])), [(0, -1), (1, 9)]);
    let all = rig.fetch_stable("g", None, true);
    assert_eq!((all[0].metadata.as_str(), all[0].leader_epoch), ("note 9", 3));
    assert_eq!(rig.fetch("other", Some(&[1])), [(1, -1)]);
}

#[test] // Goal (behaviour 53): a generation of a group that does not exist is refused, by the code of the request's version.
fn a_generation_needs_its_group() {
    let mut rig = Rig::new();
    for (version, error) in [(8, ErrorCode::IllegalGeneration), (9, ErrorCode::GroupIdNotFound)] {
        let mut commit = commit("g", vec![item("t", 0, 1)]);
        (commit.version, commit.sender.epoch) = (version, 4);
        let reply = rig.ask(GroupRequest::CommitOffsets(commit));
        assert_eq!(reply, GroupReply::Committed(Err(error)));
    }
    assert!(rig.log.is_empty());
}

#[test] // Goal (behaviour 53): a note that is too long costs its own partition only.
fn a_long_note_is_refused_alone() {
    let mut rig = Rig::new();
    let mut long = item("t", 0, 1);
    long.metadata = "x".repeat(4097);
    let mut fits = item("t", 1, 1);
    fits.metadata = "x".repeat(4096);
    let reply = rig.ask(GroupRequest::CommitOffsets(commit("g", vec![long, fits])));
    let codes = vec![ErrorCode::OffsetMetadataTooLarge, ErrorCode::None];
    assert_eq!(reply, GroupReply::Committed(Ok(codes)));
    assert_eq!(rig.fetch("g", Some(&[0, 1])), [(0, -1), (1, 1)]);
}

#[test] // Goal: what was written is what a coordinator that loads it answers.
fn a_loaded_coordinator_knows_the_same() {
    let mut rig = Rig::new();
    for (partition, offset) in [(0, 5), (1, 6), (0, 8)] {
        rig.commit("g", partition, offset).unwrap();
    }
    let before = rig.fetch_stable("g", None, false);
    let mut again = Rig::loaded(rig.log.clone(), rig.now_ms);
    assert_eq!(again.fetch_stable("g", None, false), before);
}

#[test] // Goal (behaviour 55): a simple consumer's offsets go when they have not been committed for the retention.
fn offsets_go_after_their_retention() {
    let mut rig = Rig::new();
    rig.commit("g", 0, 5).unwrap();
    rig.pass(4 * DAY_MS);
    rig.commit("g", 1, 6).unwrap();
    rig.pass(4 * DAY_MS);
    assert_eq!(rig.fetch("g", None), [(1, 6)]);
    rig.pass(4 * DAY_MS);
    assert_eq!(rig.fetch("g", None), []);
    // The log says the same: its tombstones are there.
    let mut again = Rig::loaded(rig.log.clone(), rig.now_ms);
    assert_eq!(again.fetch("g", None), []);
}

#[test] // Goal (behaviour 55): the retention that a request asked for comes before the broker's.
fn a_requests_retention_comes_first() {
    let mut rig = Rig::new();
    let mut asked = commit("g", vec![item("t", 0, 1)]);
    asked.retention_ms = Some(DAY_MS);
    rig.ask(GroupRequest::CommitOffsets(asked));
    rig.pass(DAY_MS - 1);
    assert_eq!(rig.fetch("g", None), [(0, 1)]);
    rig.pass(3_600_000);
    assert_eq!(rig.fetch("g", None), []);
}

#[test] // Goal: thousands of groups are looked through in pieces, and none is left out.
fn retention_looks_at_every_group() {
    let mut rig = Rig::new();
    for group in 0..1_000 {
        rig.commit(&format!("g{group}"), 0, 1).unwrap();
    }
    rig.now_ms += 8 * DAY_MS;
    let effects = rig.coordinator.on_time(rig.now());
    rig.take(effects);
    assert_eq!(
        rig.coordinator.groups.len(),
        1_000 - 256,
        "one look is a bounded piece of work"
    );
    rig.pass(10);
    for group in 0..1_000 {
        assert_eq!(rig.fetch(&format!("g{group}"), None), []);
    }
}

#[test] // Goal: the offsets of a deleted topic are gone, for good.
fn a_deleted_topics_offsets_go() {
    let mut rig = Rig::new();
    let items = vec![item("t", 0, 1), item("kept", 0, 2)];
    rig.ask(GroupRequest::CommitOffsets(commit("g", items)));
    let effects = rig.coordinator.on_topics_deleted(&["t".to_string()], rig.now());
    rig.log.extend(effects.entries);
    assert_eq!(rig.fetch("g", None), [(0, 2)]);
    let mut again = Rig::loaded(rig.log.clone(), rig.now_ms);
    assert_eq!(again.fetch("g", None), [(0, 2)]);
}

#[test] // Goal (behaviour 54): an offset in an open transaction is not seen, and refused where stability is asked for; it
// counts once the transaction is committed, unless a later commit came in between.
fn pending_offsets_wait_for_their_transaction() {
    let mut rig = Rig::new();
    rig.commit("g", 0, 1).unwrap();
    let mut other = Rig::new();
    for (partition, offset) in [(0, 10), (1, 11)] {
        other.commit("g", partition, offset).unwrap();
    }
    let replay = |rig: &mut Rig, producer| {
        for entry in &other.log {
            rig.coordinator.replay(&entry.key, entry.value.as_ref(), Some(producer));
        }
    };
    replay(&mut rig, 7);
    assert_eq!(rig.fetch("g", Some(&[0])), [(0, 1)]);
    let unstable = rig.fetch_stable("g", None, true);
    assert!(unstable.iter().all(|one| one.error == ErrorCode::UnstableOffsetCommit));
    assert_eq!(unstable.len(), 2);

    rig.coordinator.end_transaction(7, false);
    assert_eq!(rig.fetch("g", None), [(0, 1)]);

    replay(&mut rig, 8);
    rig.commit("g", 0, 20).unwrap();
    rig.coordinator.end_transaction(8, true);
    assert_eq!(rig.fetch("g", None), [(0, 20), (1, 11)]);
    let stable = rig.fetch_stable("g", None, true);
    assert!(stable.iter().all(|one| one.error.is_none()));
}

#[test] // Goal: an idle coordinator asks for the clock only to look for offsets past their retention.
fn an_idle_coordinator_rests() {
    let mut rig = Rig::new();
    for group in 0..100 {
        rig.commit(&format!("g{group}"), 0, 1).unwrap();
    }
    let check = config().offsets_retention_check;
    assert_eq!(check, Duration::from_secs(600));
    assert_eq!(rig.coordinator.next_time(), Some(rig.now().instant.after(check)));
}

/// Within a producer's transaction nobody needs to be a member; what is committed counts once the transaction does.
#[test]
fn transactional_offsets_are_committed_by_their_producer() {
    let mut rig = Rig::new();
    rig.stable(&["a"]);
    let mine = || CommitOffsets {
        producer: Some(7),
        ..commit("g", vec![item("t", 0, 5)])
    };
    assert_eq!(rig.commit("g", 0, 4), Err(ErrorCode::UnknownMemberId));
    assert_eq!(rig.commit_as(mine()), Ok(vec![ErrorCode::None]));
    assert_eq!(rig.fetch("g", Some(&[0])), [(0, -1)]);
    assert_eq!(
        rig.fetch_stable("g", Some(&[0]), true)[0].error,
        ErrorCode::UnstableOffsetCommit
    );
    rig.coordinator.end_transaction(7, true);
    assert_eq!(rig.fetch("g", Some(&[0])), [(0, 5)]);
    let stranger = CommitOffsets {
        sender: sender("nobody", None, 1),
        ..mine()
    };
    assert_eq!(rig.commit_as(stranger), Err(ErrorCode::UnknownMemberId));
}

/// What deletes a group, an offset or a topic takes pending offsets too, and a coordinator that loads the log agrees.
#[test]
fn deleted_offsets_do_not_come_back_with_their_transaction() {
    let pending = || CommitOffsets {
        producer: Some(7),
        ..commit("g", vec![item("t", 0, 5)])
    };
    let deletions: [fn(&mut Rig); 3] = [
        |rig| {
            let reply = rig.ask(GroupRequest::Delete("g".into()));
            assert_eq!(reply, GroupReply::Deleted(ErrorCode::None));
        },
        |rig| {
            let effects = rig.coordinator.on_topics_deleted(&["t".to_owned()], rig.now());
            rig.take(effects);
        },
        |rig| {
            let partitions = vec![("t".into(), 0)];
            rig.ask(GroupRequest::DeleteOffsets(DeleteOffsets {
                group: "g".into(),
                partitions,
            }));
        },
    ];
    for delete in deletions {
        let mut rig = Rig::new();
        assert_eq!(rig.commit_as(pending()), Ok(vec![ErrorCode::None]));
        let committed_by = rig.log.len();
        delete(&mut rig);
        let mut again = GroupCoordinator::new(config(), Arc::new(Cluster::default()));
        for (at, entry) in rig.log.iter().enumerate() {
            let producer = (at < committed_by).then_some(7);
            again.replay(&entry.key, entry.value.as_ref(), producer);
        }
        for coordinator in [&mut rig.coordinator, &mut again] {
            coordinator.end_transaction(7, true);
        }
        assert_eq!(rig.fetch("g", Some(&[0])), [(0, -1)]);
        rig.coordinator = again;
        assert_eq!(rig.fetch("g", Some(&[0])), [(0, -1)]);
    }
}
