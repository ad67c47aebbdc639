//! The engine of a cluster: a quorum that agrees on one log of commits. The consensus itself is a library's; its types do
//! not leave this directory, nor reach the disk.
//!
//! ```text
//! control loop ─ commit ─► Raft ─► LogStore (fsync) ┐       RaftLink ─► other nodes' Desk ─► their Raft
//!              ◄─ Event ── Machine ◄── committed ───┘       Remote   ─► the controller's Desk ─► its control loop
//! ```
//!
//! What became of a commit that a deposed leader lost sight of, `outcome` says.
//!
//! A quorum begins with one node and grows by the others as they come (`form`, `join`), or by those that an operator adds
//! (`addition`, `waiting`); a single node's metadata are the first commit of the quorum that it begins. A broker that does not vote takes no part in it: it asks whoever leads for what
//! was committed (`observer`, answered by `feed`), and keeps nothing. An image's epoch counts commits, not log entries, and goes on from there.

mod addition;
mod backlog;
mod codec;
mod feed;
mod follow;
mod form;
mod initial;
mod join;
mod link;
mod log;
mod machine;
mod message;
mod observer;
mod outcome;
mod presence;
mod progress;
mod remote;
mod removal;
mod roles;
mod rpc;
#[cfg(test)]
mod runtime;
mod salvage;
mod serve;
mod types;
mod waiting;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::ClientWriteError;
use openraft::impls::ProgressResponder;
use openraft::{Config, ReadPolicy, SnapshotPolicy};

use super::{CommitError, Embedded, Engine, Event, StartError, VoterChange, frame};
use crate::config::{BrokerConfig, ListenerSpec, QuorumConfig};
use crate::metadata::command::{NewVoter, QuorumState};
use crate::metadata::handle::Handle;
use crate::metadata::image::{Image, ImageEpoch};
use crate::metadata::record::{self, Record};
use crate::model::{BrokerId, DirId};
use crate::rt::{self, ControlListener};

use addition::Additions;
use backlog::Backlog;
use feed::Feed;
use link::Links;
use log::LogStore;
use machine::Machine;
use message::Identity;
use outcome::Outcomes;
use presence::Presence;
use progress::Progress;
use serve::{Desk, Room};
use types::{Commit, Types, Voter};

#[cfg(test)]
pub use form::form_simulated;
pub use form::{Formed, form};
pub use initial::format;
pub use observer::Observer;
pub use remote::{Answered, NoAnswer, Remote};
pub use salvage::Salvage;

type Raft = openraft::Raft<Types, Machine>;

/// Records after which it does as well: one commit may hold thousands.
const RECORDS_PER_SNAPSHOT: usize = 200_000;
/// For a majority to take a commit.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);
/// For a leader to know that it still is one.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(1);
/// For a first node to become its own quorum, and for leadership to be handed over.
const LEAD_PATIENCE: Duration = Duration::from_secs(30);
const RESIGN_PATIENCE: Duration = Duration::from_secs(2);
/// Heartbeats in the time without one after which a follower stands for election.
const HEARTBEATS_PER_TIMEOUT: u64 = 5;

/// How much of the log there is.
#[derive(Clone, Copy)]
pub struct Keeping {
    /// Entries after which a snapshot takes the place of the log.
    pub per_snapshot: u64,
    /// Entries that are kept behind a snapshot, for a node that was away for a moment.
    pub kept: u64,
    /// Commits that are kept in memory, for brokers that do not vote.
    pub at_hand: usize,
}

impl Default for Keeping {
    fn default() -> Keeping {
        Keeping {
            per_snapshot: 10_000,
            kept: 1_000,
            at_hand: 500,
        }
    }
}

/// Whether there is a quorum's metadata in the directory.
pub fn is_quorum_dir(dir: &std::path::Path) -> io::Result<bool> {
    LogStore::exists(dir)
}

pub struct Quorum {
    config: Arc<BrokerConfig>,
    quorum: QuorumConfig,
    dir: PathBuf,
    /// Of the log directory that `dir` lies in; `None`: it is none.
    directory: Option<DirId>,
    formed: Formed,
    keeping: Keeping,
    /// Where other nodes' commands go.
    controller: Handle,
    running: Option<(Raft, Remote)>,
    /// The term in which the loop knows that it decides.
    decides: Option<u64>,
    /// What the machine has applied, be it that the loop has not seen it.
    feed: Feed,
    outcomes: Outcomes,
    progress: Progress,
    backlog: Backlog,
    additions: Additions,
    records_since_snapshot: usize,
}

