//! Before a node of a quorum can open its log directories: which cluster it belongs to, and whether it is the one that
//! begins it. A node that has metadata knows; one that has none asks the others, and answers them meanwhile.
//!
//! Invariant: a node without metadata begins a cluster only if every other configured node has said that it has none
//! either. A node that has lost its disk can so never begin a second cluster beside the first. A broker only never begins
//! one, and nobody waits for it. Where nobody is configured but servers that know the quorum (`is_dynamic`), a node begins
//! one if it was formatted for that, or if there is no server but itself, for certain; else it is of the servers' cluster, and
//! waits to be added. So does one that has lost its metadata.

use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_lite::future::or;

use super::super::frame::{self, Kind};
use super::super::{Embedded, StartError};
use super::codec::{Reader, put_u64};
use super::feed::Feed;
use super::initial;
use super::link::Link;
use super::log::{LogStore, read_sealed};
use super::message::{ANYONE, Identity};
use super::serve::Desk;
use super::types::{Commit, Voter};
use super::{Raft, itself, listen, servers, voters};
use crate::config::QuorumConfig;
use crate::metadata::image::ImageEpoch;
use crate::metadata::record::{self, Record};
use crate::metadata::thread::random_id;
use crate::model::{BrokerId, TopicId};
use crate::rt::{self, blocking};

const VOTER: &str = "quorum-voter";
const LOG: &str = "quorum-log";
/// Which are there only where something was promised or agreed on.
const BESIDE_LOG: [&str; 2] = ["quorum-vote", "quorum-snapshot"];
const ASK_PAUSE: Duration = Duration::from_millis(200);
/// Rounds between two remarks about who is missing.
const ROUNDS_PER_REMARK: u64 = 50;

/// What a node knows before it opens its log directories.
#[derive(Clone, Debug, PartialEq)]
pub struct Formed {
    pub cluster_id: String,
    /// It begins the quorum, alone at first.
    pub begins: bool,
    /// Of this life of the node, by which the others know it already.
    pub incarnation: [u8; 16],
}

/// What a node finds in its own directories.
enum Found {
    Formed(Formed),
    /// Nothing: it is this one, and has to ask the others.
    New(Identity),
}

/// `known`: what the log directories say. Waits for other nodes where it must.
pub fn form(node: BrokerId, quorum: &QuorumConfig, dir: &Path, known: Option<String>) -> anyhow::Result<Formed> {
    let me = match look(node, quorum, dir, known)? {
        Found::Formed(formed) => return Ok(formed),
        Found::New(me) => me,
    };
    let (quorum, dir) = (quorum.clone(), dir.to_path_buf());
    let (tx, rx) = std::sync::mpsc::channel();
    let thread = rt::run_control("corelane-form", move || async move {
        drop(tx.send(ask(Arc::new(me), &quorum, &dir).await));
    });
    let thread = thread.context("start a thread")?;
    let formed = rx.recv().context("the thread that asks the other nodes has ended")?;
    // Its connections are closed with it.
    let _ = thread.join();
    formed
}

/// As [`form`], as a task of a simulated machine.
#[cfg(test)]
pub async fn form_simulated(
    node: BrokerId,
    quorum: &QuorumConfig,
    dir: &Path,
    known: Option<String>,
) -> anyhow::Result<Formed> {
    match look(node, quorum, dir, known)? {
        Found::Formed(formed) => Ok(formed),
        Found::New(me) => ask(Arc::new(me), quorum, dir).await,
    }
}

