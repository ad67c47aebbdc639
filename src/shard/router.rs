//! What a connection's task may ask of all shards: each call puts one message into its own shard's pump, which splits it
//! by owner, and joins the answers in the order of the items.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::connection::CallProblem;
use super::coordinator::{CoordinatorReply, CoordinatorRequest, Stamp};
use super::following::{CopyOutcomes, CutLog, Fetched, FollowChange};
use super::message::{Local, Request};
use super::post::Post;
use super::reply::{ReplyRx, ReplyTx, reply};
use super::share::{ShareAction, ShareAsk, ShareReply};
use super::throttle::Throttles;
use super::types::*;
use crate::group::{GroupReply, GroupRequest};
use crate::metadata::{Handle, Image};
use crate::metrics::{Cells, Spent};
use crate::model::{BrokerId, ErrorCode, PartitionId, ProducerIdentity, ShardPlace};
use crate::partition::Warrant;
use crate::record::{BatchHeader, ValidBatch};
use crate::rt::{now, wall_ms};
use crate::share::{StateReply, StateRequest};
use crate::txn::{TxnReply, TxnRequest};
use crate::wire::ApiKey;

/// A handle to all shards, on one shard. Cheap to clone; not Send.
#[derive(Clone)]
pub struct Router {
    post: Rc<Post>,
}

impl Router {
    pub(super) fn new(post: Rc<Post>) -> Router {
        Router { post }
    }

    /// How fast throttled replicas are copied: one for all shards.
    pub fn throttles(&self) -> &Throttles {
        self.post.throttles()
    }

    /// The newest image that was published to this shard.
    pub fn image(&self) -> Arc<Image> {
        self.post.image()
    }

    /// Of the shard that this handle is used on.
    pub fn place(&self) -> ShardPlace {
        self.post.place()
    }

    pub fn metadata(&self) -> &Handle {
        self.post.metadata()
    }

    /// This shard's.
    pub fn metrics(&self) -> &Cells {
        self.post.metrics()
    }

    /// Polls a request's future: the questions that it asks meanwhile add to `spent` where their time went.
    pub fn timed<T>(&self, spent: &mut Spent, poll: impl FnOnce() -> T) -> T {
        self.post.spent().set(*spent);
        let polled = poll();
        *spent = self.post.spent().get();
        polled
    }

    /// Asks another broker; gives the body of its answer.
    pub async fn call_broker(
        &self,
        broker: BrokerId,
        api: (ApiKey, i16),
        body: Vec<Bytes>,
    ) -> Result<Bytes, CallProblem> {
        self.post.peers().call(&self.image(), broker, api, body).await
    }

    /// Whether this broker may act on the leaderships that its image gives it: not while it has no lease of the controller,
    /// and so not before it has told of its start. What it led before it may have lost the end of by then.
    pub fn may_lead(&self) -> bool {
        self.metadata().may_lead(now())
    }

