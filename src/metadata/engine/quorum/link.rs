//! The asking end of a connection between two nodes: one request at a time, made anew after anything that went wrong.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkFactory, RaftNetworkV2};

use super::message::{self, ANYONE, Hello, Identity, Kind, MESSAGE_BYTES_MAX};
use super::presence::Presence;
use super::rpc;
use super::types::{Snapshot, Types, Vote, Voter};
use crate::rt::{self, ControlStream};

/// For a connection to be made, and for both sides to say who they are.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
/// For a snapshot to be taken over.
const SNAPSHOT_PATIENCE: Duration = Duration::from_secs(60);

pub struct Link {
    me: Arc<Identity>,
    peer: Voter,
    /// The voter that is meant, or [`ANYONE`].
    to: u64,
    stream: Option<ControlStream>,
    correlation: u64,
}

impl Link {
    pub fn new(me: Arc<Identity>, peer: Voter, to: u64) -> Link {
        Link {
            me,
            peer,
            to,
            stream: None,
            correlation: 0,
        }
    }

    /// Who answers at the peer's address.
    pub async fn ask_identity(me: Arc<Identity>, peer: Voter) -> io::Result<Identity> {
        Link::new(me, peer, ANYONE)
            .connect()
            .await
            .map(|(_, identity)| identity)
    }

    /// Makes the connection, if there is none yet.
    pub async fn ensure_connected(&mut self) -> io::Result<()> {
        if self.stream.is_none() {
            self.stream = Some(self.connect().await?.0);
        }
        Ok(())
    }

    /// Whether there is a connection that the other end has not closed, as far as is known.
    pub fn is_open(&self) -> bool {
        self.stream.as_ref().is_some_and(ControlStream::is_open)
    }

    /// The answer's body. An error may mean that the request was carried out.
    pub async fn call(&mut self, kind: Kind, within: Duration, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<Bytes> {
        self.ensure_connected().await?;
        // Taken out: if the call fails or is dropped, an answer may still come, and nobody must take it for a later one's.
        let Some(stream) = self.stream.take() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        self.correlation += 1;
        let body = exchange(&stream, kind, self.correlation, within, write).await?;
        self.stream = Some(stream);
        Ok(body)
    }

    async fn connect(&self) -> io::Result<(ControlStream, Identity)> {
        let Voter { host, port, .. } = &self.peer;
        let stream = ControlStream::connect(host, *port, CONNECT_PATIENCE).await?;
        let hello = Hello {
            from: self.me.as_ref().clone(),
            to: self.to,
        };
        let body = exchange(&stream, Kind::Hello, 0, CONNECT_PATIENCE, |out| hello.put(out)).await?;
        let identity = Identity::read(&mut super::codec::Reader::new(body))?;
        self.check(&identity)?;
        Ok((stream, identity))
    }

    fn check(&self, theirs: &Identity) -> io::Result<()> {
        let peer = &self.peer;
        if peer.is_named() && theirs.node != peer.node {
            let message = format!("at {peer} answers node {}", theirs.node.0);
            return Err(io::Error::other(message));
        }
        match (&self.me.cluster, &theirs.cluster) {
            (Some(ours), Some(other)) if ours != other => Err(io::Error::other(format!(
                "node {peer} belongs to cluster {other}, and this one to {ours}"
            ))),
            _ => Ok(()),
        }
    }
}

async fn exchange(
    stream: &ControlStream,
    kind: Kind,
    correlation: u64,
    within: Duration,
    write: impl FnOnce(&mut Vec<u8>),
) -> io::Result<Bytes> {
    message::send(stream, kind, correlation, within, write).await?;
    let answer = message::receive(stream, MESSAGE_BYTES_MAX, within).await?;
    match answer.kind {
        Kind::Refusal => Err(io::Error::other(String::from_utf8_lossy(&answer.body).into_owned())),
        same if same == kind && answer.correlation == correlation => Ok(answer.body),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the answer to another request",
        )),
    }
}

/// Makes the consensus library's connections.
pub struct Links {
    pub me: Arc<Identity>,
    /// Where the configuration finds the nodes; it counts more than what the quorum has agreed on once.
    pub configured: Arc<[Voter]>,
    pub presence: Arc<Presence>,
    pub request_timeout: Duration,
}

/// One of them.
pub struct RaftLink {
    link: Link,
    presence: Arc<Presence>,
    request_timeout: Duration,
}

/// Where the configuration finds the node; else where the quorum does.
pub fn address(configured: &[Voter], known: &Voter) -> Voter {
    let configured = configured.iter().find(|voter| voter.node == known.node);
    configured.unwrap_or(known).clone()
}

impl RaftNetworkFactory<Types> for Links {
    type Network = RaftLink;

    async fn new_client(&mut self, target: u64, node: &Voter) -> RaftLink {
        RaftLink {
            link: Link::new(self.me.clone(), address(&self.configured, node), target),
            presence: self.presence.clone(),
            request_timeout: self.request_timeout,
        }
    }
}

impl RaftNetworkV2<Types> for RaftLink {
    type SnapshotData = Bytes;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        // A heartbeat is worth nothing once the next is due; entries may take their time to be synced.
        let within = match request.entries.is_empty() {
            true => option.hard_ttl(),
            false => option.hard_ttl().max(self.request_timeout),
        };
        let called = self
            .call(Kind::Append, within, |out| rpc::put_append(out, &request))
            .await;
        called.and_then(rpc::appended).map_err(unreachable)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_for_vote(Kind::Vote, request, option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_for_vote(Kind::PreVote, request, option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let call = async {
            let write = |out: &mut Vec<u8>| rpc::put_snapshot(out, &vote, &snapshot);
            let called = self.call(Kind::Snapshot, SNAPSHOT_PATIENCE, write).await;
            called
                .and_then(rpc::installed)
                .map_err(|error| StreamingError::from(unreachable(error)))
        };
        let cancelled = async { Err(StreamingError::Closed(cancel.await)) };
        futures_lite::future::or(call, cancelled).await
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let write = |out: &mut Vec<u8>| rpc::put_transfer(out, &request);
        let called = self.call(Kind::TransferLeader, option.hard_ttl(), write).await;
        called.map(|_| Ok(())).map_err(unreachable)
    }
}

impl RaftLink {
    async fn call(&mut self, kind: Kind, within: Duration, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<Bytes> {
        let called = self.link.call(kind, within, write).await;
        called.inspect_err(|error| self.presence.note_failure(self.link.peer.node, error, rt::now()))
    }

    async fn ask_for_vote(
        &mut self,
        kind: Kind,
        request: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let write = |out: &mut Vec<u8>| rpc::put_vote_request(out, &request);
        let called = self.call(kind, option.hard_ttl(), write).await;
        called.and_then(rpc::voted).map_err(unreachable)
    }
}

fn unreachable(error: io::Error) -> RPCError<Types> {
    RPCError::Unreachable(Unreachable::new(&error))
}