fn look(node: BrokerId, quorum: &QuorumConfig, dir: &Path, known: Option<String>) -> anyhow::Result<Found> {
    let unreadable = || format!("read the directory {}", dir.display());
    let has_single = !Embedded::is_new(dir).with_context(unreadable)?;
    let incarnation = random_id();
    if quorum.is_observer() {
        let has_any = LogStore::exists(dir).with_context(unreadable)? || has_single;
        return observe(node, dir, has_any, known, incarnation);
    }
    let cluster_id = || {
        known.clone().with_context(|| {
            format!(
                "there is metadata in {}, but no cluster.id in the log directories' meta.properties",
                dir.display()
            )
        })
    };
    let formed = |cluster_id, begins| Formed {
        cluster_id,
        begins,
        incarnation,
    };
    if has_log(dir).with_context(unreadable)? || (has_single && !quorum.is_dynamic) {
        return Ok(Found::Formed(formed(cluster_id()?, has_single)));
    }
    // One that noted that it begins may have ended before it was of a cluster, or have gone on alone: it asks again.
    let is_settled = |initial: &initial::Voters| initial.len() != 1 || (known.is_some() && !has_single);
    if let Some(initial) = initial::read(dir)?.filter(|initial| quorum.is_dynamic && is_settled(initial)) {
        return Ok(Found::Formed(formed(cluster_id()?, !initial.is_empty())));
    }
    if let Some(cluster_id) = known.clone().filter(|_| quorum.is_dynamic && !has_single) {
        tracing::info!(
            cluster = %cluster_id,
            dir = %dir.display(),
            "there is no metadata, and the log directories are of a cluster: this node was not added yet, or has lost its metadata"
        );
        return Ok(Found::Formed(formed(cluster_id, false)));
    }
    let me = Identity {
        cluster: if has_single { Some(cluster_id()?) } else { known },
        has_metadata: has_single,
        ..Identity::new(node, voter_id(dir)?, incarnation)
    };
    Ok(Found::New(me))
}

/// Whether anything stands in a log, or beside it: a start that failed leaves an empty one. Only looked at: another process may
/// still have it open.
fn has_log(dir: &Path) -> io::Result<bool> {
    if !LogStore::exists(dir)? {
        return Ok(false);
    }
    let names = blocking::list_dir(dir)?;
    if names.iter().any(|(name, _)| BESIDE_LOG.contains(&name.as_str())) {
        return Ok(true);
    }
    let bytes = blocking::read_file(&dir.join(LOG))?;
    // Whoever opens it tells of the damage.
    let Some(base) = frame::decode(&bytes) else {
        return Ok(true);
    };
    let is_whole = matches!(Reader::copy(base.payload).log_id(), Ok(None));
    Ok(!is_whole || frame::decode(&bytes[base.len..]).is_some())
}

/// A broker only needs no more than the cluster's id.
fn observe(
    node: BrokerId,
    dir: &Path,
    has_any: bool,
    known: Option<String>,
    incarnation: [u8; 16],
) -> anyhow::Result<Found> {
    anyhow::ensure!(
        !has_any,
        "there is metadata in {}, and process.roles=broker takes that of the controllers. If this node was a controller, take it \
         out of the quorum (kafka-metadata-quorum.sh remove-controller) and move that directory away; if it was alone, give it \
         empty log directories",
        dir.display()
    );
    Ok(match known {
        Some(cluster_id) => Found::Formed(Formed {
            cluster_id,
            begins: false,
            incarnation,
        }),
        None => Found::New(Identity {
            is_observer: true,
            ..Identity::new(node, ANYONE, incarnation)
        }),
    })
}

/// Of the initial voters, whoever leads first says whose the quorum is. Not taken: another has done so.
pub async fn write_first(raft: Raft, feed: Feed, cluster_id: String) {
    while feed.epoch() == ImageEpoch(0) {
        if raft.is_leader()
            && let Err(error) = raft
                .client_write(first_commit(&new_cluster(&cluster_id), ImageEpoch(1)))
                .await
        {
            tracing::debug!(%error, "the first commit of the quorum is not written yet");
        }
        rt::sleep(ASK_PAUSE).await;
    }
}

pub fn first_commit(records: &[Record], epoch: ImageEpoch) -> Commit {
    let mut bytes = Vec::new();
    record::encode_all(records, &mut bytes);
    Commit {
        base: 0,
        epoch: epoch.0,
        records: bytes.into(),
    }
}

/// In which nothing has happened.
pub fn new_cluster(id: &str) -> Vec<Record> {
    vec![Record::ClusterId(record::ClusterId { id: id.to_owned() })]
}

/// This directory's number in the quorum: made at random the first time.
pub fn voter_id(dir: &Path) -> Result<u64, StartError> {
    let path = dir.join(VOTER);
    if let Some(mut payload) = read_sealed(&path, Kind::Voter)? {
        // The process that made it may have ended before that was durable.
        let synced = dir.parent().map_or(Ok(()), blocking::sync_dir);
        synced.map_err(|cause| StartError::Io {
            path: path.clone(),
            cause,
        })?;
        return payload.u64().map_err(|cause| StartError::Io { path, cause });
    }
    let id = rt::random_u64().max(ANYONE + 1);
    set_voter_id(dir, id).map(|()| id)
}