    /// Enqueues at once, in call order (before the future is polled); the outcomes come in the order of the items.
    pub fn append(
        &self,
        items: Vec<AppendItem>,
        acks: Acks,
        timeout: Duration,
    ) -> impl Future<Output = Vec<AppendOutcome>> + 'static {
        let count = items.len();
        let may_lead = self.may_lead();
        let answer = self.put(|reply| Request::Append {
            items,
            acks,
            timeout,
            may_lead,
            reply,
        });
        self.joined(answer, count, AppendOutcome::refused)
    }

    /// Ends transactions: one marker per item, through the ordinary way of an append. An item is answered once the high
    /// watermark covers its marker. //= protocol: behaviour 63
    pub fn write_markers(
        &self,
        items: &[MarkerItem],
        timeout: Duration,
    ) -> impl Future<Output = Vec<ErrorCode>> + 'static {
        let now_ms = wall_ms();
        let items = items.iter().map(|item| marker_append(item, now_ms)).collect();
        let outcomes = self.append(items, Acks::All, timeout);
        async move { outcomes.await.into_iter().map(|outcome| outcome.error).collect() }
    }

    /// The producers that partitions know of, with their open transactions.
    pub fn producers(&self, items: Vec<ProducersItem>) -> impl Future<Output = Vec<PartitionProducers>> + 'static {
        let count = items.len();
        self.joined(
            self.put(|reply| Request::Producers { items, reply }),
            count,
            PartitionProducers::refused,
        )
    }

    pub fn fetch(&self, spec: FetchSpec) -> impl Future<Output = Vec<FetchedPartition>> + 'static {
        let count = spec.items.len();
        self.joined(
            self.put(|reply| Request::Fetch { spec, reply }),
            count,
            FetchedPartition::refused,
        )
    }

    pub fn list_offsets(&self, items: Vec<ListOffsetsItem>) -> impl Future<Output = Vec<ListedOffset>> + 'static {
        let count = items.len();
        self.joined(
            self.put(|reply| Request::ListOffsets { items, reply }),
            count,
            ListedOffset::refused,
        )
    }

    pub fn epoch_ends(&self, items: Vec<EpochItem>) -> impl Future<Output = Vec<EpochEnd>> + 'static {
        let count = items.len();
        self.joined(
            self.put(|reply| Request::EpochEnds { items, reply }),
            count,
            EpochEnd::refused,
        )
    }

    /// An item is answered once every live replica has given the records up.
    pub fn delete_records(
        &self,
        items: Vec<DeleteRecordsItem>,
        timeout: Duration,
    ) -> impl Future<Output = Vec<DeletedRecords>> + 'static {
        let count = items.len();
        self.joined(
            self.put(|reply| Request::DeleteRecords { items, timeout, reply }),
            count,
            DeletedRecords::refused,
        )
    }

    pub fn log_sizes(&self, items: Vec<LogSizeItem>) -> impl Future<Output = Vec<LogSize>> + 'static {
        let count = items.len();
        self.joined(
            self.put(|reply| Request::LogSizes { items, reply }),
            count,
            LogSize::refused,
        )
    }

    /// Asks the group coordinator whose log `partition` is. Enqueued at once.
    pub fn group(
        &self,
        partition: PartitionId,
        request: GroupRequest,
    ) -> impl Future<Output = Result<GroupReply, ErrorCode>> + 'static {
        self.coordinate(partition, CoordinatorRequest::Group(request), |reply| match reply {
            CoordinatorReply::Group(reply) => Some(reply),
            _ => None,
        })
    }

    /// As [`Router::group`]; what it writes is part of the producer's transaction.
    pub fn group_as(
        &self,
        partition: PartitionId,
        request: GroupRequest,
        producer: ProducerIdentity,
        warrant: Warrant,
    ) -> impl Future<Output = Result<Stamped<GroupReply>, ErrorCode>> + 'static {
        let stamp = Stamp { producer, warrant };
        let request = CoordinatorRequest::GroupAs(stamp, request);
        self.coordinate(partition, request, |reply| match reply {
            CoordinatorReply::Group(reply) => Some(Stamped::Answered(reply)),
            CoordinatorReply::Unverified(guard) => Some(Stamped::Unverified(guard)),
            _ => None,
        })
    }

    /// Asks the transaction coordinator whose log `partition` is. Enqueued at once.
    pub fn transaction(
        &self,
        partition: PartitionId,
        request: TxnRequest,
    ) -> impl Future<Output = Result<TxnReply, ErrorCode>> + 'static {
        self.coordinate(partition, CoordinatorRequest::Txn(request), |reply| match reply {
            CoordinatorReply::Txn(reply) => Some(reply),
            _ => None,
        })
    }

    /// Asks a group's share of a partition. Enqueued at once. Nothing is given where others may lead by now: they
    /// offer the records too.
    pub fn share(
        &self,
        partition: PartitionId,
        ask: ShareAsk,
    ) -> impl Future<Output = Result<ShareReply, ErrorCode>> + 'static {
        let may_offer = !matches!(ask.action, ShareAction::Acquire(_)) || self.may_lead();
        let answer = may_offer.then(|| {
            self.timely(self.put(|reply| Request::Share {
                partition,
                ask: Box::new(ask),
                reply,
            }))
        });
        async move {
            let answer = match answer {
                Some(answer) => answer.await,
                None => None,
            };
            answer.unwrap_or(Err(ErrorCode::NotLeaderOrFollower))
        }
    }

    /// Asks the coordinator that keeps share groups' state and whose log `partition` is. Enqueued at once.
    pub fn share_state(
        &self,
        partition: PartitionId,
        request: StateRequest,
    ) -> impl Future<Output = Result<StateReply, ErrorCode>> + 'static {
        let request = CoordinatorRequest::ShareState(request);
        let answer = self.coordinate(partition, request, |reply| match reply {
            CoordinatorReply::ShareState(answer) => Some(answer),
            _ => None,
        });
        async move { answer.await.flatten() }
    }

    /// What is to be copied otherwise than it was told before; waits until there is something. `None`: the pump has ended.
    pub fn follow_changes(&self) -> impl Future<Output = Option<Vec<FollowChange>>> + 'static {
        self.put(|reply| Request::FollowChanges { reply })
    }

    /// Appends what was fetched for partitions of this shard. Answered once it is written.
    pub fn append_fetched(&self, items: Vec<Fetched>) -> impl Future<Output = CopyOutcomes> + 'static {
        let count = items.len();
        let answer = self.put(|reply| Request::AppendFetched { items, reply });
        async move { answer.await.unwrap_or_else(|| vec![None; count]) }
    }

    /// Cuts logs of partitions of this shard. Answered once it is done.
    pub fn cut_logs(&self, items: Vec<CutLog>) -> impl Future<Output = CopyOutcomes> + 'static {
        let count = items.len();
        let answer = self.put(|reply| Request::CutLogs { items, reply });
        async move { answer.await.unwrap_or_else(|| vec![None; count]) }
    }

    /// `asked_for` takes out of a reply what the request asks for. Enqueued at once.
    fn coordinate<T: 'static>(
        &self,
        partition: PartitionId,
        request: CoordinatorRequest,
        asked_for: fn(CoordinatorReply) -> Option<T>,
    ) -> impl Future<Output = Result<T, ErrorCode>> + 'static {
        let answer = self.timely(self.put(|reply| Request::Coordinate {
            partition,
            request: Box::new(request),
            reply,
        }));
        async move {
            match answer.await {
                Some(Ok(reply)) => asked_for(*reply).ok_or(ErrorCode::NotCoordinator),
                Some(Err(error)) => Err(error),
                None => Err(ErrorCode::NotCoordinator),
            }
        }
    }

    fn put<T>(&self, request: impl FnOnce(ReplyTx<T>) -> Request) -> ReplyRx<T> {
        let (tx, rx) = reply();
        self.post.push(Local::Request(request(tx), self.post.asked_at()));
        rx
    }

    /// Where the pump has ended without an answer, every item is refused: the client is to try another broker.
    fn joined<T: 'static>(
        &self,
        answer: ReplyRx<Vec<T>>,
        count: usize,
        refused: fn(ErrorCode) -> T,
    ) -> impl Future<Output = Vec<T>> + 'static {
        let answer = self.timely(answer);
        async move {
            match answer.await {
                Some(outcomes) => outcomes,
                None => (0..count).map(|_| refused(ErrorCode::NotLeaderOrFollower)).collect(),
            }
        }
    }

    /// Adds where the time until the answer went to the request that is being polled.
    fn timely<T: 'static>(&self, mut answer: ReplyRx<T>) -> impl Future<Output = Option<T>> + 'static {
        let post = self.post.clone();
        async move {
            let answered = (&mut answer).await;
            let mut spent = post.spent().get();
            spent.add(answer.spent());
            post.spent().set(spent);
            answered
        }
    }
}

fn marker_append(item: &MarkerItem, now_ms: i64) -> AppendItem {
    let bytes = item.marker.batch(item.producer_id, item.producer_epoch, now_ms);
    AppendItem {
        partition: item.partition,
        batch: ValidBatch {
            header: BatchHeader::parse(&bytes).expect("a marker is a whole batch"),
            bytes,
            log_append_time_ms: -1,
        },
        warrant: Warrant::Marker {
            marker: item.marker,
            transaction_version: item.transaction_version,
        },
    }
}
