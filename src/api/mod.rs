//! The Kafka APIs: one file each, and the one list from which ApiVersions, dispatch, labels and the README's table derive.
//!
//! A request is decoded and validated on the core of its connection; what concerns partitions is asked of their owners through
//! [`crate::shard::Router`], what concerns the cluster is read from an image or submitted to the control thread. Nothing here
//! touches storage, and Kafka's error codes are chosen here.
//!
//! A new API is a file with its `API` constant and a row in [`ALL`].

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod add_raft_voter;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_share_group_offsets;
mod api_versions;
mod broker_loggers;
mod cluster_view;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod context;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_share_group_offsets;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_share_group_offsets;
mod describe_topic_partitions;
mod describe_transactions;
mod elect_leaders;
mod end_txn;
mod features;
mod fetch;
mod fetch_session;
mod find_coordinator;
mod groups;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leader_hints;
mod leave_group;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
mod log_ends;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod remove_raft_voter;
mod shard_nodes;
mod share_acknowledge;
mod share_batches;
mod share_fetch;
mod share_group_describe;
mod share_group_heartbeat;
mod share_offsets;
mod share_session;
mod share_state;
mod shares;
mod sync_group;
#[cfg(test)]
pub mod testing;
mod timing;
mod topic_creation;
mod topic_traffic;
mod transactions;
mod txn_offset_commit;
mod unregister_broker;
mod update_features;
mod verification;
mod write_txn_markers;

use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{self, Poll};

use bytes::Bytes;

use crate::metadata::CommandError;
use crate::metrics::Metric;
use crate::model::ErrorCode;
use crate::wire::messages::{Decode, Encode, MessageError, body_limit};
use crate::wire::{
    ApiKey, DecodeError, HeaderError, RequestHeader, ResponseBody, is_flexible, is_response_header_flexible,
};

use timing::Timing;

pub use context::{Context, Services};
pub use share_session::ShareSessions;

/// Every API that this broker serves, by key.
pub static ALL: &[&Api] = &[
    &produce::API,
    &fetch::API,
    &list_offsets::API,
    &metadata::API,
    &offset_commit::API,
    &offset_fetch::API,
    &find_coordinator::API,
    &join_group::API,
    &heartbeat::API,
    &leave_group::API,
    &sync_group::API,
    &describe_groups::API,
    &list_groups::API,
    &api_versions::API,
    &create_topics::API,
    &delete_topics::API,
    &delete_records::API,
    &init_producer_id::API,
    &offset_for_leader_epoch::API,
    &add_partitions_to_txn::API,
    &add_offsets_to_txn::API,
    &end_txn::API,
    &write_txn_markers::API,
    &txn_offset_commit::API,
    &describe_configs::API,
    &alter_configs::API,
    &describe_log_dirs::API,
    &create_partitions::API,
    &delete_groups::API,
    &elect_leaders::API,
    &incremental_alter_configs::API,
    &alter_partition_reassignments::API,
    &list_partition_reassignments::API,
    &offset_delete::API,
    &describe_quorum::API,
    &update_features::API,
    &describe_cluster::API,
    &describe_producers::API,
    &unregister_broker::API,
    &describe_transactions::API,
    &list_transactions::API,
    &consumer_group_heartbeat::API,
    &consumer_group_describe::API,
    &describe_topic_partitions::API,
    &share_group_heartbeat::API,
    &share_group_describe::API,
    &share_fetch::API,
    &share_acknowledge::API,
    &add_raft_voter::API,
    &remove_raft_voter::API,
    &share_state::initialize::API,
    &share_state::read::API,
    &share_state::write::API,
    &share_state::delete::API,
    &share_state::read_summary::API,
    &describe_share_group_offsets::API,
    &alter_share_group_offsets::API,
    &delete_share_group_offsets::API,
];

/// One row of the list.
pub struct Api {
    pub key: ApiKey,
    pub name: &'static str,
    /// What ApiVersions advertises, and what is served.
    pub versions: RangeInclusive<i16>,
    /// Whether requests of this API may be in flight together on one connection. All others wait for those before them and
    /// hold back those behind them, as if Kafka had muted the connection.
    pub pipelined: bool,
    /// Does in the call itself whatever must happen in request order; the future gives the answer.
    pub handle: fn(Rc<Context>, Request) -> Handling,
}

/// One allocation per request buys a list of handlers of different types; a request brings many batches.
pub type Handling = Pin<Box<dyn Future<Output = Result<Answer, Refusal>>>>;

/// A request whose key and version are served.
pub struct Request {
    pub header: RequestHeader,
    pub body: Bytes,
}

impl Request {
    pub fn version(&self) -> i16 {
        self.header.api_version
    }

    /// The generated message in the body. Bytes behind its last field are ignored, as Kafka does, but counted.
    pub fn decode<M: Decode>(self, cx: &Context) -> Result<M, Refusal> {
        let limit = body_limit(self.header.api_key);
        let (message, trailing) = M::decode_with_trailing(self.body, self.header.api_version, limit)?;
        cx.count_trailing(trailing);
        Ok(message)
    }
}