pub fn set_voter_id(dir: &Path, id: u64) -> Result<(), StartError> {
    let path = dir.join(VOTER);
    let bytes = frame::seal(Kind::Voter, 0, |out| put_u64(out, id));
    // With the directory's name: once others know the number, it must not be lost.
    let written = blocking::create_dir_all(dir)
        .and_then(|()| blocking::write_file_atomic(&path, &bytes))
        .and_then(|()| dir.parent().map_or(Ok(()), blocking::sync_dir));
    written.map_err(|cause| StartError::Io { path, cause })
}

/// Answers the others for as long as it asks.
async fn ask(me: Arc<Identity>, quorum: &QuorumConfig, dir: &Path) -> anyhow::Result<Formed> {
    let configured = voters(quorum);
    let asked = configured.iter().cloned().chain(servers(quorum));
    let asked: Vec<Voter> = asked.filter(|voter| voter.node != me.node).collect();
    let place = match quorum.is_dynamic {
        true => Place::Dynamic,
        false => Place::Named {
            is_first: !me.is_observer && asked.iter().all(|voter| voter.node > me.node),
        },
    };
    let others = async {
        let formed = ask_others(me.clone(), place, &asked).await?;
        if formed.begins && quorum.is_dynamic {
            initial::note_alone(dir, me.voter, itself(quorum, me.node)?)?;
        }
        anyhow::Ok(formed)
    };
    let Some(spec) = &quorum.listener else {
        return others.await;
    };
    let listener = listen(spec)?;
    let desk = Rc::new(Desk::new(me.clone(), configured, None));
    let answers = async {
        desk.serve(listener).await;
        unreachable!("the desk serves without end")
    };
    or(others, answers).await
}

/// How a node comes to be one of its quorum.
#[derive(Clone, Copy)]
enum Place {
    /// Every node's configuration names all. `is_first`: it falls to this one to begin a cluster where there is none.
    Named {
        is_first: bool,
    },
    Dynamic,
}

async fn ask_others(me: Arc<Identity>, place: Place, others: &[Voter]) -> anyhow::Result<Formed> {
    for round in 0_u64.. {
        let mut heard = Vec::new();
        for voter in others {
            match Link::ask_identity(me.clone(), voter.clone()).await {
                Ok(theirs) => heard.push(theirs),
                Err(error) if round % ROUNDS_PER_REMARK == ROUNDS_PER_REMARK / 10 => note_missing(&me, voter, &error),
                Err(_) => {}
            }
        }
        let heard_all = heard.len() == others.len();
        let formed = match place {
            Place::Named { is_first } => concluded(&me, is_first, heard_all, &heard),
            Place::Dynamic => found(&me, heard_all, &heard, || is_only_itself(others))?,
        };
        if let Some(formed) = formed {
            return Ok(formed);
        }
        if matches!(place, Place::Dynamic) && !me.has_metadata && round % ROUNDS_PER_REMARK == ROUNDS_PER_REMARK / 10 {
            tracing::warn!(
                "waiting for a quorum: no server of controller.quorum.bootstrap.servers has told of one, and they are not this node \
                 alone; if there is none yet, stop one node, and `kafka-storage.sh format --standalone` makes it begin it"
            );
        }
        rt::sleep(ASK_PAUSE).await;
    }
    unreachable!("the rounds have no end")
}

fn note_missing(me: &Identity, voter: &Voter, error: &io::Error) {
    if me.is_observer {
        tracing::warn!(node = %voter, %error, "waiting for a controller: this broker does not know its cluster yet");
        return;
    }
    if !voter.is_named() {
        tracing::warn!(server = %voter, %error, "waiting for a controller that knows the quorum: this one does not yet");
        return;
    }
    tracing::warn!(node = %voter, %error, "waiting for the other nodes of the quorum: this one has no metadata yet");
}

/// What the others' words come to; `None`: not yet known.
fn concluded(me: &Identity, is_first: bool, heard_all: bool, heard: &[Identity]) -> Option<Formed> {
    let of_others = || heard.iter().find_map(|theirs| theirs.cluster.clone());
    let cluster = me.cluster.clone().or_else(of_others);
    let exists = heard.iter().any(|theirs| theirs.has_metadata);
    let formed = |cluster_id, begins| Formed {
        cluster_id,
        begins,
        incarnation: me.incarnation,
    };
    if !is_first || exists {
        return cluster.map(|cluster_id| formed(cluster_id, false));
    }
    heard_all.then(|| formed(cluster.unwrap_or_else(|| TopicId(random_id()).to_string()), true))
}

