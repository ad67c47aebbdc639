//! The answering end: connections from the other nodes of the quorum, one request of each at a time. Whoever is none of
//! them is told who this node is, and no more: it may wait to be added. Brokers that do not vote ask here as well, for the
//! controller and for what was committed.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::async_runtime::watch::WatchReceiver;

use super::codec::put_u64;
use super::feed;
use super::follow::Position;
use super::message::{self, ANYONE, Hello, Identity, Kind, MESSAGE_BYTES_MAX, STRANGER_BYTES_MAX};
use super::presence::{Presence, Present};
use super::types::{Voter, directory_of};
use super::{Raft, rpc};
use crate::metadata::command::{Command, answer_to_bytes};
use crate::metadata::handle::Handle;
use crate::model::{BrokerId, DirId};
use crate::rt::{self, ControlListener, ControlStream};

/// Connections at a time: a handful from each other node.
const CONNECTIONS_MAX: usize = 4096;
/// Of those, of guests, and of one of them: the others must find room.
const GUESTS_MAX: usize = 3072;
const GUESTS_OF_ONE_MAX: usize = 64;
/// A request of a broker that does not vote: it only passes on what clients have asked for.
const OBSERVER_BYTES_MAX: usize = 128 << 20;
/// For the first message.
const HELLO_PATIENCE: Duration = Duration::from_secs(5);
/// For the next request: heartbeats come far oftener, and what is kept for commands is made anew when it is needed.
const IDLE_PATIENCE: Duration = Duration::from_secs(120);
/// For an answer to be taken.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the answering end knows.
pub struct Desk {
    pub me: Arc<Identity>,
    pub configured: Arc<[Voter]>,
    /// `None`: before the node has joined a quorum.
    pub room: Option<Room>,
    connections: Cell<usize>,
    /// Connections of each node that is not in the quorum, as far as is known here, while it has some.
    guests: RefCell<BTreeMap<BrokerId, usize>>,
    refused: Cell<u64>,
}

/// Where requests go.
pub struct Room {
    pub raft: Raft,
    pub controller: Handle,
    pub presence: Arc<Presence>,
    pub followed: feed::Server,
}

impl Desk {
    pub fn new(me: Arc<Identity>, configured: Arc<[Voter]>, room: Option<Room>) -> Desk {
        Desk {
            me,
            configured,
            room,
            connections: Cell::new(0),
            guests: RefCell::default(),
            refused: Cell::new(0),
        }
    }