impl Quorum {
    pub fn new(
        config: Arc<BrokerConfig>,
        quorum: QuorumConfig,
        dir: PathBuf,
        formed: Formed,
        controller: Handle,
    ) -> Quorum {
        Quorum {
            config,
            quorum,
            dir,
            directory: None,
            formed,
            keeping: Keeping::default(),
            controller,
            running: None,
            decides: None,
            feed: Feed::default(),
            outcomes: Outcomes::default(),
            progress: Progress::default(),
            backlog: Backlog::new(),
            additions: Additions::default(),
            records_since_snapshot: 0,
        }
    }

    /// The metadata lie in that log directory.
    pub fn within(self, directory: Option<DirId>) -> Quorum {
        Quorum { directory, ..self }
    }

    #[cfg(test)]
    pub fn keep(self, keeping: Keeping) -> Quorum {
        Quorum { keeping, ..self }
    }

    fn me(&self) -> BrokerId {
        BrokerId(self.config.broker_id)
    }

    fn raft(&self) -> io::Result<&Raft> {
        let running = self.running.as_ref().map(|(raft, _)| raft);
        running.ok_or_else(|| io::Error::other("the engine has not been started"))
    }

    async fn open(&mut self) -> Result<(Vec<Record>, ImageEpoch), StartError> {
        let failed = |what: String| StartError::Quorum { what };
        let empty = Image::empty(&self.formed.cluster_id, self.config.clone());
        let machine = Machine::open(&self.dir, empty, self.backlog.sender())?;
        let store = LogStore::open(&self.dir)?;
        // A log in which nothing stands yet is that of a node that was not let in before it was started again.
        let has_any = store.last().is_some() || machine.applied().is_some();
        let has_single = !Embedded::is_new(&self.dir).map_err(|cause| StartError::Io {
            path: self.dir.clone(),
            cause,
        })?;
        let identity = Arc::new(Identity {
            cluster: Some(self.formed.cluster_id.clone()),
            has_metadata: has_any || self.formed.begins || has_single,
            directory: self.directory,
            ..Identity::new(self.me(), form::voter_id(&self.dir)?, self.formed.incarnation)
        });
        let itself = Voter {
            directory: self.directory,
            ..itself(&self.quorum, self.me()).map_err(|error| failed(format!("{error:#}")))?
        };
        let configured = voters(&self.quorum);
        let Some(spec) = &self.quorum.listener else {
            return Err(failed("a broker only has no vote".to_owned()));
        };
        let listener = listen(spec).map_err(|error| failed(format!("{error:#}")))?;
        let (records, epoch) = (machine.image().to_records(), machine.image().epoch);
        self.feed = machine.feed();
        self.outcomes = machine.outcomes();
        self.feed.keep(self.keeping.at_hand);
        let presence = Presence::new(self.backlog.sender());
        let links = Links {
            me: identity.clone(),
            configured: configured.clone(),
            presence: presence.clone(),
            request_timeout: ms(self.quorum.request_timeout_ms),
        };
        let config = raft_config(&self.quorum, self.keeping, &self.formed.cluster_id);
        let config = Arc::new(config.validate().map_err(|error| failed(error.to_string()))?);
        let raft = Raft::new(identity.voter, config, links, store, machine).await;
        let raft = raft.map_err(|error| failed(error.to_string()))?;
        let room = Room {
            raft: raft.clone(),
            controller: self.controller.clone(),
            presence,
            followed: feed::Server {
                me: identity.node,
                raft: raft.clone(),
                feed: self.feed.clone(),
                progress: self.progress.clone(),
                configured: configured.clone(),
                lease: lease(&self.quorum),
                kept: feed::KeptState::default(),
            },
        };
        let desk = Rc::new(Desk::new(identity.clone(), configured.clone(), Some(room)));
        rt::spawn(desk.serve(listener));
        self.begin(&raft, &identity, &itself)
            .await
            .map_err(|error| failed(error.to_string()))?;
        self.note_servers(&raft);
        let remote = Remote::new(identity.clone(), configured.clone());
        let seen = roles::Seen {
            remote: remote.clone(),
            progress: self.progress.clone(),
            events: self.backlog.sender(),
            cells: self.controller.cells().clone(),
        };
        rt::spawn(roles::watch(raft.clone(), seen));
        let cells = self.controller.cells().clone();
        let servers = servers(&self.quorum);
        rt::spawn(waiting::watch(
            raft.clone(),
            identity.clone(),
            configured.clone(),
            servers,
            cells,
        ));
        let joining = join::Joining {
            me: identity,
            itself: self.quorum.is_dynamic.then_some(itself),
            configured,
            additions: self.additions.clone(),
        };
        rt::spawn(join::run(raft.clone(), joining));
        self.running = Some((raft, remote));
        Ok((if epoch.0 == 0 { Vec::new() } else { records }, epoch))
    }