/// Whether there is but one server, whose name can lead to nobody else: another node may be behind it, and not have answered.
fn is_only_itself(servers: &[Voter]) -> bool {
    match servers {
        [] => true,
        [only] => rt::is_only_own_host(&only.host),
        _ => false,
    }
}

/// The same, where there are only servers: this node itself may be among them. A node alone takes its metadata along if it
/// is. `is_only_itself`: asked last, as it may take its time.
fn found(
    me: &Identity,
    heard_all: bool,
    heard: &[Identity],
    is_only_itself: impl FnOnce() -> bool,
) -> anyhow::Result<Option<Formed>> {
    let (itself, others): (Vec<&Identity>, Vec<&Identity>) =
        heard.iter().partition(|theirs| theirs.incarnation == me.incarnation);
    let there = others.iter().find(|theirs| theirs.has_metadata);
    if let Some(there) = there.filter(|_| me.has_metadata) {
        anyhow::bail!(
            "node {} has the metadata of this node's cluster, and this one has metadata of its own, which it would lose: give it \
             empty log directories, and add it to that one's quorum; or, to begin a quorum with what this one has, name only \
             itself in controller.quorum.bootstrap.servers",
            there.node.0
        );
    }
    // Nobody else is named, or it has answered itself.
    let names_itself = !itself.is_empty() || (heard_all && heard.is_empty());
    ensure!(
        !me.has_metadata || !heard_all || names_itself,
        "this node has metadata of its own, and controller.quorum.bootstrap.servers does not name it: name it there, to begin a \
         quorum with them"
    );
    let cluster = me
        .cluster
        .clone()
        .or_else(|| others.iter().find_map(|theirs| theirs.cluster.clone()));
    let formed = |cluster_id, begins| Formed {
        cluster_id,
        begins,
        incarnation: me.incarnation,
    };
    if names_itself && (me.has_metadata || (heard_all && others.is_empty() && is_only_itself())) {
        return Ok(Some(formed(
            cluster.unwrap_or_else(|| TopicId(random_id()).to_string()),
            true,
        )));
    }
    Ok(cluster
        .filter(|_| !others.is_empty() && !me.has_metadata)
        .map(|cluster_id| formed(cluster_id, false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: i32, cluster: Option<&str>, has_metadata: bool) -> Identity {
        Identity {
            cluster: cluster.map(str::to_owned),
            has_metadata,
            ..Identity::new(BrokerId(id), id as u64, [1; 16])
        }
    }

    fn other(id: i32, cluster: Option<&str>, has_metadata: bool) -> Identity {
        Identity {
            incarnation: [id as u8; 16],
            ..node(id, cluster, has_metadata)
        }
    }

    /// Whoever finds only itself begins; whoever finds others is of their cluster; whoever finds nobody waits.
    #[test]
    fn a_node_among_servers_begins_only_if_there_is_no_other() {
        let me = node(1, None, false);
        let found = |me: &Identity, heard_all, heard: &[Identity]| super::found(me, heard_all, heard, || true).unwrap();
        let begun = found(&me, true, std::slice::from_ref(&me)).unwrap();
        assert!(begun.begins && begun.cluster_id.len() == 22, "{begun:?}");
        assert_eq!(
            found(&node(1, Some("c"), false), true, &[node(1, Some("c"), false)]),
            formed("c", true)
        );
        assert_eq!(
            found(&node(1, Some("c"), false), true, &[]),
            formed("c", true),
            "its file names it only"
        );
        assert_eq!(found(&me, false, std::slice::from_ref(&me)), None, "one is missing");
        assert_eq!(
            found(&me, true, &[me.clone(), other(2, None, false)]),
            None,
            "new as well"
        );
        assert_eq!(
            found(&me, false, &[me.clone(), other(2, Some("c"), true)]),
            formed("c", false)
        );
        assert_eq!(found(&node(1, Some("c"), false), false, &[]), None);
        let uncertain = super::found(&me, true, std::slice::from_ref(&me), || false).unwrap();
        assert_eq!(uncertain, None, "others may be behind its name");
    }

    #[test]
    fn only_one_server_of_this_machine_is_certainly_itself() {
        let at = |host| Voter::at(host, 9093);
        assert!(is_only_itself(&[]) && is_only_itself(&[at("127.0.0.1")]) && is_only_itself(&[at("localhost")]));
        assert!(!is_only_itself(&[at("127.0.0.1"), at("localhost")]));
        assert!(
            !is_only_itself(&[at("203.0.113.1")]),
            "an address for documentation is nobody's"
        );
        assert!(!is_only_itself(&[at("no such host")]));
    }

    /// A start that failed left an empty log, or none: the next one goes on with what it had decided.
    #[test]
    fn what_a_failed_start_left_is_no_metadata() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("metadata");
        let log = LogStore::open(&dir).unwrap();
        assert!(!has_log(&dir).unwrap());
        let look = |known: Option<&str>| match look(BrokerId(1), &dynamic(), &dir, known.map(str::to_owned)).unwrap() {
            Found::Formed(Formed { cluster_id, begins, .. }) => Some((cluster_id, begins)),
            Found::New(_) => None,
        };
        assert_eq!(
            look(Some("c")),
            Some(("c".to_owned(), false)),
            "it may have lost its metadata"
        );
        initial::note_alone(&dir, 7, Voter::at("h", 9093)).unwrap();
        assert_eq!(look(Some("c")), Some(("c".to_owned(), true)));
        assert_eq!(look(None), None, "it asks again");
        drop(log);
        blocking::write_file_atomic(&dir.join("quorum-vote"), &[]).unwrap();
        assert_eq!(look(Some("c")), Some(("c".to_owned(), false)));
    }

    fn dynamic() -> QuorumConfig {
        QuorumConfig {
            role: crate::config::Role::Both,
            is_dynamic: true,
            voters: Vec::new(),
            bootstrap: vec![("h".to_owned(), 9093)],
            listener_name: "CONTROLLER".to_owned(),
            listener: None,
            advertised: None,
            election_timeout_ms: 1_000,
            request_timeout_ms: 2_000,
        }
    }

    /// What a node alone has begins a quorum, and nothing else becomes of it.
    #[test]
    fn a_node_alone_begins_with_what_it_has_or_not_at_all() {
        let me = node(1, Some("c"), true);
        let found = |heard_all, heard: &[Identity]| super::found(&me, heard_all, heard, || false);
        assert_eq!(found(false, std::slice::from_ref(&me)).unwrap(), formed("c", true));
        assert_eq!(found(false, &[]).unwrap(), None);
        assert_eq!(
            found(false, &[other(2, Some("c"), false)]).unwrap(),
            None,
            "itself may be missing"
        );
        let refused = found(false, &[me.clone(), other(2, Some("c"), true)]).unwrap_err();
        assert!(refused.to_string().contains("node 2 has the metadata"), "{refused}");
        let refused = found(true, &[other(2, Some("c"), false)]).unwrap_err();
        assert!(refused.to_string().contains("does not name it"), "{refused}");
    }

    fn formed(cluster_id: &str, begins: bool) -> Option<Formed> {
        Some(Formed {
            cluster_id: cluster_id.to_owned(),
            begins,
            incarnation: [1; 16],
        })
    }

    /// The first node of a new cluster begins it, but only once it has heard from all others that there is none.
    #[test]
    fn the_first_node_begins_once_all_are_new() {
        let others = [node(2, None, false), node(3, Some("c"), false)];
        assert_eq!(concluded(&node(1, None, false), true, false, &others[..1]), None);
        assert_eq!(concluded(&node(1, None, false), true, true, &others), formed("c", true));
        let new = concluded(&node(1, None, false), true, true, &others[..1]).unwrap();
        assert!(new.begins && new.cluster_id.len() == 22, "{new:?}");
    }

    /// One that has lost its disk finds the cluster, and does not begin another.
    #[test]
    fn a_first_node_without_metadata_does_not_begin_a_second_cluster() {
        let others = [node(2, Some("c"), true)];
        assert_eq!(
            concluded(&node(1, None, false), true, false, &others),
            formed("c", false)
        );
    }

    /// The others wait until one knows the cluster.
    #[test]
    fn the_others_take_the_cluster_of_whoever_knows_it() {
        assert_eq!(
            concluded(&node(2, None, false), false, true, &[node(1, None, false)]),
            None
        );
        assert_eq!(
            concluded(&node(2, None, false), false, false, &[node(1, Some("c"), false)]),
            formed("c", false)
        );
        assert_eq!(
            concluded(&node(2, Some("c"), false), false, false, &[]),
            formed("c", false)
        );
    }
}
