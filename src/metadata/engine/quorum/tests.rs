//! The log and the state machine against the consensus library's own suite, and against kills at every byte; a node alone on a
//! simulated machine; three nodes over loopback are in `cluster`, with a fourth that does not vote in `observer`; those that are
//! added in `dynamic`.

mod cluster;
mod dynamic;
mod observer;

use std::path::Path;

use futures_lite::future::block_on;
use openraft::raft::VoteRequest;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{RaftLogReader, StorageError};
use tempfile::TempDir;

use super::codec::log_id;
use super::types::{Entry, Payload, Vote};
use super::*;
use crate::config::{ListenerSpec, Role, VoterSpec};
use crate::metadata::handle::handle;
use crate::metrics::ControlCells;
use crate::rt::blocking;
use crate::rt::lane;
use crate::rt::sim::{FaultPlan, World};

struct Stores;

impl StoreBuilder<Types, LogStore, Machine, TempDir> for Stores {
    async fn build(&self) -> Result<(TempDir, LogStore, Machine), StorageError<Types>> {
        let dir = tempfile::tempdir().unwrap();
        let (log, machine) = (LogStore::open(dir.path()).unwrap(), machine(dir.path()));
        Ok((dir, log, machine))
    }
}

fn machine(dir: &Path) -> Machine {
    let config = Arc::new(BrokerConfig::embedded(dir));
    Machine::open(dir, Image::empty("cluster", config), lane(usize::MAX).0).unwrap()
}

/// What the library asks of a store holds.
#[test]
fn the_store_passes_the_librarys_suite() {
    let (done, is_done) = std::sync::mpsc::channel();
    let thread = rt::run_control("suite", move || async move {
        done.send(Suite::test_all(Stores).await.map_err(|error| error.to_string()))
            .unwrap();
    });
    thread.unwrap().join().unwrap();
    is_done.recv().unwrap().unwrap();
}

fn entry(index: u64) -> Entry {
    let commit = Commit {
        base: index,
        epoch: index + 1,
        records: Bytes::from(vec![index as u8; 10]),
    };
    Entry {
        log_id: log_id(1, index),
        payload: Payload::Normal(commit),
    }
}

fn append(store: &mut LogStore, entries: Vec<Entry>) {
    block_on(store.append(entries, IOFlushed::noop())).unwrap();
}

fn indexes(store: &mut LogStore) -> Vec<u64> {
    let entries = block_on(store.try_get_log_entries(0..u64::MAX)).unwrap();
    for entry in &entries {
        assert_eq!(*entry, self::entry(entry.log_id.index()));
    }
    entries.iter().map(|entry| entry.log_id.index()).collect()
}

fn written(dir: &Path) -> Vec<u8> {
    blocking::read_file(&dir.join("quorum-log")).unwrap()
}

/// Entries, a cut end, a later beginning and the vote are there after a restart.
#[test]
fn the_log_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = LogStore::open(dir.path()).unwrap();
    append(&mut store, (1..=6).map(entry).collect());
    block_on(store.truncate_after(Some(log_id(1, 4)))).unwrap();
    append(&mut store, vec![entry(5)]);
    block_on(store.purge(log_id(1, 2))).unwrap();
    append(&mut store, vec![entry(6)]);
    let vote = Vote::new_committed(3, 7);
    block_on(store.save_vote(&vote)).unwrap();

    let mut store = LogStore::open(dir.path()).unwrap();
    assert_eq!(indexes(&mut store), [3, 4, 5, 6]);
    let state = block_on(store.get_log_state()).unwrap();
    assert_eq!(
        (state.last_purged_log_id, state.last_log_id),
        (Some(log_id(1, 2)), Some(log_id(1, 6)))
    );
    assert_eq!(block_on(store.read_vote()).unwrap(), Some(vote));
    append(&mut store, vec![entry(7)]);
    assert_eq!(indexes(&mut LogStore::open(dir.path()).unwrap()), [3, 4, 5, 6, 7]);
}