    /// A node that names only itself would begin another cluster, should it lose its disks.
    fn note_servers(&self, raft: &Raft) {
        let listens = self.quorum.listener.as_ref().map(|spec| spec.port);
        let is_itself = |(host, port): &(String, u16)| Some(*port) == listens && rt::is_own_host(host);
        let membership = join::membership(raft);
        let has_others = membership.nodes().any(|(_, voter)| voter.node != self.me());
        if self.quorum.is_dynamic && has_others && self.quorum.bootstrap.iter().all(is_itself) {
            tracing::warn!(
                "controller.quorum.bootstrap.servers names only this node, and the quorum has others: name them too, on each node, \
                 lest one that has lost its disks begins another cluster"
            );
        }
    }

    /// A quorum of this node alone makes itself, and writes the first commit. Crashes between the steps are mended by the
    /// next start: until that commit is there, nobody else is taken in. One that was formatted for several begins as soon as
    /// a majority of them is there.
    async fn begin(&self, raft: &Raft, me: &Identity, itself: &Voter) -> anyhow::Result<()> {
        let is_initialized = raft.is_initialized().await?;
        if self.formed.begins && !is_initialized {
            let has_others = |initial: &initial::Voters| initial.iter().any(|(id, _)| *id != me.voter);
            let initial = initial::read(&self.dir)?.filter(has_others);
            let initial = initial.unwrap_or_else(|| vec![(me.voter, itself.clone())]);
            raft.initialize(BTreeMap::from_iter(initial)).await?;
        } else if !is_initialized {
            return Ok(());
        }
        // Of the consensus itself: what it shows of itself may lag.
        let voters = raft.with_raft_state(|state| {
            let membership = state.membership_state.effective();
            membership.voter_ids().collect::<Vec<_>>()
        });
        let voters = voters.await?;
        if voters != [me.voter] {
            if self.feed.epoch() == ImageEpoch(0) && voters.contains(&me.voter) {
                rt::spawn(form::write_first(
                    raft.clone(),
                    self.feed.clone(),
                    self.formed.cluster_id.clone(),
                ));
            }
            return Ok(());
        }
        let leads = raft
            .wait(Some(LEAD_PATIENCE))
            .state(openraft::ServerState::Leader, "a quorum of one")
            .await;
        leads?;
        raft.ensure_linearizable(ReadPolicy::ReadIndex).await?;
        let (records, epoch) = self.first_records().await?;
        // Not taken: an earlier start has written it.
        raft.client_write(form::first_commit(&records, epoch)).await?;
        remove_single(&self.dir);
        Ok(())
    }

    /// The single node's metadata, or those of a cluster in which nothing has happened.
    async fn first_records(&self) -> anyhow::Result<(Vec<Record>, ImageEpoch)> {
        if Embedded::is_new(&self.dir)? {
            return Ok((form::new_cluster(&self.formed.cluster_id), ImageEpoch(1)));
        }
        let mut single = Embedded::new(self.dir.clone(), super::SnapshotPolicy::default());
        let (records, epoch) = single.start().await?;
        tracing::info!(epoch = epoch.0, "the quorum takes over the metadata of the single node");
        let mut image = Image::empty(&self.formed.cluster_id, self.config.clone());
        image.apply_all(&records);
        Ok((image.to_records(), ImageEpoch(epoch.0.max(1))))
    }
}

impl Engine for Quorum {
    async fn start(&mut self) -> Result<(Vec<Record>, ImageEpoch), StartError> {
        self.open().await
    }