    /// For as long as the control thread lives.
    pub async fn serve(self: Rc<Self>, listener: ControlListener) {
        loop {
            match listener.accept().await {
                Ok(_) if self.connections.get() >= CONNECTIONS_MAX => {
                    tracing::warn!(
                        max = CONNECTIONS_MAX,
                        "too many connections to the controller listener: closed one"
                    );
                }
                Ok(stream) => rt::spawn(self.clone().keep(stream)),
                Err(error) => {
                    tracing::debug!(%error, "connection to the controller listener not accepted");
                    rt::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn keep(self: Rc<Self>, stream: ControlStream) {
        self.connections.set(self.connections.get() + 1);
        match self.welcome(&stream).await {
            Err(error) => self.note_stranger(&stream, &error),
            Ok(hello) => {
                let error = match self.is_guest(&hello.from) {
                    true => self.answer_guest(&stream, &hello).await,
                    false => self.answer_voter(&stream, &hello).await,
                };
                // That the other side closes, or is gone, is no event.
                tracing::debug!(node = hello.from.node.0, %error, "connection of the quorum ended");
            }
        }
        self.connections.set(self.connections.get() - 1);
    }

    async fn answer_voter(&self, stream: &ControlStream, hello: &Hello) -> io::Error {
        let _present = self.enter(&hello.from);
        loop {
            if let Err(error) = self.answer_next(stream, hello, MESSAGE_BYTES_MAX).await {
                return error;
            }
        }
    }

    fn enter(&self, from: &Identity) -> Option<Present> {
        let room = self.room.as_ref()?;
        Some(room.presence.enter(from.node, from.incarnation))
    }

    async fn answer_guest(&self, stream: &ControlStream, hello: &Hello) -> io::Error {
        let node = hello.from.node;
        let bytes_max = match (&hello.from.cluster, hello.from.is_observer) {
            (Some(_), true) => OBSERVER_BYTES_MAX,
            // A leader that this node does not know yet: it knows this one.
            (Some(_), false) if hello.to == self.me.voter => MESSAGE_BYTES_MAX,
            _ => STRANGER_BYTES_MAX,
        };
        *self.guests.borrow_mut().entry(node).or_default() += 1;
        let mut present = None;
        let error = loop {
            // One that leads was not known here before this node was added.
            if present.is_none() && !self.is_guest(&hello.from) {
                present = self.enter(&hello.from);
            }
            if let Err(error) = self.answer_next(stream, hello, bytes_max).await {
                break error;
            }
        };
        let mut guests = self.guests.borrow_mut();
        let of_it = guests.get_mut(&node).map_or(0, |count| {
            *count -= 1;
            *count
        });
        if of_it == 0 {
            guests.remove(&node);
        }
        error
    }

    fn is_guest(&self, from: &Identity) -> bool {
        let is_configured = self.configured.iter().any(|known| known.node == from.node);
        from.is_observer || (!is_configured && self.known_voter(from.node.0).is_none())
    }

    /// Who it is, and whom he wants to speak to.
    async fn welcome(&self, stream: &ControlStream) -> io::Result<Hello> {
        let first = message::receive(stream, STRANGER_BYTES_MAX, HELLO_PATIENCE).await?;
        if first.kind != Kind::Hello {
            return Err(io::Error::other("the first message says not who sends it"));
        }
        let hello = Hello::read(first.body)?;
        if let Err(why) = self.check(&hello) {
            refuse(stream, first.correlation, &why).await?;
            return Err(io::Error::other(why));
        }
        let me = self.identity(&hello.from);
        message::send(stream, Kind::Hello, first.correlation, ANSWER_PATIENCE, |out| {
            me.put(out)
        })
        .await?;
        Ok(hello)
    }

    /// Who this node is by now: it may have joined since its start.
    fn identity(&self, asker: &Identity) -> Identity {
        let mut me = self.me.as_ref().clone();
        if let Some(room) = &self.room {
            let metrics = room.raft.metrics();
            let metrics = metrics.borrow_watched();
            me.has_metadata |= metrics.last_log_index.is_some() || metrics.last_applied.is_some();
            me.members = metrics.membership_config.nodes().map(|(id, _)| *id).collect();
            me.knows_asker = me.members.contains(&asker.voter);
        }
        me
    }

    /// Err: why he is not talked to.
    fn check(&self, hello: &Hello) -> Result<(), String> {
        let Identity {
            cluster, node, voter, ..
        } = &hello.from;
        let (me, node) = (&self.me, node.0);
        self.check_role(&hello.from)?;
        if let (Some(ours), Some(theirs)) = (&me.cluster, cluster)
            && ours != theirs
        {
            return Err(format!(
                "node {} belongs to cluster {ours}, and node {node} to {theirs}",
                me.node.0
            ));
        }
        if hello.to != ANYONE && hello.to != me.voter {
            return Err(format!(
                "node {} is not the voter {:016x} any more: it has another metadata directory, or has lost it",
                me.node.0, hello.to
            ));
        }
        match self.known_voter(node) {
            Some((_, directory)) if hello.from.is_observer => Err(format!(
                "node {node} is a broker only, and has a vote: `kafka-metadata-quorum.sh remove-controller --controller-id \
                 {node} --controller-directory-id {directory}` takes that from it"
            )),
            Some((known, directory)) if known != *voter => Err(format!(
                "node {node} is known to the quorum by another metadata directory: it has lost its metadata directory, and \
                 with it what it had promised; if that is gone, `kafka-metadata-quorum.sh remove-controller --controller-id \
                 {node} --controller-directory-id {directory}` lets this one in"
            )),
            _ => Ok(()),
        }
    }

    fn check_role(&self, from: &Identity) -> Result<(), String> {
        let (me, node) = (self.me.node.0, from.node.0);
        let is_configured = self.configured.iter().any(|known| known.node == from.node);
        match is_configured && from.is_observer {
            true => Err(format!(
                "node {node} is a broker only, and in controller.quorum.voters of node {me}"
            )),
            false if self.is_guest(from) => self.check_room(from.node),
            false => Ok(()),
        }
    }

    fn check_room(&self, guest: BrokerId) -> Result<(), String> {
        let guests = self.guests.borrow();
        let of_it = guests.get(&guest).copied().unwrap_or(0);
        match of_it >= GUESTS_OF_ONE_MAX || guests.values().sum::<usize>() >= GUESTS_MAX {
            true => Err(format!("node {} and others have enough connections to here", guest.0)),
            false => Ok(()),
        }
    }

    /// The number under which the quorum knows the node, and its directory.
    fn known_voter(&self, node: i32) -> Option<(u64, DirId)> {
        let metrics = self.room.as_ref()?.raft.metrics();
        let membership = metrics.borrow_watched().membership_config.clone();
        let mut nodes = membership.nodes();
        let known = nodes.find(|(_, voter)| voter.node.0 == node);
        known.map(|(id, voter)| (*id, directory_of(*id, voter)))
    }

    fn note_stranger(&self, stream: &ControlStream, error: &io::Error) {
        let refused = self.refused.get() + 1;
        self.refused.set(refused);
        if let Some(room) = &self.room {
            room.controller.cells().on_stranger();
        }
        // One that comes again and again is told of now and then.
        if refused.is_power_of_two() {
            tracing::warn!(peer = %stream.peer(), %error, refused, "refused a connection to the controller listener");
        }
    }

    async fn answer_next(&self, stream: &ControlStream, hello: &Hello, bytes_max: usize) -> io::Result<()> {
        let request = message::receive(stream, bytes_max, IDLE_PATIENCE).await?;
        let Some(room) = &self.room else {
            return refuse(stream, request.correlation, "this node is of no quorum yet").await;
        };
        if let Err(why) = self.check_request(request.kind, hello) {
            // Whoever asks for what is not his is not kept.
            refuse(stream, request.correlation, why).await?;
            return Err(io::Error::other(why));
        }
        match room.answer(request.kind, request.body, hello.from.node).await {
            Ok(body) => {
                let write = |out: &mut Vec<u8>| out.extend_from_slice(&body);
                message::send(stream, request.kind, request.correlation, ANSWER_PATIENCE, write).await
            }
            Err(error) => refuse(stream, request.correlation, &error.to_string()).await,
        }
    }

    fn check_request(&self, kind: Kind, hello: &Hello) -> Result<(), &'static str> {
        let from = &hello.from;
        match kind {
            Kind::Command | Kind::Follow if from.is_observer => match from.cluster {
                Some(_) => Ok(()),
                None => Err("the node does not know its cluster yet"),
            },
            // It was taken out, and learns nothing any more: it must not be taken for a broker that is up to date.
            Kind::Command if self.known_voter(from.node.0).is_none_or(|(id, _)| id != from.voter) => {
                Err("the node is not in the quorum: kafka-metadata-quorum.sh add-controller adds it")
            }
            Kind::Command => Ok(()),
            Kind::Follow => Err("a node that votes does not follow"),
            _ if from.is_observer || from.cluster.is_none() || hello.to != self.me.voter => {
                Err("this connection is not for the consensus")
            }
            _ => Ok(()),
        }
    }
}

impl Room {
    async fn answer(&self, kind: Kind, body: Bytes, from: BrokerId) -> io::Result<Vec<u8>> {
        let (raft, mut out) = (&self.raft, Vec::new());
        match kind {
            Kind::Append => {
                let response = raft.append_entries(rpc::append(body)?).await;
                rpc::put_appended(&mut out, &response.map_err(io::Error::other)?);
            }
            Kind::Vote => {
                let response = raft.vote(rpc::vote_request(body)?).await;
                rpc::put_voted(&mut out, &response.map_err(io::Error::other)?);
            }
            Kind::PreVote => {
                let response = raft.pre_vote(rpc::vote_request(body)?).await;
                rpc::put_voted(&mut out, &response.map_err(io::Error::other)?);
            }
            Kind::Snapshot => {
                let (vote, snapshot) = rpc::snapshot(body)?;
                let response = raft.install_full_snapshot(vote, snapshot).await;
                rpc::put_installed(&mut out, &response.map_err(io::Error::other)?);
            }
            Kind::TransferLeader => {
                let response = raft.handle_transfer_leader(rpc::transfer(body)?).await;
                response.map_err(io::Error::other)?.map_err(io::Error::other)?;
            }
            Kind::Command => self.command(&body, &mut out).await?,
            Kind::Follow => self.followed.follow(from, &Position::read(body)?).await?.put(&mut out),
            Kind::Hello | Kind::Refusal => return Err(io::Error::other("no request")),
        }
        Ok(out)
    }

    /// The epoch that the answer rests on, and the answer.
    async fn command(&self, body: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let command = Command::from_bytes(body).map_err(io::Error::other)?;
        let (answer, epoch) = self.controller.submit_here(command).await;
        put_u64(out, epoch.0);
        out.extend_from_slice(&answer_to_bytes(&answer));
        Ok(())
    }
}

async fn refuse(stream: &ControlStream, correlation: u64, why: &str) -> io::Result<()> {
    let write = |out: &mut Vec<u8>| out.extend_from_slice(why.as_bytes());
    message::send(stream, Kind::Refusal, correlation, ANSWER_PATIENCE, write).await
}