/// Killed at any byte of the last write, which holds three entries: what was acknowledged before is there, and the log goes on.
#[test]
fn a_log_cut_at_every_byte_keeps_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = LogStore::open(dir.path()).unwrap();
    append(&mut store, vec![entry(0), entry(1)]);
    let acknowledged = written(dir.path()).len();
    append(&mut store, vec![entry(2), entry(3), entry(4)]);
    let whole = written(dir.path());
    for len in acknowledged..=whole.len() {
        let killed = tempfile::tempdir().unwrap();
        std::fs::write(killed.path().join("quorum-log"), &whole[..len]).unwrap();
        let mut store = LogStore::open(killed.path()).unwrap();
        let found = indexes(&mut store);
        assert!(found.starts_with(&[0, 1]), "cut at {len}: {found:?}");
        let next = found.len() as u64;
        append(&mut store, vec![entry(next)]);
        assert_eq!(
            indexes(&mut LogStore::open(killed.path()).unwrap()).len() as u64,
            next + 1
        );
    }
}

/// A power cut leaves any pages of the last write: its later entries may be there without its first.
#[test]
fn a_hole_in_the_last_write_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = LogStore::open(dir.path()).unwrap();
    append(&mut store, vec![entry(0), entry(1)]);
    let acknowledged = written(dir.path()).len();
    append(&mut store, vec![entry(2), entry(3), entry(4)]);
    let mut bytes = written(dir.path());
    bytes[acknowledged..acknowledged + 20].fill(0);
    std::fs::write(dir.path().join("quorum-log"), &bytes).unwrap();
    assert_eq!(indexes(&mut LogStore::open(dir.path()).unwrap()), [0, 1]);
}

/// A flipped byte before an acknowledged entry is damage: the start is refused, and the file kept.
#[test]
fn damage_before_acknowledged_entries_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = LogStore::open(dir.path()).unwrap();
    append(&mut store, vec![entry(0)]);
    append(&mut store, vec![entry(1)]);
    let before_last = written(dir.path()).len();
    append(&mut store, vec![entry(2)]);
    let whole = written(dir.path());
    for at in 0..before_last {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        std::fs::write(dir.path().join("quorum-log"), &bytes).unwrap();
        assert!(LogStore::open(dir.path()).is_err(), "byte {at}");
        assert_eq!(written(dir.path()), bytes, "byte {at}");
    }
}

/// The bytes of a log that this release wrote stay readable.
#[test]
fn version_1_entries_are_frozen() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = LogStore::open(dir.path()).unwrap();
    let base = written(dir.path());
    append(&mut store, vec![entry(7)]);
    let frame = &written(dir.path())[base.len()..];
    let body = [
        &[1, 3, 7, 0, 0, 0, 0, 0, 0, 0][..],
        &[0, 0, 0, 0],
        &[1, 0, 0, 0, 0, 0, 0, 0, 1],
        &[7, 0, 0, 0, 0, 0, 0, 0],
        &[8, 0, 0, 0, 0, 0, 0, 0],
        &[10, 0, 0, 0],
        &[7; 10],
    ]
    .concat();
    assert_eq!(frame[8..], body);
    assert_eq!(frame[..4], (body.len() as u32).to_le_bytes());
}

/// A snapshot that was built from an older state does not take the place of a newer one.
#[test]
fn a_snapshot_never_goes_back() {
    use openraft::RaftSnapshotBuilder;
    use openraft::storage::RaftStateMachine;

    let dir = tempfile::tempdir().unwrap();
    let mut machine = machine(dir.path());
    let mut late = block_on(machine.get_snapshot_builder());
    let (meta, data) = {
        let other = tempfile::tempdir().unwrap();
        let mut ahead = self::machine(other.path());
        let commit = Commit {
            base: 0,
            epoch: 1,
            records: encoded(&[]).unwrap(),
        };
        let entry = Entry {
            log_id: log_id(1, 5),
            payload: Payload::Normal(commit),
        };
        block_on(ahead.apply(futures_lite::stream::iter([Ok((entry, None))]))).unwrap();
        let snapshot = block_on(block_on(ahead.get_snapshot_builder()).build_snapshot()).unwrap();
        (snapshot.meta, snapshot.snapshot)
    };
    block_on(machine.install_snapshot(&meta, data)).unwrap();
    block_on(late.build_snapshot()).unwrap();
    assert_eq!(self::machine(dir.path()).image().epoch, ImageEpoch(1));
}