    async fn commit(&mut self, base: ImageEpoch, records: &[Record]) -> Result<ImageEpoch, CommitError> {
        let commit = Commit {
            base: base.0,
            epoch: base.0 + 1,
            records: encoded(records)?,
        };
        let made = rt::timeout(COMMIT_PATIENCE, self.write(commit)).await;
        made.unwrap_or_else(|| Err(undecided("no majority has answered in time")))
    }

    async fn next(&mut self) -> Event {
        let event = self.backlog.next().await;
        match &event {
            Event::Delta(delta) => self.count(delta.records.len()),
            Event::Controller { epoch } => self.decides = Some(*epoch),
            Event::NotController => self.decides = None,
            _ => {}
        }
        event
    }

    async fn confirm(&self, base: ImageEpoch) -> Result<(), CommitError> {
        #[cfg(test)]
        if rt::sim::is_off(rt::sim::Rule::Confirmation) {
            return Ok(());
        }
        let raft = self.raft().map_err(CommitError::Refused)?;
        let confirmed = rt::timeout(CONFIRM_PATIENCE, raft.ensure_linearizable(ReadPolicy::LeaseRead)).await;
        // In the same leadership: between two of them others may have committed what the loop has not seen.
        let is_same = |term| self.decides == Some(term);
        if !matches!(confirmed, Some(Ok(read)) if is_same(**read.log_id().committed_leader_id())) {
            return Err(CommitError::NotController);
        }
        // A commit that nobody could tell the outcome of may have been made since.
        match self.feed.epoch() {
            applied if applied > base => Err(CommitError::Conflict(applied)),
            _ => Ok(()),
        }
    }

    async fn resign(&mut self) {
        let Some((raft, _)) = &self.running else { return };
        if raft.is_leader() {
            let membership = raft.metrics().borrow_watched().membership_config.clone();
            let me = *raft.node_id();
            if let Some(to) = membership.voter_ids().find(|id| *id != me) {
                let _ = raft.trigger().transfer_leader(to).await;
                let wait = raft.wait(Some(RESIGN_PATIENCE));
                let given = wait.metrics(|metrics| metrics.current_leader != Some(me), "given");
                let _ = given.await;
            }
        }
        let _ = raft.shutdown().await;
    }

    fn quorum(&self) -> Option<QuorumState> {
        let (raft, _) = self.running.as_ref()?;
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        Some(self.progress.describe(self.me(), &metrics, rt::wall_ms()))
    }

    fn add_voter(&self, new: NewVoter) -> VoterChange {
        match &self.running {
            None => super::not_several(),
            Some((raft, remote)) => {
                let (raft, me) = (raft.clone(), remote.me().clone());
                Box::pin(addition::add(raft, me, self.additions.clone(), new))
            }
        }
    }

    fn remove_voter(&self, node: BrokerId, directory: DirId) -> VoterChange {
        match &self.running {
            None => super::not_several(),
            Some((raft, remote)) => Box::pin(removal::remove(raft.clone(), remote.clone(), node, directory)),
        }
    }

    fn remote(&self) -> Option<Remote> {
        self.running.as_ref().map(|(_, remote)| remote.clone())
    }
}

impl Quorum {
    /// Ends once it is known what became of it, or that nobody here can tell.
    async fn write(&self, commit: Commit) -> Result<ImageEpoch, CommitError> {
        let raft = self.raft().map_err(CommitError::Refused)?;
        let term = self.decides.ok_or(CommitError::NotController)?;
        let (base, epoch) = (commit.base, commit.epoch);
        let outcome = self.outcomes.watch(term, base);
        let (responder, written) = ProgressResponder::complete_only();
        let asked = raft.write(commit).with_leader(term).responder(responder).await;
        asked.map_err(|fatal| undecided(&fatal.to_string()))?;
        match written.await {
            Ok(Ok(written)) if written.data.is_taken => Ok(ImageEpoch(written.data.epoch)),
            Ok(Ok(written)) => Err(CommitError::Conflict(ImageEpoch(written.data.epoch))),
            // This node has another entry in its place, or a snapshot; others may hold it still.
            Ok(Err(ClientWriteError::LogEntryDiscarded(_))) => match outcome.await {
                Some(true) => Ok(ImageEpoch(epoch)),
                Some(false) => Err(CommitError::NotController),
                None => Err(undecided("the leadership was lost while it was made")),
            },
            Ok(Err(ClientWriteError::ForwardToLeader(_))) => {
                self.outcomes.withdraw();
                Err(CommitError::NotController)
            }
            Ok(Err(error)) => Err(undecided(&error.to_string())),
            Err(_) => Err(undecided("the quorum has ended on this node")),
        }
    }

