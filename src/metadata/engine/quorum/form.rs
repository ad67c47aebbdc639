//! Before a node of a quorum can open its log directories: which cluster it belongs to, and whether it is the one that
//! begins it. A node that has metadata knows; one that has none asks the others, and answers them meanwhile.
//!
//! Invariant: a node without metadata begins a cluster only if every other configured node has said that it has none
//! either. A node that has lost its disk can so never begin a second cluster beside the first. A broker only never begins
//! one, and nobody waits for it.

use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_lite::future::or;

use super::super::frame::{self, Kind};
use super::super::{Embedded, StartError};
use super::codec::put_u64;
use super::link::Link;
use super::log::{LogStore, read_sealed};
use super::message::{ANYONE, Identity};
use super::serve::Desk;
use super::types::Voter;
use super::{listen, servers, voters};
use crate::config::QuorumConfig;
use crate::metadata::thread::random_id;
use crate::model::{BrokerId, TopicId};
use crate::rt::{self, blocking};

const VOTER: &str = "quorum-voter";
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
    let quorum = quorum.clone();
    let (tx, rx) = std::sync::mpsc::channel();
    let thread = rt::run_control("corelane-form", move || async move {
        drop(tx.send(ask(Arc::new(me), &quorum).await));
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
        Found::New(me) => ask(Arc::new(me), quorum).await,
    }
}

fn look(node: BrokerId, quorum: &QuorumConfig, dir: &Path, known: Option<String>) -> anyhow::Result<Found> {
    let unreadable = || format!("read the directory {}", dir.display());
    let has_single = !Embedded::is_new(dir).with_context(unreadable)?;
    let has_any = LogStore::exists(dir).with_context(unreadable)? || has_single;
    let incarnation = random_id();
    if quorum.is_observer() {
        return observe(node, dir, has_any, known, incarnation);
    }
    if has_any {
        let cluster_id = known.with_context(|| {
            format!(
                "there is metadata in {}, but no cluster.id in the log directories' meta.properties",
                dir.display()
            )
        })?;
        return Ok(Found::Formed(Formed {
            cluster_id,
            begins: has_single,
            incarnation,
        }));
    }
    Ok(Found::New(Identity {
        cluster: known,
        node,
        voter: voter_id(dir)?,
        incarnation,
        has_metadata: false,
        is_observer: false,
    }))
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
            cluster: None,
            node,
            voter: ANYONE,
            incarnation,
            has_metadata: false,
            is_observer: true,
        }),
    })
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
    let bytes = frame::seal(Kind::Voter, 0, |out| put_u64(out, id));
    // With the directory's name: once others know the number, it must not be lost.
    let written = blocking::create_dir_all(dir)
        .and_then(|()| blocking::write_file_atomic(&path, &bytes))
        .and_then(|()| dir.parent().map_or(Ok(()), blocking::sync_dir));
    written.map(|()| id).map_err(|cause| StartError::Io { path, cause })
}

/// Answers the others for as long as it asks.
async fn ask(me: Arc<Identity>, quorum: &QuorumConfig) -> anyhow::Result<Formed> {
    let configured = voters(quorum);
    let asked = configured.iter().cloned().chain(servers(quorum));
    let asked: Vec<Voter> = asked.filter(|voter| voter.node != me.node).collect();
    let is_first = !me.is_observer && asked.iter().all(|voter| voter.node > me.node);
    let others = ask_others(me.clone(), is_first, &asked);
    let Some(spec) = &quorum.listener else {
        return Ok(others.await);
    };
    let listener = listen(spec)?;
    let desk = Rc::new(Desk::new(me, configured, None));
    let answers = async {
        desk.serve(listener).await;
        unreachable!("the desk serves without end")
    };
    Ok(or(others, answers).await)
}

/// `is_first`: it falls to this node to begin a cluster where there is none.
async fn ask_others(me: Arc<Identity>, is_first: bool, others: &[Voter]) -> Formed {
    for round in 0_u64.. {
        let mut heard = Vec::new();
        for voter in others {
            match Link::ask_identity(me.clone(), voter.clone()).await {
                Ok(theirs) => heard.push(theirs),
                Err(error) if round % ROUNDS_PER_REMARK == ROUNDS_PER_REMARK / 10 => note_missing(&me, voter, &error),
                Err(_) => {}
            }
        }
        if let Some(formed) = concluded(&me, is_first, heard.len() == others.len(), &heard) {
            return formed;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: i32, cluster: Option<&str>, has_metadata: bool) -> Identity {
        Identity {
            cluster: cluster.map(str::to_owned),
            node: BrokerId(id),
            voter: id as u64,
            incarnation: [1; 16],
            has_metadata,
            is_observer: false,
        }
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