const DIR: &str = "/disk/metadata";

/// The others know a node by its number: a power cut does not take it once it was told.
#[test]
fn a_power_cut_leaves_a_voter_its_number() {
    for seed in 0..16 {
        let mut world = World::new(seed, FaultPlan::none());
        let told = world.run(async {
            blocking::create_dir_all(Path::new("/disk")).unwrap();
            blocking::sync_dir(Path::new("/")).unwrap();
            form::voter_id(Path::new(DIR)).unwrap()
        });
        let kept = world.power_cut().run(async { form::voter_id(Path::new(DIR)).unwrap() });
        assert_eq!(told, kept, "seed {seed}");
    }
}

/// On the machine that a simulated world begins with.
fn alone() -> Quorum {
    let (host, port) = ("10.0.0.0".to_owned(), 9093);
    let voter = VoterSpec {
        id: 1,
        host: host.clone(),
        port,
    };
    let listener = ListenerSpec {
        name: "CONTROLLER".to_owned(),
        host,
        port,
    };
    let quorum = QuorumConfig {
        is_dynamic: false,
        advertised: None,
        role: Role::Both,
        voters: vec![voter],
        bootstrap: Vec::new(),
        listener_name: listener.name.clone(),
        listener: Some(listener),
        election_timeout_ms: 600,
        request_timeout_ms: 2_000,
    };
    let formed = Formed {
        cluster_id: "cluster".to_owned(),
        begins: true,
        incarnation: [1; 16],
    };
    let mut config = BrokerConfig::embedded(Path::new("/disk"));
    config.broker_id = 1;
    let (controller, _) = handle(ControlCells::default());
    Quorum::new(Arc::new(config), quorum, DIR.into(), formed, controller)
}

/// The term in which it is told that it decides.
async fn decides(quorum: &mut Quorum) -> u64 {
    loop {
        if let Event::Controller { epoch } = quorum.next().await {
            return epoch;
        }
    }
}

/// To a loop that knows of all commits.
async fn is_confirmed(quorum: &Quorum) -> bool {
    quorum.confirm(quorum.feed.epoch()).await.is_ok()
}

/// Others may have decided in between: nothing is confirmed to a loop that has not heard of that.
#[test]
fn leadership_that_was_lost_and_won_again_is_not_confirmed() {
    World::new(1, FaultPlan::none()).run(async {
        blocking::create_dir_all(Path::new("/disk")).unwrap();
        let mut quorum = alone();
        quorum.start().await.unwrap();
        let first = decides(&mut quorum).await;
        assert!(is_confirmed(&quorum).await);
        let before = quorum.feed.epoch();
        let committed = quorum.commit(before, &[]).await.unwrap();
        let unheard = quorum.confirm(before).await;
        assert!(
            matches!(unheard, Err(CommitError::Conflict(epoch)) if epoch == committed),
            "{unheard:?}"
        );
        let raft = quorum.raft().unwrap().clone();
        let other = VoteRequest {
            vote: Vote::new(first + 1, 99),
            last_log_id: Some(log_id(first + 1, 99)),
            leadership_transfer: true,
        };
        assert!(raft.vote(other).await.unwrap().vote_granted);
        assert!(!is_confirmed(&quorum).await);
        let leads = |metrics: &openraft::RaftMetrics<Types>| metrics.current_leader == Some(metrics.id);
        let wait = raft.wait(Some(LEAD_PATIENCE));
        let again = wait.metrics(|metrics| metrics.current_term > first && leads(metrics), "again");
        again.await.unwrap();
        assert!(!is_confirmed(&quorum).await);
        assert!(decides(&mut quorum).await > first);
        assert!(is_confirmed(&quorum).await);
    });
}