/// What a handler answers.
#[derive(Debug)]
pub enum Answer {
    Body(ResponseBody),
    /// Produce with acks=0.
    Silent,
}

impl Answer {
    /// A generated message as the body.
    pub fn message(message: &impl Encode, version: i16) -> Result<Answer, Refusal> {
        let bytes = message.encode(version).map_err(Refusal::Encode)?;
        Ok(Answer::Body(ResponseBody::one(bytes)))
    }
}

/// Why a connection is closed instead of answered.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("api {key} version {version} is not served")]
    NotServed { key: i16, version: i16 },
    #[error("{0}")]
    Header(#[from] HeaderError),
    #[error("{0}")]
    Body(#[from] DecodeError),
    #[error("{0}")]
    Message(#[from] MessageError),
    #[error("response cannot be encoded: {0}")]
    Encode(MessageError),
    #[error("produce with acks=0 failed")]
    SilentProduceFailed,
    #[error("a ZooKeeper client's hello: this port speaks Kafka's protocol")]
    ZookeepersHello,
}

/// A response's frame, ready to send, or nothing where the client expects none.
pub type Frame = Option<Vec<Bytes>>;

/// A refusal, and the API that it is about.
#[derive(Debug, thiserror::Error)]
#[error("{api}: {cause}")]
pub struct Refused {
    pub api: &'static str,
    pub cause: Refusal,
}

/// A request that has been started; gives its response's frame.
pub struct Pending {
    cx: Rc<Context>,
    handling: Handling,
    timing: Timing,
    api: &'static str,
    correlation_id: i32,
    flexible_header: bool,
}

impl Future for Pending {
    type Output = Result<Frame, Refused>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (router, handling) = (this.cx.router(), &mut this.handling);
        let answer = match this.timing.poll(router, || handling.as_mut().poll(cx)) {
            Poll::Ready(answer) => answer,
            Poll::Pending => return Poll::Pending,
        };
        this.timing.finish(&this.cx);
        let frame = |answer| match answer {
            Answer::Body(body) => Some(body.frame(this.correlation_id, this.flexible_header)),
            Answer::Silent => None,
        };
        Poll::Ready(answer.map(frame).map_err(|cause| Refused { api: this.api, cause }))
    }
}

/// Whether the request in `frame` may start while others of its connection are in flight.
pub fn is_pipelined(frame: &[u8]) -> bool {
    RequestHeader::peek(frame)
        .ok()
        .and_then(|(key, _, _)| find(key))
        .is_some_and(|api| api.pipelined)
}

/// Starts the request in `frame` (without its length). What must happen in request order has happened on return.
/// `Err`, here or from the future: the connection is to be closed.
pub fn dispatch(cx: &Rc<Context>, frame: Bytes) -> Result<Pending, Refused> {
    let unknown = |cause| Refused { api: "unknown", cause };
    let (key, version, correlation_id) = RequestHeader::peek(&frame).map_err(|error| unknown(error.into()))?;
    let bytes = frame.len();
    let pending = |api, handling, timing, flexible_header| Pending {
        cx: cx.clone(),
        handling,
        timing,
        api,
        correlation_id,
        flexible_header,
    };
    let Some(api) = served(key, version) else {
        return match key == ApiKey::API_VERSIONS {
            true => Ok(pending(
                api_versions::API.name,
                api_versions::unsupported_version(),
                Timing::begin(cx, key, None),
                false,
            )),
            false => Err(unknown(Refusal::NotServed { key: key.0, version })),
        };
    };
    let (header, body) = RequestHeader::parse(frame, is_flexible(key, version)).map_err(|error| Refused {
        api: api.name,
        cause: error.into(),
    })?;
    cx.connection.on_request(header.client_id.as_deref(), bytes as u64);
    let mut timing = Timing::begin(cx, key, header.client_id.clone());
    let request = Request { header, body };
    let handling = timing.poll(cx.router(), || (api.handle)(cx.clone(), request));
    Ok(pending(
        api.name,
        handling,
        timing,
        is_response_header_flexible(key, version),
    ))
}

/// Counts a refusal.
pub fn on_refused(cx: &Context, refused: &Refused) {
    if !matches!(refused.cause, Refusal::SilentProduceFailed) {
        cx.metrics().add(Metric::BadFrames, 1);
    }
}

/// The controller answered a command with another command's reply.
fn wrong_reply() -> CommandError {
    CommandError {
        code: ErrorCode::UnknownServerError,
        message: "the controller gave no answer".to_string(),
    }
}

/// An API's name, for logs and labels.
pub fn name_of(key: ApiKey) -> &'static str {
    find(key).map_or("unknown", |api| api.name)
}

fn find(key: ApiKey) -> Option<&'static Api> {
    ALL.iter().find(|api| api.key == key).copied()
}

//= protocol: any other unsupported (key, version) closes the connection
fn served(key: ApiKey, version: i16) -> Option<&'static Api> {
    find(key).filter(|api| api.versions.contains(&version))
}

#[cfg(test)]
mod tests;