    fn count(&mut self, records: usize) {
        self.records_since_snapshot += records;
        if self.records_since_snapshot < RECORDS_PER_SNAPSHOT {
            return;
        }
        self.records_since_snapshot = 0;
        if let Some((raft, _)) = self.running.clone() {
            rt::spawn(async move { drop(raft.trigger().snapshot().await) });
        }
    }
}

fn undecided(why: &str) -> CommitError {
    CommitError::Undecided(why.to_owned())
}

fn encoded(records: &[Record]) -> Result<Bytes, CommitError> {
    let mut bytes = Vec::new();
    record::encode_all(records, &mut bytes);
    match bytes.len() > frame::FRAME_BYTES_MAX {
        true => Err(CommitError::TooLarge {
            bytes: bytes.len(),
            max: frame::FRAME_BYTES_MAX,
        }),
        false => Ok(bytes.into()),
    }
}

fn raft_config(quorum: &QuorumConfig, keeping: Keeping, cluster: &str) -> Config {
    let timeout = quorum.election_timeout_ms.max(HEARTBEATS_PER_TIMEOUT);
    Config {
        cluster_name: cluster.to_owned(),
        heartbeat_interval: timeout / HEARTBEATS_PER_TIMEOUT,
        election_timeout_min: timeout,
        election_timeout_max: timeout * 2,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(keeping.per_snapshot),
        max_in_snapshot_log_to_keep: keeping.kept,
        // A node that comes back must not depose a healthy leader.
        enable_pre_vote: Some(asks_first()),
        // What was committed is not noted on disk: a leader that was restarted asks a majority first.
        enable_leader_restore: Some(false),
        ..Config::default()
    }
}

fn asks_first() -> bool {
    #[cfg(test)]
    if rt::sim::is_off(rt::sim::Rule::PreVote) {
        return false;
    }
    true
}

/// Without an answer of a majority for so long a leader does not count as one; the library's own lease is as long.
fn lease(quorum: &QuorumConfig) -> Duration {
    ms(quorum.election_timeout_ms) * 2
}

/// They are in the quorum's log now, and must not be taken for newer ones by a start without a quorum.
fn remove_single(dir: &std::path::Path) {
    if let Err(error) = Embedded::remove_files(dir) {
        tracing::warn!(dir = %dir.display(), %error, "cannot remove the metadata of the single node that the quorum has taken over");
    }
}

/// Where the others find node `me`, which is this one.
fn itself(quorum: &QuorumConfig, me: BrokerId) -> anyhow::Result<Voter> {
    let named = voters(quorum).iter().find(|voter| voter.node == me).cloned();
    let itself = match (named, &quorum.advertised) {
        (Some(named), _) => named,
        (None, Some(spec)) if spec.host.is_empty() => Voter::at(&rt::host_name()?, spec.port),
        (None, Some(spec)) => Voter::at(&spec.host, spec.port),
        (None, None) => Voter::default(),
    };
    Ok(Voter { node: me, ..itself })
}

fn voters(quorum: &QuorumConfig) -> Arc<[Voter]> {
    let voter = |spec: &crate::config::VoterSpec| Voter {
        node: BrokerId(spec.id),
        host: spec.host.clone(),
        port: spec.port,
        directory: None,
    };
    quorum.voters.iter().map(voter).collect()
}

/// Who tells of the voters, where the configuration does not.
fn servers(quorum: &QuorumConfig) -> Vec<Voter> {
    let servers = quorum
        .bootstrap
        .iter()
        .filter(|_| quorum.is_dynamic || quorum.voters.is_empty());
    servers.map(|(host, port)| Voter::at(host, *port)).collect()
}

fn listen(spec: &ListenerSpec) -> anyhow::Result<ControlListener> {
    use anyhow::Context;
    let address = rt::resolve(&spec.host, spec.port)
        .with_context(|| format!("listener {}: the host {} cannot be resolved", spec.name, spec.host))?;
    ControlListener::bind(address).with_context(|| {
        format!(
            "listener {}: cannot listen on {address}; is another broker running there?",
            spec.name
        )
    })
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[cfg(test)]
mod tests;
